"""Run folders: begun once, resumed with the settings they were begun with."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from qrnn_fast import _core
from qrnn_fast.backends.base import Backend
from qrnn_fast.experiments.data import Task, make_task
from qrnn_fast.experiments.errors import Errors
from qrnn_fast.experiments.evaluate import baseline_errors, model_errors, protocols
from qrnn_fast.experiments.forecast import Forecast, Plan, make_forecasts, make_plan
from qrnn_fast.experiments.model import make_backend
from qrnn_fast.experiments.predictors import Network, baseline_predictors
from qrnn_fast.experiments.ranks import ALONE, Ranks
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import Trainer
from qrnn_fast.files import write_json
from qrnn_fast.nn import QRNN
from qrnn_fast.qpu_time import Estimates, estimate

SETTINGS = "settings.json"
VERSIONS = "versions.json"
RESULTS = "results.json"
JOURNAL = "jobs.jsonl"  # of a quantum processor
_PYTORCHS_THREADS = torch.get_num_threads()  # before a run changes it
NETWORK = "QRNN"  # its name in tables of errors


def versions() -> dict[str, str]:
    """What ran: the versions that may change a figure, the working directory's git revision, the machine's kind."""
    return {
        "python": platform.python_version(),
        **_packages(),
        **_revision(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "vectors": _core.instruction_set(),
    }


def require_empty(folder: Path, record: str | None = None) -> None:
    """Refuse a folder that holds something.

    Args:
        folder: it need not exist.
        record: the file by which --resume knows a folder that it can continue in; None where there is no --resume.

    Raises:
        ValueError: it is not empty, or not a folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; name a new or empty folder")
    if folder.exists() and any(folder.iterdir()):
        is_known = record is not None and (folder / record).exists()
        way_out = "name another folder" + (", or continue what it holds with --resume" if is_known else "")
        raise ValueError(f"{folder}: is not empty; {way_out}")


def begin(settings: Settings, folder: Path, max_qpu_seconds: float | None = None, ranks: Ranks = ALONE) -> Trainer:
    """Begin a run in a new or empty folder. Nothing is written before settings and data are known to be good.

    Args:
        settings: the run's settings.
        folder: where it is kept.
        max_qpu_seconds: limit to a processor's time.
        ranks: the processes that train together; the folder and the data are the first one's.

    Raises:
        ValueError: a folder that is not empty, data that cannot be used, or ranks with settings of their own.
    """
    if ranks.is_first:
        require_empty(folder, SETTINGS)
    if settings != ranks.from_first(lambda: settings):
        raise ValueError(f"rank {ranks.number} was given other settings than rank 0; give all of them the same")
    trainer = _trainer(settings, folder, max_qpu_seconds, ranks)
    if ranks.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / VERSIONS, {**versions(), "ranks": str(ranks.count)})
        settings.save(folder / SETTINGS)
    return trainer


def resume(folder: Path, given: dict[str, Any], max_qpu_seconds: float | None = None, ranks: Ranks = ALONE) -> Trainer:
    """Continue the run in a folder from its checkpoint.

    Args:
        folder: the run's folder.
        given: settings given anew; they must be those of the run.
        max_qpu_seconds: limit to a processor's time, what the run has used included.
        ranks: the processes that train together, not necessarily as many as before; the folder and the data are the
            first one's.

    Raises:
        ValueError: not a run's folder, no whole checkpoint, other settings or other data.
    """
    settings = ranks.from_first(lambda: Settings.load(folder / SETTINGS))
    settings.refuse_other(given)
    trainer = _trainer(settings, folder, max_qpu_seconds, ranks)
    trainer.read()
    trainer.drop_later_lines()
    return trainer


def _trainer(settings: Settings, folder: Path, max_qpu_seconds: float | None, ranks: Ranks) -> Trainer:
    if ranks.count > 1 and settings.runs_on_qpu:
        raise ValueError(
            f"{settings.backend} takes an update as one job, which {ranks.count} ranks would cut to pieces; start the "
            "run without torchrun"
        )
    if ranks.over_copies and settings.gradient not in ("parameter-shift", "spsa", "fdsa"):
        raise ValueError(
            f"--copies-over-ranks is for parameter-shift, spsa and fdsa; gradient {settings.gradient!r} has no copies"
        )
    _use_threads(settings)
    task = ranks.from_first(lambda: make_task(settings))
    return Trainer(settings, task, folder, make_backend(settings, folder / JOURNAL, max_qpu_seconds), ranks)


