"""The tables of a study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from qrnn_fast.experiments.study.groups import Trained
from qrnn_fast.experiments.study.study import Study
from qrnn_fast.experiments.table import TextTable

PROTOCOLS = ("train", "windowed", "long run", "long run, no washout")


def tables(study: Study) -> list[TextTable]:
    """The tables of a study."""
    return [
        _errors("Equal numbers of updates", study.equal_updates),
        _errors("Equal numbers of circuit evaluations", study.equal_evaluations),
    ]


def _errors(title: str, members: Sequence[Trained]) -> TextTable:
    table = TextTable(title, ["method", "updates", "learning rate", *PROTOCOLS])
    table.sections.append(
        [
            [
                one.group.member.name,
                f"{one.group.updates:,}",
                f"{one.lr:g}",
                *(_mean(one.errors(protocol)) for protocol in PROTOCOLS),
            ]
            for one in members
        ]
    )
    return table


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "-"
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"
