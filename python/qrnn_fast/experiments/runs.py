"""Run folders: begun once, resumed with the settings they were begun with."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from qrnn_fast import _core
from qrnn_fast.experiments.data import Task, make_task
from qrnn_fast.experiments.errors import Errors
from qrnn_fast.experiments.evaluate import baseline_errors, model_errors, protocols
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import Trainer

SETTINGS = "settings.json"
VERSIONS = "versions.json"
RESULTS = "results.json"
_PYTORCHS_THREADS = torch.get_num_threads()  # before a run changes it
QRNN = "QRNN"  # the network's name in tables of errors


def versions() -> dict[str, str]:
    """What ran: the versions that may change a figure, and the machine's kind."""
    packages = ("qrnn_fast", "torch", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "vectors": _core.instruction_set(),
    }


def require_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        ValueError: it is not empty, or not a folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is not empty; name another folder, or continue the run in it with --resume")


def begin(settings: Settings, folder: Path) -> Trainer:
    """Begin a run in a new or empty folder. Nothing is written before settings and data are known to be good.

    Raises:
        ValueError: a folder that is not empty, or data that cannot be used.
    """
    require_empty(folder)
    _use_threads(settings)
    trainer = Trainer(settings, make_task(settings), folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / VERSIONS, versions())
    settings.save(folder / SETTINGS)
    return trainer


def resume(folder: Path, given: dict[str, Any]) -> Trainer:
    """Continue the run in a folder from its checkpoint.

    Args:
        folder: the run's folder.
        given: settings given anew; they must be those of the run.

    Raises:
        ValueError: not a run's folder, no whole checkpoint, other settings or other data.
    """
    settings = Settings.load(folder / SETTINGS)
    settings.refuse_other(given)
    _use_threads(settings)
    trainer = Trainer(settings, make_task(settings), folder)
    trainer.read()
    trainer.drop_later_lines()
    return trainer


def finish(trainer: Trainer) -> dict[str, dict[str, Errors]]:
    """Measure a trained run and the baselines under every protocol, and write the results to its folder.

    Returns:
        Errors by model ("QRNN", then the baselines) and protocol.
    """
    results = measure(trainer.model, trainer.task)
    table = {model: {p: e.as_json() for p, e in errors.items()} for model, errors in results.items()}
    write_json(trainer.folder / RESULTS, {"columns": trainer.task.columns[1:], "rmse": table})
    return results


def measure(model: torch.nn.Module, task: Task) -> dict[str, dict[str, Errors]]:
    """Errors of a model ("QRNN") and of the baselines under every protocol."""
    sets = protocols(task)
    return {QRNN: model_errors(model, task, sets), **baseline_errors(task, sets)}


def evaluate(folder: Path, changes: dict[str, Any]) -> tuple[Task, dict[str, dict[str, Errors]]]:
    """Measure the run in a folder from its checkpoint.

    Args:
        folder: the run's folder; it is only read.
        changes: settings of the protocols (steps, washout, stride, long_washout) to use in place of the run's own.

    Returns:
        The task of these protocols, and the errors as of `measure`.

    Raises:
        ValueError: not a run's folder, or no whole checkpoint.
    """
    settings = Settings.load(folder / SETTINGS)
    _use_threads(settings)
    trainer = Trainer(settings, make_task(settings), folder)
    trainer.read()
    task = make_task(dataclasses.replace(settings, **changes))
    return task, measure(trainer.model, task)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _use_threads(settings: Settings) -> None:
    torch.set_num_threads(_PYTORCHS_THREADS if settings.threads is None else settings.threads)
