"""Trained runs of a comparison and the checks they must pass."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qrnn_fast.experiments.errors import Errors
from qrnn_fast.experiments.runs import NETWORK
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import Trainer


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        trainer: the run at its end.
        errors: errors by model ("QRNN", then the baselines on the same targets) and protocol.
        updates: the log of its updates.
    """

    trainer: Trainer
    errors: dict[str, dict[str, Errors]]
    updates: list[dict[str, Any]]

    @property
    def seconds_per_update(self) -> float:
        """Mean over all updates but the first, which warms up."""
        return statistics.fmean(line["seconds"] for line in self.updates[1:] or self.updates)

    @property
    def loss_drop(self) -> float:
        """How far the loss has fallen, in standard errors; see `loss_drop`."""
        return loss_drop([line["loss"] for line in self.updates])


@dataclass(frozen=True)
class Outcome:
    """An entry of a comparison: the same training from several seeds.

    Attributes:
        label: its name.
        bar: the baseline that its windowed error must not exceed, from no seed; None asks for nothing.
        runs: one for each seed.
    """

    label: str
    bar: str | None
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run of the first seed: the one that is plotted and whose costs are given."""
        return self.runs[0]

    @property
    def settings(self) -> Settings:
        """The settings of the first run."""
        return self.first.trainer.settings

    @property
    def loss_drop(self) -> float:
        """The least of the runs'."""
        return min(run.loss_drop for run in self.runs)

    def rmse(self, protocol: str) -> tuple[float, ...]:
        """The network's error under a protocol, run by run."""
        return tuple(run.errors[NETWORK][protocol].mean for run in self.runs)


@dataclass(frozen=True)
class Check:
    """A statement about runs and whether it holds."""

    statement: str
    passed: bool


def loss_drop(losses: Sequence[float]) -> float:
    """How far the mean of the last tenth of the losses lies below the first tenth's, in standard errors."""
    tenth = max(2, len(losses) // 10)
    first, last = losses[:tenth], losses[-tenth:]
    error = math.sqrt((statistics.variance(first) + statistics.variance(last)) / tenth)
    return (statistics.fmean(first) - statistics.fmean(last)) / error


def checks(outcomes: Sequence[Outcome]) -> list[Check]:
    """What a comparison has to show: that every run learned, and that errors do not exceed their bars."""
    found = []
    for outcome in outcomes:
        drop = outcome.loss_drop
        found.append(
            Check(
                f"{outcome.label}{_seeds(outcome)}: mean loss of the last tenth of updates {drop:.1f} standard errors "
                "below the first tenth's (more than 2)",
                drop > 2,
            )
        )
    for outcome in outcomes:
        if outcome.bar is not None:
            reached = max(outcome.rmse("windowed"))
            bar = outcome.first.errors[outcome.bar]["windowed"].mean
            found.append(
                Check(
                    f"{outcome.label}{_seeds(outcome)}: windowed RMSE {reached:.4f}, that of {outcome.bar} {bar:.4f}",
                    reached < bar,
                )
            )
    return found


def _seeds(outcome: Outcome) -> str:
    return f" (worst of {len(outcome.runs)} seeds)" if len(outcome.runs) > 1 else ""
