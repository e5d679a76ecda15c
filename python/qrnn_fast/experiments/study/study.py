"""A study from its plan to its report."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import make_task
from qrnn_fast.experiments.study import groups, tuning
from qrnn_fast.experiments.study.groups import Trained
from qrnn_fast.experiments.study.plan import Plan
from qrnn_fast.experiments.study.progress import StudyProgress
from qrnn_fast.experiments.study.workflow import drive


@dataclass(frozen=True)
class Study:
    """What a study gave.

    Attributes:
        plan: what was asked.
        folder: where it lies.
        equal_updates: the members at equal numbers of updates.
        equal_evaluations: those that a processor could train, at equal numbers of circuit evaluations.
    """

    plan: Plan
    folder: Path
    equal_updates: list[Trained]
    equal_evaluations: list[Trained]


def begin(plan: Plan, out: Path) -> None:
    """Write the plan to a new or empty folder. Nothing is written before plan and data are known to be good.

    Raises:
        ValueError: a folder that is not empty, data that cannot be used, or too few evaluations for an update.
        ImportError: a package that the plan needs is missing.
    """
    runs.require_empty(out)
    tuning.require(plan)
    groups.groups(plan, make_task(plan.base))
    out.mkdir(parents=True, exist_ok=True)
    plan.save(out)


def resume(out: Path, given: dict[str, Any], settings: dict[str, Any]) -> Plan:
    """The plan of the study in a folder.

    Args:
        out: the study's folder.
        given: fields of the plan given anew; they must be those of the study.
        settings: settings of all runs given anew; likewise.

    Raises:
        ValueError: no study, or another plan.
        ImportError: a package that the plan needs is missing.
    """
    plan = Plan.load(out)
    plan.refuse_other(given, settings)
    tuning.require(plan)
    return plan


def run(plan: Plan, out: Path, workers: AbstractContextManager[Executor], console: Console) -> Study:
    """Do what of a study is missing.

    Args:
        plan: the study's.
        out: its folder.
        workers: opens the executor.
        console: where to show the progress.
    """
    equal_updates, equal_evaluations = groups.groups(plan, make_task(plan.base))
    every = list(dict.fromkeys(equal_updates + equal_evaluations))
    with workers as executor, StudyProgress(console) as progress:
        trained = dict(zip(every, drive([groups.train(plan, g, out) for g in every], executor, progress), strict=True))
    return Study(plan, out, [trained[g] for g in equal_updates], [trained[g] for g in equal_evaluations])
