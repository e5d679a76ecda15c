"""What tests of the study share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import report, study
from qrnn_fast.experiments.study.plan import Plan
from qrnn_fast.experiments.study.study import Study
from rich.console import Console
from training import Stopped


class InPlace(Executor):
    """Does each task at once, in this process.

    Args:
        stop_before: number of the task in whose place it raises `Stopped`; None for none.
    """

    def __init__(self, stop_before: int | None = None) -> None:
        self.done = 0
        self.stop_before = stop_before

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        if self.done == self.stop_before:
            raise Stopped
        self.done += 1
        future: Future[Any] = Future()
        future.set_result(task(*arguments))
        return future


def small(settings: Settings, **changes: Any) -> Plan:
    """Two methods, two seeds, three updates or as many as 90 evaluations allow."""
    base = dataclasses.replace(settings, schedule="constant", threads=1, validate_every=0, checkpoint_every=2)
    fields = {"methods": ("adjoint", "spsa-2"), "networks": (), "seeds": 2, "updates": 3, "evaluations": 90}
    return Plan(base=base, epochs=1, **(fields | changes))


def run(plan: Plan, out: Path, workers: Executor | None = None) -> Study:
    """Do what is missing, by default in this process."""
    return study.run(plan, out, workers or InPlace(), Console(quiet=True))


def make(plan: Plan, out: Path, workers: Executor | None = None) -> Study:
    """A whole study."""
    study.begin(plan, out)
    return run(plan, out, workers)


def figures(made: Study) -> dict[str, Any]:
    """All figures but times, and what depends on where the study lies."""
    return {key: value for key, value in report.as_json(made).items() if key not in ("seconds", "versions")}
