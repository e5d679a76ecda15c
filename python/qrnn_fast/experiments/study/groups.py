"""The runs of a study: which there are, what they cost, and what they gave."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import tasks
from qrnn_fast.experiments.study.members import ADJOINT, Member
from qrnn_fast.experiments.study.plan import TUNING_SEED, Plan
from qrnn_fast.experiments.study.tuning import Trial, best, search
from qrnn_fast.experiments.study.workflow import Job, Workflow
from qrnn_fast.experiments.train import UPDATES, Trainer

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Group:
    """A member trained for a number of updates, from several seeds.

    Attributes:
        member: the member.
        updates: of each run; 0 where the member is not trained.
    """

    member: Member
    updates: int

    def settings(self, plan: Plan, lr: float, seed: int) -> Settings:
        """The settings of one of its runs."""
        enough = max(1, self.updates)
        return self.member.settings(plan.base, lr=lr, seed=seed, updates=enough, epochs=enough)

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
        errors: RMSE of the network, mean of the predicted columns, by protocol; empty where it diverged, be it in its
            last update, which leaves weights that predict nothing finite.
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
        errors = {protocol: e["mean"] for protocol, e in table[runs.NETWORK].items()}
        if not all(math.isfinite(error) for error in errors.values()):
            return cls(folder, seed, {}, "its errors are not finite")
        return cls(folder, seed, errors, None)


@dataclass(frozen=True)
class Trained:
    """What a group gave.

    Attributes:
        group: the group.
        trials: of the search for its learning rate; none where the member is not trained.
        runs: one for each seed; none where it diverged at every learning rate.
    """

    group: Group
    trials: Sequence[Trial]
    runs: Sequence[Run]

    @property
    def lr(self) -> float | None:
        """Its learning rate; None where the member is not trained."""
        return best(self.trials).lr if self.trials else None

    def errors(self, protocol: str) -> dict[int, float]:
        """The RMSE of each run that did not diverge, by seed."""
        return {run.seed: run.errors[protocol] for run in self.runs if run.message is None}

    def folder(self, seed: int) -> Path:
        """The folder of a run."""
        return next(run.folder for run in self.runs if run.seed == seed)

    @property
    def evaluations(self) -> int:
        """Circuit evaluations of a run; 0 of a classical network."""
        whole = [run for run in self.runs if run.message is None]
        return int(read_lines(whole[0].folder / UPDATES)[-1]["evaluations"]) if whole and self.group.updates else 0


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


@dataclass(frozen=True)
class Parts(Generic[T]):
    """The parts of a study.

    Attributes:
        updates: the methods at equal numbers of updates.
        evaluations: those that a processor could run, at equal numbers of circuit evaluations.
        epochs: the adjoint, if it is among the methods, and the networks beside, at equal numbers of epochs.
    """

    updates: list[T]
    evaluations: list[T]
    epochs: list[T]

    def map(self, function: Callable[[T], U]) -> Parts[U]:
        """The same parts of something else."""
        return Parts(*([function(one) for one in part] for part in (self.updates, self.evaluations, self.epochs)))

    @property
    def all(self) -> list[T]:
        """What there is, each once."""
        return list(dict.fromkeys(self.updates + self.evaluations + self.epochs))


def parts(plan: Plan, task: Task) -> Parts[Group]:
    """All groups of a study.

    Raises:
        ValueError: too few evaluations for an update.
    """

    def trainer(member: Member) -> Trainer:
        return Trainer(member.settings(plan.base), task, Path(), "native")

    # The adjoint tells what the layer reaches with many updates.
    networks = [member for member in plan.members if member == ADJOINT] + list(plan.rivals)
    return Parts(
        [Group(member, plan.updates) for member in plan.members],
        [
            Group(member, updates_within(plan.evaluations, trainer(member)))
            for member in plan.members
            if member.runs_on_processors
        ],
        [
            Group(member, plan.epochs * trainer(member).updates_per_epoch if member.is_trained else 0)
            for member in networks
        ],
    )


def train(plan: Plan, group: Group, out: Path) -> Workflow[Trained]:
    """Find the learning rate of a group, and train it from every seed.

    Args:
        plan: the study's.
        group: the group.
        out: the study's folder.
    """
    trials: list[Trial] = []
    lr = plan.base.lr  # of no account where nothing is trained
    if group.member.is_trained:
        trials = yield from search(plan, partial(_attempt, plan, group, out))
        lr = best(trials).lr
        if math.isinf(best(trials).error):
            return Trained(group, trials, [])
    folders = {seed: out / "runs" / group.folder / f"seed-{seed}" for seed in plan.all_seeds}
    yield [_job(folder, group.settings(plan, lr, seed)) for seed, folder in folders.items()]
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
