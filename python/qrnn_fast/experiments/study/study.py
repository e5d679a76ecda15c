"""A study from its plan to its figures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import Task, make_task
from qrnn_fast.experiments.errors import Errors
from qrnn_fast.experiments.evaluate import baseline_errors, protocols
from qrnn_fast.experiments.study import costs, groups, quality, tuning
from qrnn_fast.experiments.study.costs import Seconds
from qrnn_fast.experiments.study.groups import Group, Parts, Trained
from qrnn_fast.experiments.study.members import ADJOINT
from qrnn_fast.experiments.study.plan import STUDY, Plan
from qrnn_fast.experiments.study.progress import StudyProgress
from qrnn_fast.experiments.study.quality import Quality
from qrnn_fast.experiments.study.workflow import Job, Workflow, drive, together


@dataclass(frozen=True)
class Study:
    """What a study gave.

    Attributes:
        plan: what was asked.
        folder: where it lies.
        task: what was to be learned.
        parts: the trained members.
        baselines: errors of regressions on the same targets, by name and protocol.
        seconds: of this machine, by member.
        processor: seconds of the plan's processor, by member; empty without one.
        qualities: of the methods' gradients.
    """

    plan: Plan
    folder: Path
    task: Task
    parts: Parts[Trained]
    baselines: dict[str, dict[str, Errors]]
    seconds: dict[str, Seconds]
    processor: dict[str, Seconds]
    qualities: list[Quality]


def begin(plan: Plan, out: Path) -> None:
    """Write the plan to a new or empty folder. Nothing is written before plan and data are known to be good.

    Raises:
        ValueError: a folder that is not empty, data or a processor that cannot be used, or too few evaluations for an
            update.
        ImportError: a package that the plan needs is missing.
    """
    runs.require_empty(out, STUDY)
    tuning.require(plan)
    groups.parts(plan, make_task(plan.base))
    costs.check_processor(plan)
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


def run(plan: Plan, out: Path, workers: Executor, console: Console) -> Study:
    """Do what of a study is missing.

    Args:
        plan: the study's.
        out: its folder.
        workers: do the tasks.
        console: where to show the progress.
    """
    task = make_task(plan.base)
    parts = groups.parts(plan, task)
    every = parts.all
    qualities = quality.jobs(plan, out, quality.INITIAL, None)
    with StudyProgress(console) as progress:
        trained: dict[Group, Trained] = {}
        training = [_into(trained, group, groups.train(plan, group, out)) for group in every]
        drive([*training, together([*qualities.values(), *costs.processor_jobs(plan, out)])], workers, progress)
        by_adjoint = trained.get(Group(ADJOINT, plan.updates))
        if by_adjoint is not None and by_adjoint.errors("train"):
            seed = min(by_adjoint.errors("train"))
            qualities |= quality.jobs(plan, out, quality.TRAINED, by_adjoint.folder(seed))
        drive([together(list(qualities.values()))], workers, progress)
        drive([_one_by_one(costs.timing_jobs(plan, out))], workers, progress)
    return Study(
        plan,
        out,
        task,
        parts.map(trained.__getitem__),
        baseline_errors(task, protocols(task)),
        costs.read_timings(plan, out),
        costs.read_processor(plan, out),
        [Quality.read(path) for path in qualities],
    )


def _into(trained: dict[Group, Trained], group: Group, training: Workflow[Trained]) -> Workflow[None]:
    trained[group] = yield from training


def _one_by_one(jobs: Sequence[Job]) -> Workflow[None]:
    for job in jobs:
        yield [job]
