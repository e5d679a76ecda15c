"""Training by L-BFGS on all windows at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.full_batch import FullBatch
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.model import Forecaster
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import EPOCHS, UPDATES
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from training import Stopped, assert_same_bits, ignore, stop_after, train, without_seconds


def full_batch(settings: Settings, **changes: object) -> Settings:
    return dataclasses.replace(settings, optimiser="l-bfgs", **{"epochs": 12, "checkpoint_every": 1, **changes})


@pytest.mark.parametrize("ridge", [None, 1e-3])
def test_the_gradient_is_that_of_what_is_minimised(settings: Settings, tmp_path: Path, ridge: float | None) -> None:
    """With the head solved anew at every point, too: a difference quotient along a direction tells the same."""
    trainer = train(full_batch(settings, ridge=ridge, updates=1), tmp_path / "run")
    search = FullBatch(trainer.model, trainer.task, ridge)
    weights = list((trainer.model.layer if ridge is not None else trainer.model).parameters())
    here = parameters_to_vector(weights).detach()
    direction = torch.randn(here.shape, generator=torch.Generator().manual_seed(0), dtype=here.dtype)

    def value(point: torch.Tensor) -> torch.Tensor:
        vector_to_parameters(point, weights)
        return search._evaluate()

    value(here)
    slope = torch.cat([w.grad.flatten() for w in weights if w.grad is not None]) @ direction
    step = 1e-5
    quotient = (value(here + step * direction) - value(here - step * direction)) / (2 * step)
    torch.testing.assert_close(quotient, slope, rtol=1e-6, atol=1e-8)


def mean_square(model: Forecaster, trainer_task: object) -> float:
    task = trainer_task
    rows = task.train.rows()  # type: ignore[attr-defined]
    with torch.no_grad():
        error = model(task.inputs(rows)) - task.targets(rows)  # type: ignore[attr-defined]
    return float(error[:, task.train.washout :].square().mean())  # type: ignore[attr-defined]


def test_the_error_falls_in_every_update_and_below_adams(settings: Settings, tmp_path: Path) -> None:
    found = train(full_batch(settings), tmp_path / "l-bfgs")
    losses = [line["loss"] for line in read_lines(found.folder / UPDATES)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(mean_square(found.model, found.task), rel=1e-9)  # of the weights it ends with
    adam = train(dataclasses.replace(settings, epochs=12), tmp_path / "adam")
    assert losses[-1] < mean_square(adam.model, adam.task)
    solved = train(full_batch(settings, ridge=1e-8), tmp_path / "solved")
    assert read_lines(solved.folder / UPDATES)[-1]["loss"] < losses[-1]


def test_evaluations_are_the_windows_simulated(settings: Settings, tmp_path: Path) -> None:
    trainer = train(full_batch(settings), tmp_path / "run")
    windows = len(trainer.task.train.starts)
    assert trainer.evaluations % windows == 0
    assert trainer.evaluations >= windows * (trainer.update + 1)  # the first update begins with one, each tries one


@pytest.mark.parametrize("ridge", [None, 1e-6])
def test_it_resumes_to_the_same_bits(settings: Settings, tmp_path: Path, ridge: float | None) -> None:
    settings = full_batch(settings, ridge=ridge)
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        runs.begin(settings, tmp_path / "cut").run(stop_after(7))
    resumed = runs.resume(tmp_path / "cut", {})
    assert 0 < resumed.update < 8
    resumed.run(ignore)
    assert_same_bits(whole, resumed)
    for name in (UPDATES, EPOCHS):
        lines = [without_seconds(read_lines(run.folder / name)) for run in (whole, resumed)]
        assert lines[0] == lines[1]
    _, errors = runs.evaluate(whole.folder, {})
    assert errors == runs.measure(whole.model, whole.task)


@pytest.mark.parametrize("change", [{"gradient": "spsa"}, {"gradient": "parameter-shift"}, {"stateful": True}])
def test_what_has_no_exact_gradient_of_all_windows_is_refused(settings: Settings, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="all windows at once"):
        full_batch(settings, **change)
