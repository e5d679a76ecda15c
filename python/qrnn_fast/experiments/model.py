"""The network of a run: a recurrent layer, quantum or classical, and a linear head."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qrnn_fast import _core, backends
from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Angle
from qrnn_fast.estimators import FDSA, SPSA
from qrnn_fast.experiments.layers import CLASSICAL, QUANTUM
from qrnn_fast.experiments.noise import make_noise
from qrnn_fast.experiments.settings import DTYPES, UNTRAINED, Settings
from qrnn_fast.nn import QRNN

SHOTS = 1024  # of a processor, where none are given


class Way(NamedTuple):
    """How a layer's circuits run."""

    backend: str | Backend
    shots: int | None


Memory = Tensor | tuple[Tensor, Tensor]  # the pair is an LSTM's


def map_memory(function: Callable[[Tensor], Tensor], memory: Memory) -> Memory:
    """A memory after a function of each of its tensors (1, B, ...)."""
    return function(memory) if isinstance(memory, Tensor) else (function(memory[0]), function(memory[1]))


class Forecaster(nn.Module):
    """A recurrent layer with a linear head: (B, T, n_inputs) to (B, T, n_targets).

    Args:
        layer: maps (B, T, n_inputs) and a memory, None for the initial one, to (B, T, features) and a memory.
        head: maps features to predictions.
    """

    def __init__(self, layer: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.head = head

    def outputs(self, x: Tensor, hx: Memory | None = None, ids: Tensor | None = None) -> tuple[Tensor, Memory | None]:
        """The layer's outputs (B, T, features) for inputs (B, T, n_inputs) and a memory, and the memory behind them.

        Args:
            x: the inputs.
            hx: the memory, None for the initial one.
            ids: (B,) what sets apart what the sequences draw; None for their numbers.
        """
        outputs: tuple[Tensor, Memory | None] = self.layer(x, hx)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (B, T, n_targets) for inputs (B, T, n_inputs), begun from the initial memory."""
        return self.head(self.outputs(x)[0])  # type: ignore[no-any-return]


class QuantumForecaster(Forecaster):
    """A QRNN with a linear head, trained in one way and measured, where no gradient is wanted, in another.

    Args:
        layer: the QRNN, set to train.
        n_targets: outputs of the head, which gets the study's initialisation: probabilities are about 1 / features
            each, so the weights are large.
        measured_by: how its circuits run where it is measured.
    """

    layer: QRNN

    def __init__(self, layer: QRNN, n_targets: int, measured_by: Way) -> None:
        head = nn.Linear(layer.output_size, n_targets, dtype=next(layer.parameters()).dtype)
        bound = 2 * math.sqrt(6 / layer.output_size)
        nn.init.uniform_(head.weight, -bound, bound)
        nn.init.constant_(head.bias, 0.5)
        super().__init__(layer, head)
        self.trained_by = Way(layer.backend, layer.shots)
        self.measured_by = measured_by

    def outputs(self, x: Tensor, hx: Memory | None = None, ids: Tensor | None = None) -> tuple[Tensor, Memory | None]:
        self.layer.backend, self.layer.shots = self.trained_by if torch.is_grad_enabled() else self.measured_by
        outputs: tuple[Tensor, Memory | None] = self.layer(x, hx, sequence_ids=ids)
        return outputs


def make_backend(
    settings: Settings, journal: Path | None = None, max_qpu_seconds: float | None = None
) -> str | Backend:
    """The backend of a run.

    Args:
        settings: the run's settings.
        journal: where a processor's jobs are kept.
        max_qpu_seconds: limit to a processor's time.

    Raises:
        ValueError: an unknown processor, one that cannot run recurrent circuits, or a limit to what is no processor.
        RuntimeError: no account of IBM's is saved.
        ImportError: a package is missing.
    """
    if max_qpu_seconds is not None and not settings.runs_on_qpu:
        raise ValueError(
            f"max_qpu_seconds is for quantum processors, and backend {settings.backend!r} is none; leave it out"
        )
    if settings.backend == "aer":
        return backends.Aer(shots=settings.shots, max_parallel_threads=settings.threads or 0)
    if settings.runs_on_qpu:
        return backends.Runtime(
            settings.backend.removeprefix("runtime:"),
            shots=settings.shots or SHOTS,
            journal=journal,
            max_qpu_seconds=max_qpu_seconds,
        )
    return settings.backend


def make_model(
    settings: Settings, n_inputs: int, n_targets: int, seed: int, directions: torch.Generator, backend: str | Backend
) -> Forecaster:
    """The network of a run, with the initial weights decided by `seed`.

    Args:
        settings: the run's settings.
        n_inputs: numbers that a step reads.
        n_targets: number of predicted columns.
        seed: decides the initial weights; PyTorch's own random state is left as it was.
        directions: what the estimator and the shots draw from.
        backend: where training runs, as of `make_backend`.
    """
    dtype = DTYPES[settings.dtype]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.cell in CLASSICAL:
            cell = CLASSICAL[settings.cell]
            hidden = cell.hidden_size(n_inputs, n_targets, settings.qubits)
            layer = cell.layer(n_inputs, hidden, batch_first=True, dtype=dtype)
            model = Forecaster(layer, nn.Linear(hidden, n_targets, dtype=dtype))
        else:
            # Samples have no derivative: where the adjoint trains, they are drawn where it is measured.
            qrnn = _make_qrnn(settings, n_inputs, directions, backend)
            measured_by = Way(backend if settings.measure_on == "backend" else "native", settings.shots)
            model = QuantumForecaster(qrnn, n_targets, measured_by)
    model.layer.requires_grad_(settings.gradient != UNTRAINED)
    return model


def _make_qrnn(settings: Settings, n_inputs: int, directions: torch.Generator, backend: str | Backend) -> QRNN:
    gradient: str | SPSA | FDSA = settings.gradient
    if gradient == UNTRAINED:
        gradient = "adjoint"  # asked for by nobody
    elif gradient == "spsa":
        gradient = SPSA(c=settings.perturbation, samples=settings.samples, per_sequence=settings.per_sequence)
    elif gradient == "fdsa":
        gradient = FDSA(c=settings.perturbation, wrt="weights")
    cell, dtype = QUANTUM[settings.cell], DTYPES[settings.dtype]
    circuit = cell.circuit(settings.qubits, settings.repeats)
    if settings.reset_memory:
        circuit.reset(circuit.memory)
    encoder = None if cell.encoder is None else cell.encoder(n_inputs, circuit, settings.repeats, dtype)
    return QRNN(
        n_inputs,
        circuit,
        encoder=encoder,
        batch_first=True,
        gradient=gradient,
        shots=None if gradient == "adjoint" else settings.shots,
        noise=None if settings.noise is None else make_noise(settings.noise),
        backend=backend,
        generator=directions,
        dtype=dtype if encoder is None else None,
    )


def evaluations_per_sequence(settings: Settings, layer: nn.Module) -> int:
    """Circuit evaluations, each of all T steps, that one update spends on one sequence.

    On a quantum computer this is what costs. The forward pass is one evaluation. On top of it come 2 m for SPSA with m
    samples, 2 P for FDSA over the P weights of the encoder, and for parameter-shift one for each term of the shift
    rule of each gate occurrence, T times as many as there are in one step. The exact adjoint adds none, but works in
    simulation alone. A classical layer has no circuits, and one that stays as drawn no updates.

    Args:
        settings: the run's settings.
        layer: of the network that `make_model` makes of them.
    """
    if settings.gradient == UNTRAINED or not isinstance(layer, QRNN):
        return 0
    if settings.gradient == "spsa":
        return 1 + 2 * settings.samples
    if settings.gradient == "fdsa":
        return 1 + 2 * sum(p.numel() for p in layer.encoder.parameters())
    if settings.gradient == "parameter-shift":
        ops = {op.name: op for op in _core.op_table()}
        terms = sum(
            len(ops[operation.name].shift_rule(i))
            for operation in layer.circuit.operations
            for i, angle in enumerate(operation.angles)
            if isinstance(angle, Angle)
        )
        return 1 + terms * settings.steps
    return 1
