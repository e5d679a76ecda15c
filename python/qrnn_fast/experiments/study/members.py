"""What a study trains: gradient methods, and networks to hold them against."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrnn_fast.experiments.settings import Settings


@dataclass(frozen=True)
class Member:
    """One row of the tables.

    Attributes:
        name: its name, on the command line, too.
        changes: the settings in which it differs from the study's own.
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
    def runs_on_processors(self) -> bool:
        """Whether a quantum processor could train it."""
        return bool(self.changes["gradient"] != "adjoint")


ADJOINT = Member("adjoint", {"gradient": "adjoint"})
MEMBERS = {
    member.name: member
    for member in (
        ADJOINT,
        Member("parameter-shift", {"gradient": "parameter-shift"}),
        Member("fdsa", {"gradient": "fdsa"}),
        Member("spsa-1", {"gradient": "spsa", "samples": 1}),
        Member("spsa-2", {"gradient": "spsa", "samples": 2}),
        Member("spsa-8", {"gradient": "spsa", "samples": 8}),
    )
}
# What a study or its members decide, and the command line therefore does not offer as a setting of all runs.
DECIDED = frozenset({"gradient", "samples", "lr", "epochs", "updates", "seed"})


def chosen(names: Sequence[str]) -> tuple[Member, ...]:
    """The members of these names.

    Raises:
        ValueError: an unknown name, one given twice, or none.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(MEMBERS):
        raise ValueError(f"methods must be some of {', '.join(MEMBERS)}, each once; got {', '.join(names)!r}")
    return tuple(MEMBERS[name] for name in names)
