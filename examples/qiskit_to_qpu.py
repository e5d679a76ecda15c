"""A Qiskit circuit becomes a layer, the layer learns, and the same layer runs on a (snapshot of a) quantum processor.

docs/qiskit.md goes through this file. Needs the extras experiments and runtime.
"""

from __future__ import annotations

import sys

import numpy as np
import qrnn_fast as qf
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qrnn_fast.systems import Lorenz, Scaling
from torch import Tensor, nn

CONTEXT, STEPS, WASHOUT = 3, 12, 4
READOUT, MEMORY = [0, 2], [1, 3]


def draw_step() -> tuple[QuantumCircuit, ParameterVector]:
    """One time step in Qiskit: qubits 0 and 2 are measured and reset, 1 and 3 carry the memory."""
    angles = ParameterVector("a", 15)
    qc = QuantumCircuit(4, 2)
    for qubit in range(4):
        qc.rz(angles[3 * qubit], qubit)
        qc.rx(angles[3 * qubit + 1], qubit)
        qc.rz(angles[3 * qubit + 2], qubit)
    for qubit in range(3):
        qc.crx(angles[12 + qubit], qubit, qubit + 1)
    qc.measure(READOUT, [0, 1])
    with qc.if_test((qc.clbits[0], 1)):  # a correction that waits for an outcome of the same step
        qc.rx(np.pi / 8, 1)
    qc.reset(READOUT)
    return qc, angles


def windows(rows: int) -> tuple[Tensor, Tensor]:
    """Lorenz-63: X of the last three rows (W, T, 3), and Y and Z of the next one (W, T, 2)."""
    record = Lorenz(rows=rows).record()
    scaled = torch.from_numpy(Scaling.fit(record).apply(record)).float()
    starts = torch.arange(CONTEXT - 1, rows - STEPS, STEPS)
    at = starts[:, None] + torch.arange(STEPS)
    return scaled[at[..., None] - torch.arange(CONTEXT), 0], scaled[at + 1, 1:]


def rmse(predicted: Tensor, target: Tensor) -> float:
    """Root mean square error behind the washout."""
    return (predicted - target)[:, WASHOUT:].square().mean().sqrt().item()


def main(epochs: int = 60, device: str = "fake:ManilaV2", shots: int = 1024) -> dict[str, float]:
    """Train natively, estimate and run on the device, train there for one update; returns the errors."""
    torch.manual_seed(0)
    qc, angles = draw_step()
    layer = qf.QRNN(CONTEXT, qf.from_qiskit(qc, angles=angles), batch_first=True)
    model = nn.ModuleDict({"layer": layer, "head": nn.Linear(layer.output_size, 2)})

    def predict(x: Tensor) -> Tensor:
        return model["head"](layer(x)[0])

    x, y = windows(3000)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            (predict(x[batch]) - y[batch])[:, WASHOUT:].square().mean().backward()
            optimizer.step()
        if epoch % 20 == 0 or epoch == epochs - 1:
            with torch.no_grad():
                print(f"epoch {epoch}, {layer.backend_used}: RMSE {rmse(predict(x), y):.4f}")

    x, y = x[:8], y[:8]
    processor = qf.backends.Runtime(device, shots=shots)
    print(f"\n{processor}")
    print(qf.estimate(layer, processor, steps=STEPS, batch_size=len(x), sequences=len(x)))
    errors = {}
    with torch.no_grad():
        errors["exact"] = rmse(predict(x), y)
        layer.shots = shots
        errors["shots"] = rmse(predict(x), y)
        layer.shots, layer.backend = None, processor  # the change of one argument
        errors["device"] = rmse(predict(x), y)
    for name, error in errors.items():
        print(f"RMSE of 8 windows, {name}: {error:.4f}")

    layer.gradient = qf.SPSA(samples=2)  # on a processor, the adjoint has to step aside
    optimizer.zero_grad()
    (predict(x) - y)[:, WASHOUT:].square().mean().backward()
    optimizer.step()
    print(f"one update on {device}: {processor.position} calls in all, each one job")
    return errors


if __name__ == "__main__":
    main(device=sys.argv[1] if len(sys.argv) > 1 else "fake:ManilaV2")
