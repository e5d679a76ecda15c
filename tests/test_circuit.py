"""The circuit builder: every op by its method, what it refuses, and the ways to write a circuit down."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import engines
import numpy as np
import pytest
import qrnn_fast as qf
from hypothesis import given
from qrnn_fast import Angle, Circuit, _core, _gates
from strategies import GATES, circuits


@pytest.mark.parametrize("op", GATES, ids=lambda op: op.name)
def test_every_gate_has_a_method(op: _core.OpInfo) -> None:
    circuit = Circuit(3)
    angles = [circuit.angle() for _ in range(op.n_angles)]
    qubits = (2, 0)[: op.n_qubits]
    assert getattr(circuit, op.name)(*angles, *qubits) is circuit
    assert circuit.operations == [(op.name, qubits, tuple(angles), (), None)]
    assert op.help in getattr(Circuit, op.name).__doc__


@pytest.mark.parametrize("op", GATES, ids=lambda op: op.name)
def test_gate_and_inverse_cancel(op: _core.OpInfo) -> None:
    """On a random state of three qubits, one of them entangled with those the gate acts on."""
    angles = [0.3, -1.1, 2.0][: op.n_angles]
    qubits = (2, 0)[: op.n_qubits]
    circuit = Circuit(3).append(op.name, qubits, angles)
    if op.inverse:
        circuit.append(op.inverse, qubits, [-a for a in angles])
    else:  # U(theta, phi, lambda) is undone by U(-theta, -lambda, -phi)
        assert op.name == "u"
        circuit.u(-angles[0], -angles[2], -angles[1], *qubits)
    circuit.append("rz", [1], [0.0]).measure([1])
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))
    rho = root @ root.conj().T
    rho /= np.trace(rho)
    # Qubit 1 is measured and carried, so it must be diagonal for the state to stay as it is.
    bit = np.arange(8) >> 1 & 1
    rho = rho * (bit[:, None] == bit[None, :])
    pairs = np.stack([rho.real, rho.imag], -1)[None]
    _, after = engines.forward(_core.Plan(circuit._core), np.zeros((1, 1, 0)), pairs, 1)
    np.testing.assert_allclose(after, pairs, atol=1e-14)


def test_angles_are_affine_in_slots() -> None:
    c = Circuit(1)
    a, b = c.angle(), c.angle()
    assert c.n_angles == 2
    assert 2 * a + 0.5 == Angle(0, 2.0, 0.5)
    assert -(b - 1) / 2 == Angle(1, -0.5, 0.5)
    assert 1 - b == Angle(1, -1.0, 1.0)


def test_readout_and_memory() -> None:
    c = Circuit(4).h(0).measure([3, 1]).reset([1]).measure(0)
    assert c.readout == (3, 1, 0)  # in the order of measurement
    assert c.memory == (0, 2, 3)  # all but those whose last op is a reset
    c.reset(3).x(1)
    assert c.memory == (0, 1, 2)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda c: c.rx(0.1, 3), ValueError, r"rx: qubit 3 does not exist; the circuit has qubits 0\.\.2"),
    (lambda c: c.rx(0.1, -1), ValueError, "qubit -1 does not exist"),
    (lambda c: c.cx(1, 1), ValueError, "qubit 1 is named twice"),
    (lambda c: c.measure([0, 0]), ValueError, "qubit 0 is named twice"),
    (lambda c: c.measure(0).measure(0), ValueError, "measured already"),
    (lambda c: c.measure([]), ValueError, "at least one qubit"),
    (lambda c: c.measure(0, 1), TypeError, r"measure\(qubits\) takes one qubit or a list of them, got 2 arguments"),
    (lambda c: c.reset(), TypeError, "got 0 arguments"),
    (lambda c: c.append("crx", [0], [0.1]), ValueError, "crx acts on 2 qubits, got 1 qubit"),
    (lambda c: c.append("rx", [0], []), ValueError, "rx takes 1 angle, got 0"),
    (lambda c: c.append("toffoli", [0, 1, 2]), ValueError, "unknown op 'toffoli'; accepted: rx, ry"),
    (lambda c: c.rx(Angle(0), 0), ValueError, "angle slot 0 does not exist; the circuit has 0 slots"),
    (lambda c: c.rx(float("nan"), 0), ValueError, "finite"),
    (lambda c: c.rx(0.1), TypeError, r"rx\(theta, qubit\) got 1 arguments"),
    (lambda c: c.rx("a", 0), TypeError, "an angle is a number of radians or an angle slot"),
    (lambda c: c.rx(0.1, 0.5), TypeError, "must be an integer"),
    (lambda c: Circuit(0), ValueError, r"n_qubits must lie in 1\.\.30"),
    (lambda c: Circuit(31), ValueError, r"n_qubits must lie in 1\.\.30"),
    (lambda c: Circuit(2, -1), ValueError, "n_angles"),
    (lambda c: Circuit(2.0), TypeError, "n_qubits must be an integer"),
    (lambda c: Circuit.from_dict({"n_qubits": 1}), ValueError, "has the keys"),
    (
        lambda c: Circuit.from_dict({"n_qubits": 1, "n_angles": 0, "operations": [["channel", [0], [], 0]]}),
        ValueError,
        "there is no channel 0 among the 0 given",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    circuit = Circuit(3)
    with pytest.raises(error, match=message):
        call(circuit)
    assert [op for op in circuit.operations if op.name != "measure"] == []  # nothing half-written


@given(circuit=circuits())
def test_written_down_and_read_again(circuit: Circuit) -> None:
    for again in (
        Circuit.from_dict(circuit.to_dict()),
        Circuit.from_string(circuit.to_string()),
        pickle.loads(pickle.dumps(circuit)),
        copy.deepcopy(circuit),
    ):
        assert again == circuit
        assert hash(again) == hash(circuit)
        assert again.operations == circuit.operations
        assert (again.readout, again.memory, again.n_angles) == (circuit.readout, circuit.memory, circuit.n_angles)


def test_the_string_follows_changes() -> None:
    c = Circuit(1)
    before = c.to_string()
    a = c.angle()
    assert c.to_string() != before
    middle = c.to_string()
    c.rx(a, 0)
    assert c.to_string() != middle
    assert c != Circuit(1, 1)


def test_type_stub_is_made_from_the_op_table() -> None:
    written = (Path(qf.__file__).parent / "_gates.pyi").read_text()
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "_gates.pyi", "-"]
    formatted = subprocess.run(command, input=_gates.stub(), capture_output=True, text=True, check=True).stdout
    assert "".join(written.split()) == "".join(formatted.split())


def test_import_is_quick_and_leaves_qiskit_alone() -> None:
    script = (
        "import sys, time, torch; start = time.perf_counter(); import qrnn_fast; "
        "print(time.perf_counter() - start, 'qiskit' in sys.modules)"
    )
    seconds, has_qiskit = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 0.3
    assert has_qiskit == "False"
