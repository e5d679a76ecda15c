"""What tests of training runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import Trainer


class Stopped(Exception):  # noqa: N818
    """Stands in for whatever ends a run."""


def stop_after(update: int) -> Callable[[int, float], None]:
    def on_update(number: int, loss: float) -> None:
        if number == update:
            raise Stopped

    return on_update


def ignore(update: int, loss: float) -> None:
    pass


def train(settings: Settings, folder: Path) -> Trainer:
    trainer = runs.begin(settings, folder)
    trainer.run(ignore)
    return trainer


def without_seconds(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def assert_same_bits(a: Trainer, b: Trainer) -> None:
    assert a.update == b.update
    for name, value in a.model.state_dict().items():
        assert torch.equal(value, b.model.state_dict()[name]), name
    for key, state in a.optimiser.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(value, b.optimiser.state_dict()["state"][key][name]), name
