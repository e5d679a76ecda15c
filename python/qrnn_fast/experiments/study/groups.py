"""The runs of a study: which there are, what they cost, and what they gave."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import tasks
from qrnn_fast.experiments.study.members import Member
from qrnn_fast.experiments.study.plan import TUNING_SEED, Plan
from qrnn_fast.experiments.study.tuning import Trial, best, search
from qrnn_fast.experiments.study.workflow import Job, Workflow
from qrnn_fast.experiments.train import Trainer


@dataclass(frozen=True)
class Group:
    """A member trained for a number of updates, from several seeds.

    Attributes:
        member: the member.
        updates: of each run.
    """

    member: Member
    updates: int

    def settings(self, plan: Plan, lr: float, seed: int) -> Settings:
        """The settings of one of its runs."""
        return self.member.settings(plan.base, lr=lr, seed=seed, updates=self.updates, epochs=self.updates)

    @property
    def folder(self) -> Path:
        """Where its runs lie, in the folders `runs` and `tuning` of the study."""
        return Path(self.member.name, f"{self.updates}-updates")


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        folder: the run's.
        seed: its seed.
        errors: RMSE of the network, mean of the predicted columns, by protocol; empty where it diverged.
        message: how it diverged; None where it did not.
    """

    folder: Path
    seed: int
    errors: dict[str, float]
    message: str | None

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read a finished run."""
        seed = Settings.load(folder / runs.SETTINGS).seed
        if (folder / tasks.FAILED).exists():
            return cls(folder, seed, {}, json.loads((folder / tasks.FAILED).read_text(encoding="utf-8"))["message"])
        table = json.loads((folder / runs.RESULTS).read_text(encoding="utf-8"))["rmse"]
        return cls(folder, seed, {protocol: e["mean"] for protocol, e in table[runs.NETWORK].items()}, None)


@dataclass(frozen=True)
class Trained:
    """What a group gave.

    Attributes:
        group: the group.
        trials: of the search for its learning rate.
        runs: one for each seed; none where it diverged at every learning rate.
    """

    group: Group
    trials: Sequence[Trial]
    runs: Sequence[Run]

    @property
    def lr(self) -> float:
        """Its learning rate."""
        return best(self.trials).lr

    def errors(self, protocol: str) -> list[float]:
        """The RMSE of each run that did not diverge."""
        return [run.errors[protocol] for run in self.runs if run.message is None]


def updates_within(evaluations: int, trainer: Trainer) -> int:
    """Updates that a number of circuit evaluations allows.

    Args:
        evaluations: whole sequences of T steps.
        trainer: of a run with the settings in question.

    Raises:
        ValueError: not one.
    """
    settings, per_epoch = trainer.settings, trainer.updates_per_epoch
    windows = per_epoch * settings.batch_size if settings.stateful else len(trainer.task.train.starts)
    epochs, rest = divmod(evaluations // trainer.evaluations_per_sequence, windows)
    updates = epochs * per_epoch + rest // settings.batch_size
    if updates < 1:
        least = trainer.evaluations_per_sequence * settings.batch_size
        raise ValueError(
            f"evaluations must be at least {least}, those of one update by {settings.gradient}, got "
            f"{evaluations}; give more, use a smaller batch_size or leave that method out"
        )
    return updates


def groups(plan: Plan, task: Task) -> tuple[list[Group], list[Group]]:
    """The groups of equal numbers of updates, and those of equal numbers of circuit evaluations."""
    equal_updates = [Group(member, plan.updates) for member in plan.members]
    equal_evaluations = [
        Group(member, updates_within(plan.evaluations, Trainer(member.settings(plan.base), task, Path(), "native")))
        for member in plan.members
        if member.runs_on_processors
    ]
    return equal_updates, equal_evaluations


def train(plan: Plan, group: Group, out: Path) -> Workflow[Trained]:
    """Find the learning rate of a group, and train it from every seed.

    Args:
        plan: the study's.
        group: the group.
        out: the study's folder.
    """
    trials = yield from search(plan, partial(_attempt, plan, group, out))
    if math.isinf(best(trials).error):
        return Trained(group, trials, [])
    folders = {seed: out / "runs" / group.folder / f"seed-{seed}" for seed in plan.all_seeds}
    yield [_job(folder, group.settings(plan, best(trials).lr, seed)) for seed, folder in folders.items()]
    return Trained(group, trials, [Run.read(folder) for folder in folders.values()])


def _attempt(
    plan: Plan, group: Group, out: Path, rates: Sequence[float]
) -> Generator[Sequence[Job], None, list[Trial]]:
    folders = {lr: out / "tuning" / group.folder / f"lr-{lr}" for lr in rates}
    yield [_job(folder, group.settings(plan, lr, TUNING_SEED)) for lr, folder in folders.items()]
    return [Trial(lr, Run.read(folder).errors.get("train", math.inf)) for lr, folder in folders.items()]


def _job(folder: Path, settings: Settings) -> Job:
    label = f"{folder.parts[-3]}, {settings.updates} updates, {folder.parts[-1]}"
    return Job(label, tasks.train, (str(folder), dataclasses.asdict(settings)), partial(tasks.is_finished, folder))
