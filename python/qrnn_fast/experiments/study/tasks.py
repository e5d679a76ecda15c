"""What the processes of a study do: each function takes plain data, and leaves its result in a file."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import CHECKPOINT, DivergedError
from qrnn_fast.files import write_json

FAILED = "failed.json"  # of a run that diverged, in place of its results


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has come to its end, be it by divergence."""
    return (folder / runs.RESULTS).exists() or (folder / FAILED).exists()


def train(folder: str, settings: dict[str, Any]) -> None:
    """Train and measure a run, from its last checkpoint if there is one. A finished run is left as it is.

    Args:
        folder: the run's.
        settings: all fields of `Settings`.
    """
    path = Path(folder)
    with alone(path):
        if is_finished(path):
            return
        if (path / CHECKPOINT).exists():
            trainer = runs.resume(path, settings)
        else:
            shutil.rmtree(path, ignore_errors=True)  # stopped before its first checkpoint
            trainer = runs.begin(Settings(**settings), path)
        try:
            trainer.run(lambda update, loss: None)
        except DivergedError as error:
            write_json(path / FAILED, {"message": str(error), "update": trainer.update})
        else:
            runs.finish(trainer, baselines=False)  # the report's, of all runs


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process works on a path.

    A worker of a cluster may go on with a run after the study that asked for it was stopped and resumed. The lock goes
    with the process that holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
