"""Settings of a training run."""

from __future__ import annotations

from typing import Any

import pytest
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
