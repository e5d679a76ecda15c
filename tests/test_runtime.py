"""Runtime on simulators: outcomes, gradients, and what it refuses."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from problems import angles
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeFractionalBackend, FakeManilaV2
from qrnn_fast import Circuit, cells
from qrnn_fast.backends import Runtime
from qrnn_fast.backends.runtime.devices import make_sampler, repetition_delay
from qrnn_fast.backends.runtime.program import compile_program
from torch import Tensor

ERRORS = 5.0  # standard errors; the chance of one of a few hundred frequencies lying beyond them is below 1e-4


def assert_sampled_from(frequencies: Tensor, probs: Tensor, shots: int, shots_of_probs: float = float("inf")) -> None:
    """Frequencies over `shots`, whose probabilities are known exactly or are frequencies themselves."""
    spread = (probs * (1 - probs) * (1 / shots + 1 / shots_of_probs)).sqrt()
    assert ((frequencies - probs).abs() <= ERRORS * spread + 1 / shots).all()


def asymmetric() -> Circuit:
    """Three qubits, two of them read in descending order, all different."""
    c = Circuit(3)
    slots = [c.angle() for _ in range(5)]
    c.ry(slots[0], 0).rx(slots[1], 1).ry(slots[2], 2).crx(slots[3], 0, 1).rz(slots[4], 1).h(0).cx(0, 2)
    return c.measure([2, 0]).reset([2, 0])


def flips(n_qubits: int) -> tuple[Circuit, Tensor]:
    """Outcome bits that are known, all registers different: twelve steps, so that step 10 sorts before step 2."""
    c = Circuit(n_qubits)
    for q in range(n_qubits):
        c.rx(c.angle(), q)
    bits = torch.randint(0, 2, (2, 12, n_qubits), generator=torch.Generator().manual_seed(5))
    return c.measure(range(n_qubits)).reset(range(n_qubits)), bits


@pytest.mark.parametrize("n_qubits", [3, 9])
def test_outcome_bits_and_steps(n_qubits: int) -> None:
    circuit, bits = flips(n_qubits)
    frequencies, memory = Runtime(AerSimulator(), shots=3).run(circuit, torch.pi * bits.double(), None)
    assert memory is None
    expected = (bits << torch.arange(n_qubits)).sum(-1)
    assert torch.equal(frequencies.argmax(-1), expected)
    assert torch.equal(frequencies.amax(-1), torch.ones(2, 12, dtype=torch.float64))


@pytest.mark.parametrize("level", [0, 1, 3])
def test_frequencies_without_noise(level: int) -> None:
    circuit, shots = asymmetric(), 4000
    a = angles(circuit, 3, 5, dtype=torch.float32)
    probs, _ = qf.evolve(circuit, a)
    found, memory = qf.evolve(circuit, a, backend=Runtime(AerSimulator(), shots=shots, optimization_level=level))
    assert memory is None
    assert found.dtype == torch.float32
    assert_sampled_from(found, probs, shots)


@pytest.mark.parametrize("name", ["crx_chain", "rx_rz_chain", "reuploading"])
def test_cells_without_noise(name: str) -> None:
    circuit = getattr(cells, name)(4)
    a = angles(circuit, 2, 3)
    found, _ = qf.evolve(circuit, a, backend=Runtime(AerSimulator()), shots=3000)
    assert_sampled_from(found, qf.evolve(circuit, a)[0], 3000)


@pytest.mark.parametrize("simulated", [False, True])
def test_frequencies_of_a_snapshot(simulated: bool) -> None:
    """As Aer has them with the device's noise, by counts of the transpiled circuit with its values assigned."""
    device, circuit, shots, n_steps = FakeManilaV2(), asymmetric(), 1000, 2
    simulator = AerSimulator.from_backend(device)
    a = angles(circuit, 2, n_steps)
    found, _ = Runtime(simulator if simulated else device, shots=shots).run(circuit, a, None, seed=7)

    program = compile_program(circuit, n_steps, device, 3)
    expected = torch.zeros(2, n_steps, 4, dtype=torch.float64)
    for row, values in enumerate(a.flatten(1).numpy()[:, program.columns]):
        bound = program.circuit.assign_parameters(dict(zip(program.parameters, values, strict=True)))
        for key, count in simulator.run(bound, shots=4 * shots, seed_simulator=3).result().get_counts().items():
            for t, outcome in enumerate(reversed(key.split(" "))):
                expected[row, t, int(outcome, 2)] += count / (4 * shots)
    assert_sampled_from(found, expected, shots, 4 * shots)


