"""The network of a run: a quantum recurrent layer and a linear head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from qrnn_fast import _core, cells
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.estimators import FDSA, SPSA
from qrnn_fast.experiments.noise import make_noise
from qrnn_fast.experiments.settings import DTYPES, Settings
from qrnn_fast.nn import QRNN


class Forecaster(nn.Module):
    """A QRNN with a linear head: (B, T, context) to (B, T, n_targets).

    Args:
        layer: maps (B, T, context) to (B, T, features) and a memory.
        features: size of the layer's output.
        n_targets: number of predicted columns.
        measuring_shots: of a QRNN that trains exactly: its shots where no gradient is wanted. None leaves it as it is.
    """

    def __init__(self, layer: nn.Module, features: int, n_targets: int, measuring_shots: int | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.measuring_shots = measuring_shots
        dtype = next(layer.parameters()).dtype
        self.head = nn.Linear(features, n_targets, dtype=dtype)
        # The study's initialisation: probabilities are about 1 / features each, so the weights are large.
        bound = 2 * math.sqrt(6 / features)
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.constant_(self.head.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (B, T, n_targets) for inputs (B, T, context)."""
        if isinstance(self.layer, QRNN) and self.measuring_shots is not None:
            self.layer.shots = None if torch.is_grad_enabled() else self.measuring_shots
        output, _ = self.layer(x)
        return self.head(output)  # type: ignore[no-any-return]


def make_circuit(settings: Settings) -> Circuit:
    """The circuit of one step."""
    cell = {"crx_chain": cells.crx_chain, "rx_rz_chain": cells.rx_rz_chain, "reuploading": cells.reuploading}
    return cell[settings.cell](n_qubits=settings.qubits, repeats=settings.repeats)


def make_model(settings: Settings, n_targets: int, seed: int, directions: torch.Generator) -> Forecaster:
    """The network of a run, with the initial weights decided by `seed`.

    Args:
        settings: the run's settings.
        n_targets: number of predicted columns.
        seed: decides the initial weights; PyTorch's own random state is left as it was.
        directions: what the estimator and the shots draw from.
    """
    gradient: str | SPSA | FDSA = settings.gradient
    if gradient == "spsa":
        gradient = SPSA(c=settings.perturbation, samples=settings.samples, wrt="weights")
    elif gradient == "fdsa":
        gradient = FDSA(c=settings.perturbation, wrt="weights")
    circuit = make_circuit(settings)
    # Samples have no derivative: the adjoint's are drawn where it is measured.
    trains_exactly = gradient == "adjoint"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = QRNN(
            settings.context,
            circuit,
            batch_first=True,
            gradient=gradient,
            shots=None if trains_exactly else settings.shots,
            noise=None if settings.noise is None else make_noise(settings.noise),
            generator=directions,
            dtype=DTYPES[settings.dtype],
        )
        return Forecaster(layer, 2 ** len(circuit.readout), n_targets, settings.shots if trains_exactly else None)


def evaluations_per_sequence(settings: Settings, circuit: Circuit) -> int:
    """Circuit evaluations, each of all T steps, that one update spends on one sequence.

    On a quantum computer this is what costs. The forward pass is one evaluation. On top of it come 2 m for SPSA with m
    samples, 2 P for FDSA over the P weights of the encoder, and for parameter-shift one for each term of the shift
    rule of each gate occurrence, T times as many as there are in one step. The exact adjoint adds none, but works in
    simulation alone.
    """
    if settings.gradient == "spsa":
        return 1 + 2 * settings.samples
    if settings.gradient == "fdsa":
        return 1 + 2 * circuit.n_angles * (settings.context + 1)
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
