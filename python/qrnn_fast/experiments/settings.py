"""The settings of a training run. The command line's options are made from these fields."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qrnn_fast.experiments.layers import CELLS, CLASSICAL, QUANTUM
from qrnn_fast.experiments.noise import GRAMMAR as NOISE_GRAMMAR
from qrnn_fast.experiments.noise import parse
from qrnn_fast.files import write_json
from qrnn_fast.systems import NAMES, find_system
from qrnn_fast.systems.columns import GRAMMAR, parse_columns

BACKENDS = "auto, native, aer, runtime:NAME (a processor of IBM's, with the saved account) or fake:NAME (its snapshot)"
GRADIENTS = ("adjoint", "parameter-shift", "spsa", "fdsa")
UNTRAINED = "none"  # in place of a gradient method
SCHEDULES = ("constant", "one-cycle", "spall")
OPTIMISERS = ("adam", "sgd", "l-bfgs")
RIDGE_ON = ("run", "windows")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _setting(default: Any, text: str, panel: str | None = None) -> Any:
    """A field, its help, and the heading that it and those behind it stand under in the command line's help."""
    return dataclasses.field(default=default, metadata={"help": text, "panel": panel})


@dataclass(frozen=True)
class Settings:
    """All that decides the outcome of a training run.

    Raises:
        ValueError: a value that is not accepted.
    """

    data: str | None = _setting(
        None,
        "A .npy file (rows, columns), in place of a system; column 0 is observed where observe says nothing.",
        panel="Data",
    )
    system: str = _setting("lorenz", f"The system whose record is made: {NAMES}.")
    rows: int | None = _setting(None, "Rows of a system's record; the first 70 % train. Without it: the system's own.")
    observe: str | None = _setting(None, f"The columns that are read: {GRAMMAR}. Without it: the system's own.")
    predict: str | None = _setting(
        None,
        "The columns that are predicted, in the same way; some may be observed, too. Without it: the system's own, of "
        "most systems and of a file all that are not observed.",
    )
    cell: str = _setting(
        "crx_chain",
        f"The circuit of one step: {', '.join(QUANTUM)}; or a classical layer with as many parameters as that of "
        f"crx_chain, as nearly as can be: {', '.join(CLASSICAL)}.",
        panel="Network",
    )
    qubits: int = _setting(8, "Number of qubits, even.")
    repeats: int = _setting(1, "Repeats of the gates within a step.")
    context: int = _setting(1, "Rows read by a step: x(t), x(t-1), ..., newest first.")
    steps: int = _setting(20, "Steps T of a window.", panel="Windows")
    stride: int = _setting(5, "Rows between the starts of two windows.")
    washout: int = _setting(5, "First steps of a window that the loss and the windowed error leave out.")
    long_washout: int = _setting(100, "First steps left out of the long run's error (given with and without).")
    stateful: bool = _setting(
        False,
        "Train on windows that follow each other, batch_size streams side by side, each begun with the memory of the "
        "one before (truncated backpropagation through time); stride is not used, washout in the first ones alone.",
    )
    reset_memory: bool = _setting(
        False,
        "Reset the memory qubits, too, after every step, in training and wherever errors are measured, so that a step "
        "knows its context alone: the control experiment.",
    )
    gradient: str = _setting(
        "adjoint",
        f"Gradient method: {', '.join(GRADIENTS)}; or {UNTRAINED}: the layer stays as drawn, ridge solves the head, "
        "and what is said of updates (epochs, updates, batch_size, lr, schedule, stateful) is of no account.",
        panel="Gradient",
    )
    perturbation: float = _setting(0.1, "Size of the perturbation of spsa and fdsa.")
    samples: int = _setting(2, "Directions averaged over in one update of spsa.")
    per_sequence: bool = _setting(
        False, "With spsa, draw directions for every window of a batch instead of one for all: the same evaluations."
    )
    shots: int | None = _setting(
        None,
        "Samples per circuit evaluation; the adjoint trains on exact probabilities and is measured with shots. Without "
        "it: exact probabilities.",
        panel="Simulation",
    )
    backend: str = _setting("auto", f"Where training runs: {BACKENDS}.")
    measure_on: str = _setting(
        "native",
        "Where errors are measured: native, or backend, which on a processor runs all windows and the long run, too.",
    )
    noise: str | None = _setting(None, f"Noise of the circuit: {NOISE_GRAMMAR}. Without it: none.")
    epochs: int = _setting(10, "Passes over the training windows.", panel="Optimisation")
    updates: int | None = _setting(None, "Stop after this many updates, within an epoch if need be.")
    batch_size: int = _setting(32, "Windows of one update.")
    optimiser: str = _setting(
        "adam",
        f"What moves the weights: {', '.join(OPTIMISERS)}. l-bfgs takes exact gradients of all training windows at "
        "once, an update being an epoch; batch_size, lr and schedule are not used.",
    )
    lr: float = _setting(0.01, "Learning rate: the peak where the schedule is one-cycle, the first where it is spall.")
    schedule: str = _setting(
        "constant",
        f"Learning rate over the updates: {', '.join(SCHEDULES)}. spall lets it fall with the power 0.602 of the "
        "updates, and the perturbation of spsa and fdsa with the power 0.101 (Spall, 1998).",
    )
    clip: float | None = _setting(
        None, "Norm to which a longer gradient, by all weights together, is cut down. Without it: no such limit."
    )
    ridge: float | None = _setting(
        None,
        "Penalty of a ridge regression that replaces the head at the end; with l-bfgs in every evaluation, too, on the "
        "windows. Without it: the head as trained.",
    )
    ridge_on: str = _setting(
        "run",
        f"What ridge solves the head on: {' or '.join(RIDGE_ON)}. run: the training rows as one sequence, for the long "
        "run's sake; windows: the training windows, for the windowed error's. No head is the best in both.",
    )
    seed: int = _setting(
        0,
        "Decides the initial weights, the order of the windows, the estimators' directions and the shots.",
        panel="Run",
    )
    dtype: str = _setting("float64", f"Precision: {', '.join(DTYPES)}.")
    threads: int | None = _setting(None, "CPU threads. Without it: PyTorch's choice.")
    checkpoint_every: int | None = _setting(None, "Updates between checkpoints, besides those after every epoch.")
    validate_every: int = _setting(1, "Epochs between two validations during training; 0: none.")

    def __post_init__(self) -> None:
        for name, accepted in (
            ("cell", CELLS),
            ("gradient", (*GRADIENTS, UNTRAINED)),
            ("schedule", SCHEDULES),
            ("optimiser", OPTIMISERS),
            ("dtype", tuple(DTYPES)),
            ("measure_on", ("native", "backend")),
            ("ridge_on", RIDGE_ON),
        ):
            if getattr(self, name) not in accepted:
                raise ValueError(f"{name} must be one of {', '.join(accepted)}; got {getattr(self, name)!r}")
        if self.data is None:
            find_system(self.system)
        else:
            self._check_no_system()
        for name in ("observe", "predict"):
            if getattr(self, name) is not None:
                parse_columns(name, getattr(self, name))
        for name in ("qubits", "repeats", "context", "steps", "stride", "samples", "epochs", "batch_size"):
            self._at_least(name, 1)
        for name in ("rows", "shots", "updates", "threads", "checkpoint_every"):
            if getattr(self, name) is not None:
                self._at_least(name, 1)
        for name in ("washout", "long_washout", "validate_every", "seed"):
            self._at_least(name, 0)
        is_native = self.backend in ("auto", "native")
        is_named = self.runs_on_qpu and not self.backend.endswith(":")
        if not (is_native or is_named or self.backend == "aer"):
            raise ValueError(f"backend must be one of {BACKENDS}; got {self.backend!r}")
        if self.gradient == "adjoint" and not is_native:
            raise ValueError(
                f"gradient 'adjoint' needs the native backend, and this is {self.backend!r}; choose another one of "
                f"{', '.join(GRADIENTS)}"
            )
        self._check_cell(is_native)
        if self.per_sequence and self.gradient != "spsa":
            raise ValueError(
                f"per_sequence is for gradient 'spsa', and this is {self.gradient!r}; leave it out, or choose spsa"
            )
        if self.stateful and not is_native:
            raise ValueError(f"stateful training needs the memory, which {self.backend!r} does not tell; use native")
        if self.stateful and self.reset_memory:
            raise ValueError("stateful training carries the memory over, and reset_memory drops it; choose one of them")
        if self.optimiser == "l-bfgs" and (self.stateful or self.gradient != "adjoint"):
            raise ValueError(
                "optimiser 'l-bfgs' takes exact gradients of all windows at once, so gradient must be 'adjoint' and "
                f"stateful off; got gradient {self.gradient!r}, stateful {self.stateful}; use longer windows in place "
                "of stateful ones, or adam"
            )
        if self.runs_on_qpu and self.noise is not None:
            raise ValueError(f"{self.backend} has noise of its own; leave noise out, or train on native or aer")
        if self.washout >= self.steps:
            raise ValueError(f"washout must be below steps ({self.steps}), or no step is left; got {self.washout}")
        if self.optimiser == "l-bfgs" and self.clip is not None:
            raise ValueError("optimiser 'l-bfgs' chooses its steps by a line search; leave clip out")
        for name in ("lr", "perturbation", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a finite number above 0, got {value}")
        if self.ridge is not None and not 0 <= self.ridge < float("inf"):
            raise ValueError(f"ridge must be a finite number of at least 0, got {self.ridge}")
        if self.gradient == UNTRAINED and self.ridge is None:
            raise ValueError(
                f"gradient {UNTRAINED!r} makes no updates, so ridge has to solve the head; give ridge, such as 1e-6"
            )
        if self.noise is not None:
            parse(self.noise)
        if self.seed >= 2**63:
            raise ValueError(f"seed must be below 2^63, got {self.seed}")

    def _check_no_system(self) -> None:
        for name in ("system", "rows"):
            value = getattr(self, name)
            if value != getattr(Settings, name):
                raise ValueError(
                    f"data is a record as it is, and {name} would make one; leave {name} {value!r} or data out"
                )

    def _check_cell(self, is_native: bool) -> None:
        if self.qubits % 2:
            raise ValueError(f"qubits must be even, for half of them are memory; got {self.qubits}")
        if self.cell in QUANTUM:
            if self.repeats > 1 and not QUANTUM[self.cell].has_repeats:
                raise ValueError(f"repeats must be 1 for the cell {self.cell}, which has none; got {self.repeats}")
            return
        if self.gradient not in ("adjoint", UNTRAINED):
            raise ValueError(
                f"cell {self.cell!r} is no circuit and trains by backpropagation, which is gradient 'adjoint'; got "
                f"{self.gradient!r}"
            )
        if self.reset_memory:
            raise ValueError(f"cell {self.cell!r} is no circuit, whose qubits reset_memory resets; leave it out")
        measured = self.shots is not None or self.noise is not None or self.measure_on != "native"
        if measured or not is_native:
            raise ValueError(f"cell {self.cell!r} is no circuit; leave out shots, noise, backend and measure_on")

    @property
    def runs_on_qpu(self) -> bool:
        """Whether a processor, or the snapshot of one, does the training."""
        return self.backend.startswith(("runtime:", "fake:"))

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")

    def save(self, path: Path) -> None:
        """Write the settings as JSON."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read settings written by `save`, by this version or one before it.

        A setting that the file lacks is one that did not exist yet: the default stands for what was done without it.

        Raises:
            ValueError: no such file, or a file that does not hold settings.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; a run folder holds one, written by `qrnn-fast train`") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: cannot be read as a run's settings ({error})") from error
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not values:
            raise ValueError(f"{path}: is not a run's settings, which are an object with the keys {sorted(names)}")
        if unknown := sorted(values.keys() - names):
            raise ValueError(
                f"{path}: is not a run's settings of this version, which has none of the name {', '.join(unknown)}; "
                f"accepted: {', '.join(sorted(names))}"
            )
        return cls(**values)

    def refuse_other(self, given: dict[str, Any]) -> None:
        """Compare with settings given anew.

        Args:
            given: names and values, those that were given only.

        Raises:
            ValueError: some differ; the message names them.
        """
        differing = {name: value for name, value in given.items() if getattr(self, name) != value}
        if differing:
            listed = "; ".join(
                f"{name}: the run has {getattr(self, name)!r}, given was {value!r}" for name, value in differing.items()
            )
            raise ValueError(
                f"a run can only be resumed with the settings it was begun with ({listed}); leave these options out, "
                "or begin a new run in another folder"
            )