def test_a_large_snapshot() -> None:
    """156 qubits; its noise moves probabilities by some hundredths, other outcomes would move them by tenths."""
    circuit = cells.crx_chain(2)
    a = angles(circuit, 1, 2)
    found, _ = Runtime("fake:marrakesh", shots=500).run(circuit, a, None)
    torch.testing.assert_close(found, qf.evolve(circuit, a)[0], rtol=0, atol=0.15)


def test_jobs_of_a_call_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and shots of several jobs come back in their places, each job with numbers of its own."""
    monkeypatch.setattr("qrnn_fast.backends.runtime.jobs.MAX_EXECUTIONS", 1500)
    circuit, shots = asymmetric(), 4000
    a = angles(circuit, 3, 2)
    runtime = Runtime(AerSimulator(), shots=shots)
    found, _ = runtime.run(circuit, a, None)
    assert_sampled_from(found, qf.evolve(circuit, a)[0], shots)
    twice, _ = runtime.run(circuit, a[[0, 0]], None)
    assert not torch.equal(twice[0], twice[1])


def test_the_seed_repeats_a_simulation() -> None:
    circuit, a = cells.crx_chain(2), angles(cells.crx_chain(2), 2, 2)
    for device in (AerSimulator(), FakeManilaV2()):
        runtime = Runtime(device, shots=100)
        first, second, other = (runtime.run(circuit, a, None, seed=seed)[0] for seed in (2**63 - 1, 2**63 - 1, 4))
        assert torch.equal(first, second)
        assert not torch.equal(first, other)


def test_circuits_without_angles() -> None:
    """Nothing is left to be a row of; the rows are drawn by themselves all the same."""
    circuit = Circuit(2).h(0).cx(0, 1).measure(1).reset(1)
    for device in (AerSimulator(), FakeManilaV2()):
        found, _ = Runtime(device, shots=500).run(circuit, torch.zeros(3, 2, 0), None)
        torch.testing.assert_close(found, torch.full((3, 2, 2), 0.5), rtol=0, atol=0.15)
        assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(("batch", "steps"), [(0, 2), (2, 0)])
def test_nothing_to_do(batch: int, steps: int) -> None:
    circuit, runtime = cells.crx_chain(2), Runtime(AerSimulator())
    probs, memory = qf.evolve(circuit, torch.zeros(batch, steps, circuit.n_angles), backend=runtime)
    assert probs.shape == (batch, steps, 2)
    assert memory is None
    assert runtime.position == 0


class Exact:
    """Exact probabilities, from a backend that says it samples: its estimators draw the directions of Runtime's."""

    name = "exact"
    shots = 1

    def run(self, circuit: Circuit, a: Tensor, memory: Tensor | None, **_: object) -> tuple[Tensor, None]:
        return qf.backends.Native().run(circuit, a, memory)[0], None


# The loss sums two steps' probabilities over 1,000 shots: a standard deviation below 2 * 0.5 / sqrt(1000) = 0.032.
# Parameter shift halves the difference of two such, 0.022 a gate, or combines two differences for a controlled
# rotation, with coefficients below 1. SPSA and FDSA divide by 2 c = 0.8, and SPSA averages two differences. All bounds
# are five standard deviations.
GRADIENTS = [
    ("parameter-shift", 0.16),
    (qf.SPSA(c=0.4, samples=2, wrt="angles"), 0.20),
    (qf.FDSA(c=0.4, wrt="angles"), 0.28),
]


