"""What tests of training runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import Trainer
from torch import Tensor


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
    assert _same(a.optimiser.state_dict()["state"], b.optimiser.state_dict()["state"])


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return bool(a.keys() == b.keys()) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)