def qpu_estimate(trainer: Trainer) -> Estimates:
    """What the run's method takes of its processor.

    Raises:
        ValueError: there is no processor, or it does not tell how long its instructions take.
    """
    layer, settings = trainer.model.layer, trainer.settings
    if trainer.processor is None or not isinstance(layer, QRNN):
        raise ValueError(f"backend {settings.backend!r} is no quantum processor")
    return estimate(
        layer,
        trainer.processor,
        steps=settings.steps,
        batch_size=settings.batch_size,
        sequences=len(trainer.task.train.starts),
        gradients=[layer.gradient],
    )


def finish(trainer: Trainer, *, baselines: bool = True) -> dict[str, dict[str, Errors]]:
    """Measure a trained run and the baselines under every protocol, and write the results to its folder.

    Args:
        trainer: the run at its end.
        baselines: whether to fit them, too, which takes longer than to measure the run.

    Returns:
        Errors by model ("QRNN", then the baselines) and protocol.
    """
    results = measure(trainer.model, trainer.task, baselines=baselines)
    table = {model: {p: e.as_json() for p, e in errors.items()} for model, errors in results.items()}
    write_json(trainer.folder / RESULTS, {"columns": trainer.task.predicted_names, "rmse": table})
    return results


def measure(model: torch.nn.Module, task: Task, *, baselines: bool = True) -> dict[str, dict[str, Errors]]:
    """Errors of a model ("QRNN") and, if wanted, of the baselines under every protocol."""
    sets = protocols(task)
    return {NETWORK: model_errors(model, task, sets), **(baseline_errors(task, sets) if baselines else {})}


def evaluate(
    folder: Path, changes: dict[str, Any], max_qpu_seconds: float | None = None
) -> tuple[Task, dict[str, dict[str, Errors]]]:
    """Measure the run in a folder from its checkpoint.

    Args:
        folder: the run's folder; it is only read.
        changes: settings of the protocols (steps, washout, stride, long_washout) to use in place of the run's own.
        max_qpu_seconds: limit to a processor's time, where errors are measured on one; the run's own is not counted.

    Returns:
        The task of these protocols, and the errors as of `measure`.

    Raises:
        ValueError: not a run's folder, or no whole checkpoint.
    """
    settings = Settings.load(folder / SETTINGS)
    _use_threads(settings)
    on_backend = settings.measure_on == "backend"
    backend = make_backend(settings, max_qpu_seconds=max_qpu_seconds) if on_backend else "native"
    trainer = _read(settings, folder, backend)
    task = make_task(dataclasses.replace(settings, **changes))
    return task, measure(trainer.model, task)


def forecast(
    folder: Path, warm_up: int, steps: int | None, n_starts: int, threshold: float
) -> tuple[Task, Plan, dict[str, Forecast]]:
    """Let the network in a folder and the baselines run on their own predictions, on the native backend.

    Args:
        folder: the run's folder; it is only read.
        warm_up: as of `make_plan`, and so are the others.
        steps: as of `make_plan`.
        n_starts: as of `make_plan`.
        threshold: as of `make_plan`.

    Returns:
        The task, which forecasts were made, and the forecasts by model: the network, then the baselines.

    Raises:
        ValueError: not a run's folder, no whole checkpoint, or forecasts that its task does not allow.
    """
    settings = Settings.load(folder / SETTINGS)
    _use_threads(settings)
    trainer = _read(settings, folder, "native")
    task = trainer.task
    plan = make_plan(task, warm_up, steps, n_starts, threshold)
    predictors = {NETWORK: Network(trainer.model, task), **baseline_predictors(task)}
    return task, plan, make_forecasts(task, plan, predictors)


def _read(settings: Settings, folder: Path, backend: str | Backend) -> Trainer:
    trainer = Trainer(settings, make_task(settings), folder, backend)
    trainer.read()
    return trainer


@cache  # takes longer than a small run, and a study has hundreds
def _packages() -> dict[str, str]:
    """The versions of the packages."""
    packages = ["qrnn_fast", "torch", "numpy", "scipy", "qiskit", "qiskit_aer"]
    if importlib.util.find_spec("qiskit_ibm_runtime"):
        packages.append("qiskit_ibm_runtime")
    return {name: importlib.metadata.version(name) for name in packages}


def _revision() -> dict[str, str]:
    """The git revision of the working directory, with "+ changes" where tracked files differ; empty without one."""
    answers = []
    for command in ("rev-parse HEAD", "status --porcelain --untracked-files=no"):
        try:
            git = subprocess.run(
                ["git", "--no-optional-locks", *command.split()], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):  # no git, no repository, or one without a commit
            return {}
        answers.append(git.stdout.strip())
    head, changes = answers
    return {"revision": f"{head} + changes" if changes else head}


def _use_threads(settings: Settings) -> None:
    torch.set_num_threads(_PYTORCHS_THREADS if settings.threads is None else settings.threads)
