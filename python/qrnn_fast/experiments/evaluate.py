"""Errors of a model and of the baselines under the same protocols."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from qrnn_fast.experiments.baselines import BASELINES, fits
from qrnn_fast.experiments.data import Task, Windows
from qrnn_fast.experiments.errors import Errors

WINDOWS_AT_ONCE = 512  # of a network, for the sake of memory


def protocols(task: Task, *, train: bool = True) -> dict[str, Windows]:
    """The sets of targets that errors are given on.

    Args:
        task: the task.
        train: whether the training windows are among them.

    Returns:
        "train": the training windows after their washout; "windowed": the validation windows after theirs, each begun
        from |0...0>; "long run": the whole validation part as one sequence begun from |0...0>, after the long washout;
        "long run, no washout": the same from its first step on.
    """
    sets = {
        "windowed": task.windowed,
        "long run": task.long_run,
        "long run, no washout": dataclasses.replace(task.long_run, washout=0),
    }
    return {"train": task.train, **sets} if train else sets


def predict(model: nn.Module, task: Task, windows: Windows) -> Tensor:
    """Predictions at every step of every window: (W, T, k)."""
    with torch.no_grad():
        parts = [
            model(task.inputs(windows.rows(part)))
            for part in (slice(i, i + WINDOWS_AT_ONCE) for i in range(0, len(windows.starts), WINDOWS_AT_ONCE))
        ]
    return torch.cat(parts)


def model_errors(model: nn.Module, task: Task, sets: dict[str, Windows]) -> dict[str, Errors]:
    """The errors of a model, which maps (W, T, n_inputs) to (W, T, k), on each of the sets."""
    errors, predictions = {}, {}
    for name, w in sets.items():
        windows = id(w.starts), w.steps
        if windows not in predictions:  # sets that differ in their washout only run once: a processor takes its time
            predictions[windows] = predict(model, task, w)
        errors[name] = Errors.of(predictions[windows][:, w.washout :], task.targets(w.rows())[:, w.washout :])
    return errors


def baseline_errors(task: Task, sets: dict[str, Windows]) -> dict[str, dict[str, Errors]]:
    """The errors of every baseline that fits the task, fitted here, on each of the sets."""
    return {name: baseline.errors(task, sets) for name, baseline in BASELINES.items() if fits(baseline, task)}