@pytest.mark.parametrize(("gradient", "bound"), GRADIENTS)
def test_gradients(gradient: Any, bound: float) -> None:
    circuit = cells.crx_chain(2)
    a = angles(circuit, 1, 2).requires_grad_()

    def of(backend: Any) -> Tensor:
        generator = torch.Generator().manual_seed(11)
        probs, _ = qf.evolve(circuit, a, gradient=gradient, backend=backend, generator=generator)
        return torch.autograd.grad(probs[..., 0].sum(), a)[0]

    torch.testing.assert_close(of(Runtime(AerSimulator(), shots=1000)), of(Exact()), rtol=0, atol=bound)


def test_a_layer_learns_from_it() -> None:
    """Gradients by the weights, over the layer's own perturbation of them."""

    def of(backend: Any) -> list[Tensor]:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(3)
        gradient = qf.SPSA(c=0.4, samples=2)
        layer = qf.QRNN(
            2, cells.crx_chain(2), gradient=gradient, backend=backend, generator=generator, dtype=torch.float64
        )
        output, _ = layer(torch.linspace(-1, 1, 4, dtype=torch.float64).view(2, 1, 2))
        return list(torch.autograd.grad(output[..., 0].sum(), [*layer.parameters()]))

    for sampled, exact in zip(of(Runtime(AerSimulator(), shots=4000)), of(Exact()), strict=True):
        torch.testing.assert_close(sampled, exact, rtol=0, atol=0.11)


# ---- devices


def test_names_of_snapshots() -> None:
    assert "fake_manila" in repr(Runtime("fake:ManilaV2"))
    with pytest.raises(ValueError, match="Marrakesh") as refused:
        Runtime("fake:Nowhere")
    assert "fake:Nowhere" in str(refused.value)
    assert "Miami" not in str(refused.value)


@pytest.mark.parametrize("name", ["fake:Miami", "fake:Berlin"])
def test_devices_without_reset(name: str) -> None:
    with pytest.raises(ValueError, match="has no reset"):
        Runtime(name)


def test_names_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError

    def refuse() -> None:
        raise InvalidAccountError("Invalid `token` value. Expected a non-empty string, got 's3cret'.")

    monkeypatch.setattr("qiskit_ibm_runtime.QiskitRuntimeService", refuse)
    with pytest.raises(RuntimeError, match="save_account") as refused:
        Runtime("ibm_somewhere")
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None  # so that no traceback shows it


@pytest.mark.parametrize("name", ["", "runtime:ibm_fez"])
def test_names_that_no_processor_has(name: str) -> None:
    with pytest.raises(ValueError, match="accepted: the name alone, such as 'ibm_fez'"):
        Runtime(name)


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "qiskit_ibm_runtime", None)
    with pytest.raises(ImportError, match=r"qrnn_fast\[runtime\]"):
        Runtime("fake:ManilaV2")
    assert Runtime(AerSimulator()).shots == 1024  # other vendors' devices do without


