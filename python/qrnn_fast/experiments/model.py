"""The network of a run: a quantum recurrent layer and a linear head."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qrnn_fast import _core, backends, cells
from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.estimators import FDSA, SPSA
from qrnn_fast.experiments.noise import make_noise
from qrnn_fast.experiments.settings import DTYPES, UNTRAINED, Settings
from qrnn_fast.nn import QRNN

SHOTS = 1024  # of a processor, where none are given


class Way(NamedTuple):
    """How a layer's circuits run."""

    backend: str | Backend
    shots: int | None


class Forecaster(nn.Module):
    """A QRNN with a linear head: (B, T, n_inputs) to (B, T, n_targets).

    Args:
        layer: maps (B, T, n_inputs) to (B, T, features) and a memory.
        features: size of the layer's output.
        n_targets: number of predicted columns.
        measured_by: of a QRNN that is trained in one way and measured in another: the second one, by which it runs
            where no gradient is wanted. None leaves it as it is.
    """

    def __init__(self, layer: nn.Module, features: int, n_targets: int, measured_by: Way | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.trained_by = Way(layer.backend, layer.shots) if isinstance(layer, QRNN) else None
        self.measured_by = measured_by
        dtype = next(layer.parameters()).dtype
        self.head = nn.Linear(features, n_targets, dtype=dtype)
        # The study's initialisation: probabilities are about 1 / features each, so the weights are large.
        bound = 2 * math.sqrt(6 / features)
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.constant_(self.head.bias, 0.5)

    def outputs(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The layer's outputs (B, T, features) for inputs (B, T, n_inputs) and a memory, and the memory behind them."""
        if isinstance(self.layer, QRNN) and self.trained_by is not None and self.measured_by is not None:
            self.layer.backend, self.layer.shots = self.trained_by if torch.is_grad_enabled() else self.measured_by
        outputs: tuple[Tensor, Tensor | None] = self.layer(x, hx)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (B, T, n_targets) for inputs (B, T, n_inputs), begun from |0...0>."""
        return self.head(self.outputs(x)[0])  # type: ignore[no-any-return]


def make_circuit(settings: Settings) -> Circuit:
    """The circuit of one step."""
    cell = {"crx_chain": cells.crx_chain, "rx_rz_chain": cells.rx_rz_chain, "reuploading": cells.reuploading}
    return cell[settings.cell](n_qubits=settings.qubits, repeats=settings.repeats)


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
    gradient: str | SPSA | FDSA = settings.gradient
    if gradient == UNTRAINED:
        gradient = "adjoint"  # asked for by nobody
    elif gradient == "spsa":
        gradient = SPSA(c=settings.perturbation, samples=settings.samples, wrt="weights")
    elif gradient == "fdsa":
        gradient = FDSA(c=settings.perturbation, wrt="weights")
    circuit = make_circuit(settings)
    # Samples have no derivative: the adjoint's are drawn where it is measured.
    shots = None if gradient == "adjoint" else settings.shots
    measured_by = Way(backend if settings.measure_on == "backend" else "native", settings.shots)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = QRNN(
            n_inputs,
            circuit,
            batch_first=True,
            gradient=gradient,
            shots=shots,
            noise=None if settings.noise is None else make_noise(settings.noise),
            backend=backend,
            generator=directions,
            dtype=DTYPES[settings.dtype],
        )
        layer.requires_grad_(settings.gradient != UNTRAINED)
        return Forecaster(layer, 2 ** len(circuit.readout), n_targets, measured_by)


def evaluations_per_sequence(settings: Settings, circuit: Circuit, n_inputs: int) -> int:
    """Circuit evaluations, each of all T steps, that one update spends on one sequence.

    On a quantum computer this is what costs. The forward pass is one evaluation. On top of it come 2 m for SPSA with m
    samples, 2 P for FDSA over the P weights of the encoder, and for parameter-shift one for each term of the shift
    rule of each gate occurrence, T times as many as there are in one step. The exact adjoint adds none, but works in
    simulation alone. Where the layer stays as drawn there are no updates.

    Args:
        settings: the run's settings.
        circuit: of one step.
        n_inputs: numbers that a step reads.
    """
    if settings.gradient == UNTRAINED:
        return 0
    if settings.gradient == "spsa":
        return 1 + 2 * settings.samples
    if settings.gradient == "fdsa":
        return 1 + 2 * circuit.n_angles * (n_inputs + 1)
    if settings.gradient == "parameter-shift":
        ops = {op.name: op for op in _core.op_table()}
        terms = sum(
            len(ops[operation.name].shift_rule(i))
            for operation in circuit.operations
            for i, angle in enumerate(operation.angles)
            if isinstance(angle, Angle)
        )
        return 1 + terms * settings.steps
    return 1
