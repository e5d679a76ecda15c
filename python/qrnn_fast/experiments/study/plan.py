"""What a study was asked for, kept in its folder so that it can be resumed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study.members import METHODS, NETWORKS, Member, chosen
from qrnn_fast.files import write_json

STUDY = "study.json"
TUNERS = ("grid", "optuna")
TUNING_SEED = 1_000_000  # above all seeds of a study, so that no run is tuned on what it is judged by
# One thread a run: small batches gain little from a second one, and a study has a run for every processor.
BASE = Settings(batch_size=8, dtype="float32", threads=1, validate_every=0)


@dataclass(frozen=True)
class Plan:
    """All that decides the figures of a study.

    Attributes:
        base: settings of all runs; its seed is the first of the study.
        methods: names of the gradient methods.
        networks: names of the networks that are trained beside.
        seeds: runs of each member that are reported, with seeds from that of `base` on.
        updates: of every run where methods have equal numbers of updates.
        evaluations: of every run where methods have equal numbers of circuit evaluations.
        epochs: of every run where networks have equal numbers of epochs.
        tuner: how learning rates are found, one of `TUNERS`.
        trials: learning rates that "optuna" tries for a member; "grid" has no use for it.
        processor: whose time is told, as `qf.backends.Runtime` takes it; None for no processor.

    Raises:
        ValueError: a value that is not accepted.
    """

    base: Settings = BASE
    methods: tuple[str, ...] = tuple(METHODS)
    networks: tuple[str, ...] = tuple(NETWORKS)
    seeds: int = 5
    updates: int = 150
    evaluations: int = 150_000
    epochs: int = 20
    tuner: str = "grid"
    trials: int = 8
    processor: str | None = None

    def __post_init__(self) -> None:
        if self.base.optimiser == "l-bfgs":
            raise ValueError("optimiser 'l-bfgs' has no batches and no learning rate to compare by; use adam or sgd")
        for member in (*self.members, *self.rivals):
            member.settings(self.base)
        if self.seeds < 2:
            raise ValueError(f"seeds must be at least 2, for there to be an error of the mean; got {self.seeds}")
        if self.updates < 2:
            raise ValueError(f"updates must be at least 2, for there to be a time between two; got {self.updates}")
        for name in ("evaluations", "epochs", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.tuner not in TUNERS:
            raise ValueError(f"tuner must be one of {', '.join(TUNERS)}; got {self.tuner!r}")
        if self.base.seed + self.seeds > TUNING_SEED:
            raise ValueError(
                f"the seeds must stay below {TUNING_SEED}, which is that of the search for learning rates; got "
                f"{self.base.seed} to {self.base.seed + self.seeds - 1}"
            )

    @property
    def members(self) -> tuple[Member, ...]:
        """The methods, in the order of the tables."""
        return chosen("methods", self.methods)

    @property
    def rivals(self) -> tuple[Member, ...]:
        """The networks beside, in the order of the tables."""
        return chosen("networks", self.networks)

    @property
    def all_seeds(self) -> range:
        """The seeds of the reported runs."""
        return range(self.base.seed, self.base.seed + self.seeds)

    def save(self, folder: Path) -> None:
        """Write the plan to the study's folder."""
        write_json(folder / STUDY, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Read the plan of the study in a folder.

        Raises:
            ValueError: no such file, or a file that does not hold a plan.
        """
        path = folder / STUDY
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            lists = {name: tuple(values[name]) for name in ("methods", "networks")}
            return cls(**{**values, **lists, "base": Settings(**values["base"])})
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; leave --resume out to begin a study in {folder}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: cannot be read as the plan of a study ({error})") from error

    def refuse_other(self, given: dict[str, Any], settings: dict[str, Any]) -> None:
        """Compare with what is given anew.

        Args:
            given: names and values of the plan's own fields, those that were given only.
            settings: the same of the settings of all runs.

        Raises:
            ValueError: some differ; the message names them.
        """
        self.base.refuse_other(settings)
        differing = {name: value for name, value in given.items() if getattr(self, name) != value}
        if differing:
            listed = "; ".join(
                f"{name}: the study has {getattr(self, name)!r}, given was {value!r}"
                for name, value in differing.items()
            )
            raise ValueError(
                f"a study can only be resumed as it was begun ({listed}); leave these options out, or begin a new one "
                "in another folder"
            )
