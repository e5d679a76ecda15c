"""What the figures of a study allow to be said."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qrnn_fast.experiments.study.groups import Trained

LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """How far a member's error lies above the best one's, seed by seed: the seeds give both the same start.

    The best is the best by the same runs, of which the correction does not know: of eight members that are all alike,
    one is told apart in about one study of ten, not of twenty.

    Attributes:
        member: its name.
        mean: mean difference over the seeds of which neither diverged.
        error: standard error of that mean.
        p: of the paired t test, two-sided, after Holm's correction for the number of members compared.
    """

    member: str
    mean: float
    error: float
    p: float

    @property
    def is_clear(self) -> bool:
        """Whether it is told apart from chance."""
        return self.p < LEVEL


def ranked(members: Sequence[Trained], protocol: str) -> list[Trained]:
    """Members of which no run diverged, from the best mean error to the worst."""
    whole = [one for one in members if one.runs and len(one.errors(protocol)) == len(one.runs)]
    return sorted(whole, key=lambda one: statistics.fmean(one.errors(protocol).values()))


def differences(members: Sequence[Trained], protocol: str) -> list[Difference]:
    """All `ranked` members but the best against the best."""
    best, *others = ranked(members, protocol)
    compared = [_paired(one.errors(protocol), best.errors(protocol)) for one in others]
    adjusted = holm([p for _, _, p in compared])
    return [
        Difference(one.group.member.name, mean, error, p)
        for one, (mean, error, _), p in zip(others, compared, adjusted, strict=True)
    ]


def holm(ps: Sequence[float]) -> list[float]:
    """Probabilities of error corrected for their number (S. Holm, Scand. J. Statist. 6, 65, 1979)."""
    adjusted, least = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = least
    return adjusted


def sentences(title: str, members: Sequence[Trained], protocol: str) -> list[str]:
    """The best member, and which of the others cannot be told apart from it."""
    if not ranked(members, protocol):
        return [f"{title}, every member has runs that diverged."]
    best = ranked(members, protocol)[0]
    errors = list(best.errors(protocol).values())
    said = [f"{title}, {best.group.member.name} has the least {protocol} RMSE: {mean_and_error(errors)}."]
    found = differences(members, protocol)
    alike = [d for d in found if not d.is_clear]
    if alike:
        said.append(f"Not told apart from it: {_listed(alike)}.")
    clear = [d for d in found if d.is_clear]
    if clear:
        said.append(f"Worse: {_listed(clear)}.")
    if lost := [one.group.member.name for one in members if one not in ranked(members, protocol)]:
        said.append(f"Not compared, since runs diverged: {', '.join(lost)}.")
    return said


def mean_and_error(values: Sequence[float]) -> str:
    """Mean and standard error of the mean."""
    if len(values) < 2:
        return "-" if not values else f"{values[0]:.4f}"
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"


def _paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float, float]:
    from scipy import stats  # takes half a second, which every start of the command line would pay

    gaps = [a[seed] - b[seed] for seed in a.keys() & b.keys()]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    mean = statistics.fmean(gaps)
    p = float(stats.ttest_1samp(gaps, 0.0).pvalue) if error > 0 else float(mean == 0)
    return mean, error, p


def _listed(found: Sequence[Difference]) -> str:
    return ", ".join(f"{d.member} (+{d.mean:.4f} ± {d.error:.4f}, p = {d.p:.2g})" for d in found)
