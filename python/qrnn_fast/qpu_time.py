"""What training on a quantum processor would take, before anything is sent."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators import Estimator, resolve
from qrnn_fast.nn import QRNN

if TYPE_CHECKING:
    from qrnn_fast.backends.runtime import Runtime


class UpdateEstimate(NamedTuple):
    """What one method takes.

    Attributes:
        gradient: the method.
        circuits: sequences that run for one update: those of the batch, and all perturbed copies.
        jobs: in how many jobs.
        shots: of each circuit.
        circuit_seconds: duration of the circuit of one sequence.
        update_seconds: QPU time of an update.
        epoch_seconds: QPU time of an epoch.
    """

    gradient: str
    circuits: int
    jobs: int
    shots: int
    circuit_seconds: float
    update_seconds: float
    epoch_seconds: float


class Estimates(tuple[UpdateEstimate, ...]):
    """One `UpdateEstimate` for each method; prints as a table."""

    def __str__(self) -> str:
        head = ("gradient", "circuits", "jobs", "shots", "circuit", "QPU, an update", "QPU, an epoch")
        rows = [
            (
                row.gradient,
                f"{row.circuits:,}",
                f"{row.jobs:,}",
                f"{row.shots:,}",
                f"{row.circuit_seconds * 1e6:,.0f} us",
                _duration(row.update_seconds),
                _duration(row.epoch_seconds),
            )
            for row in self
        ]
        widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
            )
            for line in (head, *rows)
        )


def estimate(
    model: QRNN,
    backend: Runtime,
    *,
    steps: int,
    batch_size: int = 1,
    sequences: int = 1,
    gradients: Sequence[str | Estimator] = ("parameter-shift", "spsa", "fdsa"),
    shots: int | None = None,
) -> Estimates:
    """What an update and an epoch of training would take of a quantum processor, by method. Nothing is sent.

    The methods are run with answers of zero to count the circuits that they ask for; the time of a circuit is that of
    its transpiled instructions, with the delay between shots and what each job takes besides.

    Args:
        model: the layer, with its circuit and encoder; it is not changed.
        backend: the processor.
        steps: steps T of a sequence.
        batch_size: sequences of an update.
        sequences: sequences of an epoch.
        gradients: methods.
        shots: of each circuit; None for the backend's.

    Raises:
        ValueError: a number below 1, a circuit that cannot run there, or "adjoint", which no processor can.
        TypeError: a model, backend or gradients of another type.
    """
    from qrnn_fast.backends.runtime import Runtime

    if not isinstance(model, QRNN):
        raise TypeError(f"model must be a qf.QRNN, got {type(model).__name__}; a circuit becomes one by qf.QRNN(...)")
    if not isinstance(backend, Runtime):
        raise TypeError(
            f"backend must be a qf.backends.Runtime, got {type(backend).__name__}; a processor becomes one by "
            "qf.backends.Runtime('fake:Marrakesh')"
        )
    if isinstance(gradients, str):
        raise TypeError(f"gradients must be a list of methods, got {gradients!r}; write [{gradients!r}]")
    for name, value in (("steps", steps), ("batch_size", batch_size), ("sequences", sequences)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return Estimates(_estimate(model, backend, steps, batch_size, sequences, g, shots) for g in gradients)


def _estimate(
    model: QRNN,
    backend: Runtime,
    steps: int,
    batch_size: int,
    sequences: int,
    gradient: str | Estimator,
    shots: int | None,
) -> UpdateEstimate:
    asked = _asked(model, backend.name, steps, gradient)
    circuits = {circuit for circuit, _ in asked}
    if backend.one_call_per_update and len(circuits) == 1:
        asked = [(asked[0][0], sum(n for _, n in asked))]
    calls = [backend.qpu_seconds(circuit, steps, batch_size * n, shots) for circuit, n in asked]
    update = sum(call.qpu_seconds for call in calls)
    return UpdateEstimate(
        resolve(gradient, "weights").method,
        sum(call.circuits for call in calls),
        sum(call.jobs for call in calls),
        calls[0].shots,
        calls[0].circuit_seconds,
        update,
        update * math.ceil(sequences / batch_size),
    )


class _Counting:
    """A backend that writes down the circuit and the number of sequences of each call, and answers zeros."""

    shots = 1

    def __init__(self, name: str) -> None:
        self.name = name  # of the backend in whose place it stands, for messages
        self.asked: list[tuple[Circuit, int]] = []

    def run(self, circuit: Circuit, angles: Tensor, memory: Tensor | None, **_: Any) -> tuple[Tensor, None]:
        self.asked.append((circuit, len(angles)))
        return angles.new_zeros(*angles.shape[:2], 2 ** len(circuit.readout)), None


def _asked(model: QRNN, name: str, steps: int, gradient: str | Estimator) -> list[tuple[Circuit, int]]:
    """The calls of one update of one sequence: the circuit of each, and how often it runs."""
    trial, counting = copy.deepcopy(model), _Counting(name)
    trial.gradient, trial.backend, trial.noise, trial.shots = gradient, counting, None, None
    parameter = next(trial.parameters(), torch.empty(0, device="cpu"))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():  # seeds and dropout masks are drawn for nothing
        output, _ = trial(torch.zeros(steps, model.input_size, dtype=parameter.dtype, device=parameter.device))
        output.sum().backward()
    return counting.asked


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
