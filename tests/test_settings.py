"""Settings of a training run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
from qrnn_fast import noise
from qrnn_fast.experiments.noise import make_noise
from qrnn_fast.experiments.settings import Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": "rnn"},
        {"gradient": "guess"},
        {"schedule": "cosine"},
        {"dtype": "float16"},
        {"rows": 0},
        {"qubits": 0},
        {"qubits": 7},
        {"repeats": 0},
        {"context": 0},
        {"steps": 0},
        {"stride": -1},
        {"samples": 0},
        {"epochs": 0},
        {"shots": 0},
        {"ridge_on": "rows"},
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
        {"clip": 0.0},
        {"clip": float("inf")},
        {"optimiser": "rmsprop"},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_settings_refuse(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must"):
        Settings(**wrong)


@pytest.mark.parametrize("wrong", [{"rows": 500}, {"system": "kuramoto-sivashinsky"}])
def test_a_file_takes_no_setting_of_a_system(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"data is a record as it is, .*leave {name} .* out"):
        Settings(data="series.npy", **wrong)


def test_settings_from_before_a_setting_existed(tmp_path: Path) -> None:
    """A file as the first version wrote it; its runs go on as they were."""
    path = tmp_path / "settings.json"
    first = {
        "data": None, "rows": 2000, "cell": "reuploading", "qubits": 4, "repeats": 2, "context": 3, "steps": 30,
        "stride": 4, "washout": 6, "long_washout": 50, "gradient": "spsa", "perturbation": 0.2, "samples": 4,
        "epochs": 7, "updates": 90, "batch_size": 16, "lr": 0.03, "schedule": "one-cycle", "seed": 5,
        "dtype": "float32", "threads": 1, "checkpoint_every": 10, "validate_every": 2,
    }  # fmt: skip
    path.write_text(json.dumps(first))
    settings = Settings.load(path)
    assert {name: getattr(settings, name) for name in first} == first
    added = dataclasses.asdict(settings).keys() - first.keys()
    assert {name: getattr(settings, name) for name in added} == {name: getattr(Settings(), name) for name in added}
    settings.save(path)
    assert Settings.load(path) == settings


def test_unknown_settings_in_a_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    Settings().save(path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "momentum": 0.9, "beta": 1}))
    with pytest.raises(ValueError, match=r"settings\.json: .* none of the name beta, momentum; accepted: backend"):
        Settings.load(path)


def test_noise_is_built_from_its_text() -> None:
    built = make_noise("crx:depolarizing=0.01, rx:depolarizing=0.001,readout=0.1/0.2,rx:amplitude_damping=1e-3")
    by_hand = qf.NoiseModel().add(noise.depolarizing(0.01, 2), "crx").add(noise.depolarizing(0.001), "rx")
    by_hand.add_readout_error((0.1, 0.2)).add(noise.amplitude_damping(1e-3), "rx")
    assert built == by_hand
    built = make_noise("h:bit_flip=0.1,h:phase_damping=1,readout=0.02")
    assert built == qf.NoiseModel().add(noise.bit_flip(0.1), "h").add(noise.phase_damping(1), "h").add_readout_error(
        (0.02, 0.02)
    )
    with pytest.raises(ValueError, match="readout error"):
        make_noise("readout=0.1,readout=0.2")
