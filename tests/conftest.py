"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from qrnn_fast.experiments.settings import Settings

# Random examples are the same in every run; timings depend on the machine and are no reason to fail.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1234)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two qubits, 39 windows, 10 updates an epoch."""
    t = np.arange(120)
    record = np.stack([np.sin(0.3 * t), np.cos(0.3 * t), np.sin(0.3 * t) ** 2], axis=1)
    np.save(tmp_path / "record.npy", record)
    return Settings(
        data=str(tmp_path / "record.npy"),
        qubits=2,
        context=2,
        steps=6,
        washout=2,
        stride=2,
        long_washout=3,
        batch_size=4,
        epochs=2,
        lr=0.05,
        schedule="one-cycle",
        checkpoint_every=4,
    )
