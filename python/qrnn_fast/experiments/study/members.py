"""What a study trains: a network by each gradient method, and networks to hold it against."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrnn_fast.experiments.settings import UNTRAINED, Settings


@dataclass(frozen=True)
class Member:
    """One row of the tables.

    Attributes:
        name: its name, on the command line, too.
        changes: the settings in which it differs from the study's own, the gradient among them.
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(hash=False)

    def settings(self, base: Settings, **changes: Any) -> Settings:
        """The settings of one of its runs.

        Args:
            base: the study's own.
            changes: what the run adds.

        Raises:
            ValueError: settings that do not go together.
        """
        return dataclasses.replace(base, **self.changes, **changes)

    @property
    def is_trained(self) -> bool:
        """Whether there are updates, and a learning rate to be found."""
        return bool(self.changes["gradient"] != UNTRAINED)

    @property
    def estimator(self) -> Mapping[str, Any]:
        """What decides its gradient at given weights: its changes but for what is done with the gradient."""
        return {name: value for name, value in self.changes.items() if name not in ("schedule", "optimiser")}

    @property
    def runs_on_processors(self) -> bool:
        """Whether a quantum processor could do its training."""
        return self.changes["gradient"] not in ("adjoint", UNTRAINED)


def _table(*members: Member) -> dict[str, Member]:
    return {member.name: member for member in members}


_CLASSICAL = {"gradient": "adjoint", "shots": None, "noise": None, "reset_memory": False}
_RIDGE = {"gradient": UNTRAINED, "ridge": 1e-6}

ADJOINT = Member("adjoint", {"gradient": "adjoint"})
METHODS = _table(
    ADJOINT,
    Member("parameter-shift", {"gradient": "parameter-shift"}),
    Member("fdsa", {"gradient": "fdsa"}),
    Member("spsa-1", {"gradient": "spsa", "samples": 1}),
    Member("spsa-2", {"gradient": "spsa", "samples": 2}),
    Member("spsa-8", {"gradient": "spsa", "samples": 8}),
    Member("spsa-2-spall", {"gradient": "spsa", "samples": 2, "schedule": "spall", "optimiser": "sgd"}),
    Member("spsa-2-per-sequence", {"gradient": "spsa", "samples": 2, "per_sequence": True}),
)
NETWORKS = _table(
    Member("gru", {"cell": "gru", **_CLASSICAL}),
    Member("lstm", {"cell": "lstm", **_CLASSICAL}),
    Member("no-memory", {"gradient": "adjoint", "reset_memory": True, "stateful": False}),
    Member("random-weights", _RIDGE),
    Member("echo-state-cell", {"cell": "echo_state", **_RIDGE}),
)
# What a study or its members decide, and the command line therefore does not offer as a setting of all runs. A study
# trains in simulation, natively.
DECIDED = frozenset(
    {"system", "gradient", "samples", "per_sequence", "backend", "measure_on", "lr", "epochs", "updates", "seed"}
)


def chosen(kind: str, names: Sequence[str]) -> tuple[Member, ...]:
    """The members of these names.

    Args:
        kind: "methods" or "networks".
        names: of members of this kind.

    Raises:
        ValueError: an unknown name, one given twice, or no method.
    """
    table = METHODS if kind == "methods" else NETWORKS
    if len(set(names)) < len(names) or not set(names) <= set(table) or (kind == "methods" and not names):
        raise ValueError(f"{kind} must be some of {', '.join(table)}, each once; got {', '.join(names)!r}")
    return tuple(table[name] for name in names)
