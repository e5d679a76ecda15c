"""Settings of a training run."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from qrnn_fast.experiments.noise import make_noise
from qrnn_fast.experiments.settings import Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": "lstm"},
        {"gradient": "guess"},
        {"schedule": "cosine"},
        {"dtype": "float16"},
        {"rows": 0},
        {"qubits": 0},
        {"repeats": 0},
        {"context": 0},
        {"steps": 0},
        {"stride": -1},
        {"samples": 0},
        {"epochs": 0},
        {"shots": 0},
        {"noise": ""},
        {"noise": "depolarizing=0.1"},
        {"noise": "crx:depolarizing"},
        {"noise": "crx:readout=0.1"},
        {"noise": "crx:depolarizing=much"},
        {"noise": "crx:depolarizing=1.5"},
        {"noise": "crx:depolarizing=0.1/0.2"},
        {"noise": "readout=0.1/0.2/0.3"},
        {"noise": "crx:depolarising=0.1"},
        {"noise": "measure:bit_flip=0.1"},
        {"updates": 0},
        {"batch_size": 0},
        {"threads": 0},
        {"checkpoint_every": 0},
        {"washout": -1},
        {"washout": 20},
        {"long_washout": -1},
        {"validate_every": -1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"perturbation": -0.1},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_settings_refuse(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must"):
        Settings(**wrong)


class Record(list[tuple[object, ...]]):
    """Stands in for a noise model: keeps what is added."""

    def add(self, *given: object) -> None:
        self.append(given)

    def add_readout_error(self, probabilities: tuple[float, float]) -> None:
        self.append(("readout", probabilities))


def test_noise_is_built_from_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(
        NoiseModel=Record,
        depolarizing=lambda p, n_qubits: ("depolarizing", p, n_qubits),
        **{name: lambda p, name=name: (name, p) for name in ("amplitude_damping", "phase_damping", "bit_flip")},
    )
    monkeypatch.setitem(sys.modules, "qrnn_fast.noise", module)
    text = "crx:depolarizing=0.01, rx:depolarizing=0.001,readout=0.02,readout=0.1/0.2,rx:amplitude_damping=1e-3"
    assert make_noise(text) == [
        (("depolarizing", 0.01, 2), "crx"),
        (("depolarizing", 0.001, 1), "rx"),
        ("readout", (0.02, 0.02)),
        ("readout", (0.1, 0.2)),
        (("amplitude_damping", 0.001), "rx"),
    ]
    assert make_noise("h:bit_flip=0,h:phase_damping=1") == [(("bit_flip", 0.0), "h"), (("phase_damping", 1.0), "h")]
