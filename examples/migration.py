"""A recurrent circuit in a plain PyTorch + Qiskit Aer loop, and the same model with one layer exchanged.

The circuit is the one of Viqueira et al. (arXiv:2310.20671, EMCZ2): a register E that is encoded, measured and reset in
every step, and a register M that remembers. docs/migration.md goes through this file.
"""

from __future__ import annotations

import numpy as np
import qrnn_fast as qf
import torch
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector
from qiskit_aer import AerSimulator
from torch import Tensor, nn

E, M = [0, 1], [2, 3]  # the two registers
N_WEIGHTS = 2 * len(E + M) + len(E)


def one_step(qc: QuantumCircuit, x: list, weights: list, bits: list) -> None:
    """Append one time step: encode the inputs in E, let E and M interact, measure and reset E."""
    angles = iter(weights)
    for qubit, value in zip(E, x, strict=True):
        qc.ry(value, qubit)
    for qubit in E + M:
        qc.rx(next(angles), qubit)
        qc.rz(next(angles), qubit)
    for qubit in range(len(E + M) - 1):
        qc.cz(qubit, qubit + 1)
    for qubit in E:
        qc.rx(next(angles), qubit)
    qc.measure(E, bits)
    qc.reset(E)


class AerLayer(nn.Module):
    """Before: one circuit per sequence, all steps in a row; expectations of Z of E at every step, from counts."""

    def __init__(self, steps: int, shots: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(N_WEIGHTS).uniform_(-np.pi, np.pi))
        self.simulator, self.shots = AerSimulator(), shots
        self.inputs = [ParameterVector(f"x{t}", len(E)) for t in range(steps)]
        self.angles = ParameterVector("w", N_WEIGHTS)
        registers = [ClassicalRegister(len(E), f"step{t}") for t in range(steps)]
        self.circuit = QuantumCircuit(QuantumRegister(len(E + M)), *registers)
        for x, bits in zip(self.inputs, registers, strict=True):
            one_step(self.circuit, list(x), list(self.angles), list(bits))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, 2) to (B, T, 2)
        weights = dict(zip(self.angles, self.weights.tolist(), strict=True))
        inputs = [p for vector in self.inputs for p in vector]
        circuits = [
            self.circuit.assign_parameters(weights | dict(zip(inputs, sequence.flatten().tolist(), strict=True)))
            for sequence in x
        ]
        seed = int(torch.randint(2**62, ()))
        result = self.simulator.run(circuits, shots=self.shots, seed_simulator=seed).result()
        z = torch.zeros(len(x), len(self.inputs), len(E))
        for b in range(len(x)):
            for key, count in result.get_counts(b).items():
                for t, bits in enumerate(reversed(key.split(" "))):
                    for i, bit in enumerate(reversed(bits)):
                        z[b, t, i] += (1 - 2 * int(bit)) * count / self.shots
        return z


def fast_layer() -> qf.QRNN:
    """After: the same step, drawn once; every method of gradients, no loops."""
    x, weights = ParameterVector("x", len(E)), ParameterVector("w", N_WEIGHTS)
    step = QuantumCircuit(len(E + M), len(E))
    one_step(step, list(x), list(weights), list(step.clbits))
    circuit = qf.from_qiskit(step, angles=[*x, *weights])
    encoder = qf.InputsAndWeights(len(E), N_WEIGHTS)
    return qf.QRNN(len(E), circuit, encoder=encoder, output="z", batch_first=True)


class Forecaster(nn.Module):
    """The model around the layer, which does not change."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(len(E), 1)

    def forward(self, x: Tensor) -> Tensor:
        output = self.layer(x)
        if isinstance(output, tuple):  # as torch.nn.GRU, a QRNN returns its memory, too
            output, _ = output
        return self.head(output)


def main(shots: int = 4096) -> tuple[Tensor, Tensor]:
    """Run both with the same weights; returns their outputs (B, T, 2) before the head."""
    torch.manual_seed(0)
    x = torch.rand(8, 6, len(E)) * np.pi
    before, after = Forecaster(AerLayer(x.shape[1], shots)), Forecaster(fast_layer())
    with torch.no_grad():
        after.layer.encoder.weights.copy_(before.layer.weights)
        after.head.load_state_dict(before.head.state_dict())
        sampled, exact = before.layer(x), after.layer(x)[0]
        print(f"largest difference of an expectation of Z: {(sampled - exact).abs().max():.4f}")
        print(f"standard error of one at {shots} shots: at most {shots**-0.5:.4f}")
        print(f"largest difference of a forecast: {(before(x) - after(x)).abs().max():.4f}")
    after(x).square().mean().backward()
    print(f"exact gradient by the {N_WEIGHTS} angles: norm {after.layer.encoder.weights.grad.norm():.4f}")
    return sampled, exact


if __name__ == "__main__":
    main()
