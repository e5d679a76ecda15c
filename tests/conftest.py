"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from fake_service import Service, in_place
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
    return small_settings(tmp_path)


def small_settings(folder: Path) -> Settings:
    """Two qubits, 39 windows, 10 updates an epoch, on a record that is put into the folder."""
    t = np.arange(120)
    record = np.stack([np.sin(0.3 * t), np.cos(0.3 * t), np.sin(0.3 * t) ** 2], axis=1)
    np.save(folder / "record.npy", record)
    return Settings(
        data=str(folder / "record.npy"),
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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of processors, and in its context a Runtime that sends to it."""
    folder = tmp_path / "service"
    folder.mkdir()
    with in_place():
        yield Service(folder)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"
