"""Which backend runs a circuit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import qiskit_aer.noise as aer
import qrnn_fast as qf
import torch
from qiskit_aer import AerSimulator
from qrnn_fast import cells
from torch import Tensor

CIRCUIT = cells.crx_chain(2)
ANGLES = torch.linspace(-1, 1, 2 * CIRCUIT.n_angles, dtype=torch.float64).view(1, 2, -1)


def known() -> Any:
    model = aer.NoiseModel()
    model.add_all_qubit_quantum_error(aer.depolarizing_error(0.1, 1), ["rx"])
    return model


def unknown() -> Any:
    """Noise on a gate of three qubits, which no circuit here has, beside one that acts."""
    model = known()
    model.add_all_qubit_quantum_error(aer.depolarizing_error(0.1, 3), ["ccx"])
    return model


def carried(n_qubits: int) -> qf.Circuit:
    """All qubits are carried on, so that no engine can leave any out."""
    circuit = qf.Circuit(n_qubits)
    for qubit in range(n_qubits):
        circuit.ry(circuit.angle(), qubit)
        circuit.cx(qubit, (qubit + 1) % n_qubits)
    return circuit.measure(0)


def test_native_where_it_can() -> None:
    layer = qf.QRNN(1, CIRCUIT)
    assert layer.backend_used == "native"
    assert qf.QRNN(1, CIRCUIT, backend=qf.backends.Aer(), gradient="spsa").backend_used == "aer"


def test_aers_noise_model_runs_natively() -> None:
    circuit = cells.crx_chain(2)
    ours, _ = qf.evolve(circuit, ANGLES, noise=known())
    expected, _ = qf.evolve(circuit, ANGLES, noise=qf.NoiseModel.from_qiskit(known()))
    torch.testing.assert_close(ours, expected, atol=0, rtol=0)
    assert qf.QRNN(1, circuit, noise=known()).backend_used == "native"


def test_falls_back_to_aer_with_one_warning() -> None:
    circuit, noise = cells.crx_chain(2), unknown()
    with pytest.warns(qf.FallbackWarning, match="error on 'ccx' of Qiskit's noise model acts on 3 qubits") as caught:
        ours, again = (qf.evolve(circuit, ANGLES, noise=noise)[0] for _ in range(2))
    assert len(caught) == 1
    assert torch.equal(ours, again)
    expected, _ = qf.evolve(circuit, ANGLES, backend=qf.backends.Aer(noise_model=unknown()))
    torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)


def test_a_layer_on_aer() -> None:
    with pytest.warns(qf.FallbackWarning):
        layer = qf.QRNN(1, CIRCUIT, noise=unknown(), gradient="spsa")
    assert layer.backend_used == "aer"
    layer(torch.rand(2, 1, 1))[0].sum().backward()  # a second warning would be an error
    assert layer.encoder.bias.grad is not None


def test_the_adjoint_says_what_else_there_is() -> None:
    with pytest.warns(qf.FallbackWarning):
        layer = qf.QRNN(1, CIRCUIT, noise=unknown())
    with pytest.raises(ValueError, match="needs the native backend, got 'aer'; with that one use"):
        layer(torch.rand(2, 1, 1))


def test_other_backends_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown backend 'fake:Fez'; accepted: .*qf.backends.Runtime\("):
        qf.QRNN(1, CIRCUIT, backend="fake:Fez")
    with pytest.raises(TypeError, match=r"Qiskit's AerSimulator; wrap it, .*or take qf.backends.Aer\("):
        qf.QRNN(1, CIRCUIT, backend=AerSimulator())


def test_native_raises_instead() -> None:
    with pytest.raises(ValueError, match="acts on 3 qubits"):
        qf.QRNN(1, CIRCUIT, noise=unknown(), backend="native")
    with pytest.raises(ValueError, match="of memory, the limit is"):
        qf.evolve(carried(20), torch.zeros(1, 1, 20), backend="native")


def test_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Aer has room and the engines have none depends on the machine: here they have none for anything."""
    refusal = "the state needs 1 GB of memory, the limit is 0 GB"
    monkeypatch.setattr(qf.backends.Native, "refusal", lambda self, circuit, shots: refusal)
    circuit = cells.crx_chain(2)
    with pytest.warns(qf.FallbackWarning, match=refusal):
        probs, _ = qf.evolve(circuit, ANGLES)
    torch.testing.assert_close(probs, qf.evolve(circuit, ANGLES, backend="native")[0], atol=1e-9, rtol=0)


def test_no_room_for_the_memory() -> None:
    """Averaged over shots, it would be a matrix of 16 TiB; Aer with shots tells none."""
    circuit = carried(20)
    with pytest.warns(qf.FallbackWarning, match=r"the averaged memory needs .* carry and measure fewer qubits"):
        layer = qf.QRNN(1, circuit, shots=10, gradient="spsa")
    assert layer.backend_used == "aer"


def test_no_room_anywhere() -> None:
    """20 qubits carried on: exact probabilities need terabytes in any simulator."""
    circuit = carried(20)
    message = r"no backend runs this circuit. Native: .*the limit is.* Aer: .*room for \d+ qubits on this machine"
    with pytest.raises(ValueError, match=message):
        qf.QRNN(1, circuit)
    circuit.reset(list(range(1, 20)))  # it is looked at again when it has changed
    assert qf.QRNN(1, circuit).backend_used == "native"


def test_a_compiled_layer() -> None:
    circuit = cells.crx_chain(2)
    run = torch.compile(lambda a: qf.evolve(circuit, a)[0], backend="eager", fullgraph=True)
    torch.testing.assert_close(run(ANGLES), qf.evolve(circuit, ANGLES)[0], atol=0, rtol=0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("backend", ["auto", "native"])
def test_what_is_added_to_aers_noise_model_counts(backend: str, compiled: bool) -> None:
    circuit, noise = cells.crx_chain(2), known()

    def run(angles: Tensor) -> Tensor:
        return qf.evolve(circuit, angles, noise=noise, backend=backend)[0]

    run = torch.compile(run, backend="eager", fullgraph=True) if compiled else run
    run(ANGLES)
    noise.add_all_qubit_quantum_error(aer.depolarizing_error(0.2, 1), ["rx"], warnings=False)
    noise.add_all_qubit_readout_error([[0.9, 0.1], [0.2, 0.8]])
    expected, _ = qf.evolve(cells.crx_chain(2), ANGLES, noise=qf.NoiseModel.from_qiskit(noise))
    torch.testing.assert_close(run(ANGLES), expected, atol=0, rtol=0)


@pytest.mark.parametrize("backend", ["auto", "native"])
def test_an_error_moved_to_another_gate_counts(backend: str) -> None:
    circuit, noise, error = cells.crx_chain(2), aer.NoiseModel(), aer.pauli_error([("X", 0.3), ("I", 0.7)])
    for gate in ("rx", "rz"):
        noise.reset()
        noise.add_all_qubit_quantum_error(error, [gate])
        ours, _ = qf.evolve(circuit, ANGLES, noise=noise, backend=backend)
        expected, _ = qf.evolve(circuit, ANGLES, noise=qf.NoiseModel.from_qiskit(noise))
        torch.testing.assert_close(ours, expected, atol=0, rtol=0)


def test_a_backend_that_is_not_hashable_is_refused() -> None:
    @dataclass
    class Mine:
        name: str = "mine"

        def run(self) -> None: ...

    with pytest.raises(TypeError, match="must be hashable, and a Mine is not; make it a dataclass with frozen=True"):
        qf.evolve(CIRCUIT, ANGLES, backend=Mine())