@pytest.mark.parametrize("kind", [Session, Batch])
def test_sessions(kind: Any) -> None:
    device = FakeManilaV2()
    runtime = Runtime(device, kind(backend=device), shots=50)
    assert repr(runtime) == f"Runtime('fake_manila', mode={kind.__name__}, shots=50)"
    circuit = cells.crx_chain(2)
    probs, _ = runtime.run(circuit, angles(circuit, 1, 1), None)
    torch.testing.assert_close(probs.sum(-1), torch.ones(1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="on fake_manila, the backend is fake_sherbrooke"):
        Runtime("fake:Sherbrooke", kind(backend=device))
    with pytest.raises(ValueError, match="mode=None only"):
        Runtime(AerSimulator(), kind(backend=device))
    with pytest.raises(TypeError, match="must be None or a Session or Batch"):
        Runtime(device, "session")


def test_options_of_the_sampler() -> None:
    options = {"environment": {"job_tags": ["mine"]}, "execution": {"rep_delay": 1e-4}, "max_execution_time": 60}
    sampler = make_sampler(FakeManilaV2(), None, options, 5, ["ours"])
    assert isinstance(sampler, Sampler)
    assert sampler.options.environment.job_tags == ["mine", "ours"]
    assert sampler.options.simulator.seed_simulator == 5
    assert sampler.options.max_execution_time == 60
    assert sampler.options.twirling.enable_gates is None  # which means off
    assert options["environment"] == {"job_tags": ["mine"]}
    again = make_sampler(FakeManilaV2(), None, sampler.options, 6, ["theirs"])
    assert again.options.simulator.seed_simulator == 5
    assert sampler.options.environment.job_tags == ["mine", "ours"]
    assert repetition_delay(FakeManilaV2(), sampler.options) == 1e-4
    assert repetition_delay(FakeManilaV2(), None) == FakeManilaV2().default_rep_delay
    assert repetition_delay(AerSimulator(), None) == 250e-6
    assert make_sampler(AerSimulator(), None, {"seed_simulator": 1}, 5, []).options.seed_simulator == 1


REFUSED_SETTINGS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"backend": 3}, TypeError, "must be a Qiskit BackendV2"),
    ({"shots": 0}, ValueError, "shots must be at least 1"),
    ({"shots": None}, TypeError, "shots must be an integer"),
    ({"optimization_level": 4}, ValueError, "must be 0, 1, 2 or 3"),
    ({"timeout": 0}, ValueError, "timeout must be a positive number"),
    ({"max_qpu_seconds": float("nan")}, ValueError, "max_qpu_seconds must be a positive number"),
    ({"options": {"no_such_option": 1}}, TypeError, "no_such_option"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED_SETTINGS)
def test_refused_settings(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Runtime(**{"backend": AerSimulator(), **arguments})


def test_refused_calls() -> None:
    circuit, runtime = cells.crx_chain(4), Runtime(FakeManilaV2())
    a = torch.zeros(1, 1, circuit.n_angles, dtype=torch.float64)
    memory = torch.eye(4, dtype=torch.complex128)[None] / 4
    with pytest.raises(ValueError, match="takes no memory"):
        qf.evolve(circuit, a, memory, backend=runtime)
    with pytest.raises(ValueError, match="finite angles only"):
        qf.evolve(circuit, a + float("inf"), backend=runtime)
    with pytest.raises(ValueError, match="measures nothing"):
        qf.evolve(Circuit(1).h(0), torch.zeros(1, 1, 0), backend=runtime)
    with pytest.raises(ValueError, match="circuit has 8 qubits, fake_manila has 5"):
        qf.evolve(cells.crx_chain(8), torch.zeros(1, 1, 55), backend=runtime)
    gates = qf.NoiseModel().add(qf.noise.depolarizing(0.1, n_qubits=1), "rx")
    for noise in (gates, qf.NoiseModel().add_readout_error((0.1, 0.1))):
        with pytest.raises(ValueError, match="fake_manila brings its own noise"):
            qf.evolve(circuit, a, backend=runtime, noise=noise)
    with pytest.raises(ValueError, match="must have the shape"):
        runtime.run(circuit, a[..., 1:], None)
    assert runtime.position == 0


def test_fractional_gates() -> None:
    """An rzz with a parameter may get any angle; IBM's rzz takes a quarter turn at most."""
    circuit = Circuit(2)
    circuit.rzz(circuit.angle(), 0, 1).h(1).measure(1).reset(1)
    with pytest.raises(ValueError, match="use_fractional_gates=False"):
        Runtime(FakeFractionalBackend()).run(circuit, torch.zeros(1, 1, 1), None)


@pytest.mark.filterwarnings("ignore:.*SamplerV2:DeprecationWarning")
def test_the_older_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where qiskit_ibm_runtime has no executor-based one."""
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime.executor_sampler", None)
    circuit = cells.crx_chain(2)
    a = angles(circuit, 2, 2)
    frequencies, _ = Runtime("fake:ManilaV2", shots=500).run(circuit, a, None, seed=1)
    exact, _ = qf.evolve(circuit, a)
    assert (frequencies - exact).abs().max() < 0.2  # the snapshot's noise included
