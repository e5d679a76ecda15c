"""Device code that samples, on an emulated GPU, against the engine of the CPU: the same seed, the same outcomes."""

from __future__ import annotations

import pytest
import qrnn_fast as qf
import torch
from emulated import EmulatedDevice
from problems import angles, density, factor
from qrnn_fast import _core
from qrnn_fast.cuda import trajectory
from qrnn_fast.cuda.trajectory import TrajectoryEngine, marginal_frequencies, marginal_outcomes
from qrnn_fast.memory import eigenstates
from torch import Tensor

SEED, SHOTS = 2**62 + 12345, 70
IDS = torch.tensor([7, 2**32 - 1, 0])


def reused() -> qf.Circuit:
    """A qubit that is measured in the middle of the step and used again, and a memory whose rows change places."""
    c = qf.Circuit(4)
    for q in range(4):
        c.ry(c.angle(), q)
    c.cx(0, 3)
    c.measure(3)
    c.reset(3)
    c.reset(0)
    c.crx(c.angle(), 1, 3)
    c.swap(1, 2)
    c.rzz(c.angle(), 0, 2)
    for control, target in ((2, 0), (1, 2), (2, 0), (0, 1)):
        c.crx(c.angle(), control, target)
    c.measure([1, 0])
    c.reset(3)
    return c


def noisy() -> qf.Circuit:
    model = qf.NoiseModel().add(qf.noise.depolarizing(0.2, 2), "crx").add(qf.noise.amplitude_damping(0.3), "rx")
    return model.add_readout_error((0.1, 0.2)).apply(qf.cells.crx_chain(4))


CIRCUITS = {
    "crx_chain": qf.cells.crx_chain(6),
    "echo_state": qf.cells.echo_state(4),
    "reused": reused(),
    "noisy": noisy(),
}


def initial_of(memory: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if memory is None:
        return None, None
    states, weights = eigenstates(memory)
    return torch.view_as_real(states), weights


def on_cpu(
    circuit: qf.Circuit, a: Tensor, memory: Tensor | None, *, averages: bool, shots: int = SHOTS
) -> list[Tensor]:
    initial, weights = (None, None) if memory is None else eigenstates(memory)
    plan, ids = _core.TrajectoryPlan(circuit._core), IDS[: len(a)]
    if averages:
        frequencies, final = _core.sample(plan, a, initial, weights, ids, SEED, shots, 1, averages=True)
        return [frequencies, torch.view_as_real(final)]
    return [_core.sample(plan, a, initial, weights, ids, SEED, shots, 1, averages=False)]


def emulated(
    circuit: qf.Circuit, a: Tensor, memory: Tensor | None, device: EmulatedDevice | None = None, shots: int = SHOTS
) -> tuple[Tensor, Tensor, Tensor]:
    """Outcomes, frequencies and memory."""
    engine = TrajectoryEngine(circuit, device or EmulatedDevice())
    initial, weights = initial_of(memory)
    arguments = a, initial, weights, IDS[: len(a)]
    return engine.sample(*arguments, seed=SEED, shots=shots), *engine.run(*arguments, seed=SEED, shots=shots)


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("name", CIRCUITS)
def test_agrees_with_the_cpu(name: str, with_memory: bool) -> None:
    circuit = CIRCUITS[name]
    a = angles(circuit, 3, 4)
    memory = density(factor(circuit, 3)) if with_memory else None
    outcomes, frequencies, final = emulated(circuit, a, memory)
    assert torch.equal(outcomes, *on_cpu(circuit, a, memory, averages=False))
    expected, expected_final = on_cpu(circuit, a, memory, averages=True)
    assert torch.equal(frequencies, expected)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-12)
    assert len(outcomes.unique()) > 2


def test_single_precision() -> None:
    circuit = CIRCUITS["noisy"]
    a, memory = angles(circuit, 3, 2).float(), density(factor(circuit, 3)).to(torch.complex64)
    outcomes, _, final = emulated(circuit, a, memory)
    (expected,) = on_cpu(circuit, a, memory, averages=False)
    assert (outcomes == expected).double().mean() > 0.99  # the same random numbers; a threshold may be within rounding
    torch.testing.assert_close(final, on_cpu(circuit, a, memory, averages=True)[1], rtol=0, atol=0.02)


@pytest.mark.parametrize(
    "device",
    [
        EmulatedDevice(order=1),
        EmulatedDevice(order=2),
        EmulatedDevice(n_multiprocessors=5),
        EmulatedDevice(shared_bytes=8192),  # states in a workspace
        EmulatedDevice(shared_bytes=8192, memory_budget=60_000),  # of few threads, and a sequence at a time
    ],
    ids=["reversed", "shuffled", "small blocks", "workspace", "little memory"],
)
def test_the_same_bits_wherever_it_runs(device: EmulatedDevice) -> None:
    circuit = CIRCUITS["crx_chain"]
    a, memory = angles(circuit, 3, 2), density(factor(circuit, 3))
    for found, expected in zip(emulated(circuit, a, memory, device), emulated(circuit, a, memory), strict=True):
        assert torch.equal(found, expected)


def test_more_work_than_threads() -> None:
    """Every kernel goes over its tasks in more than one round."""
    circuit, n = CIRCUITS["crx_chain"], 9
    a, ids = angles(circuit, n, 80), torch.arange(n)
    device = EmulatedDevice(shared_bytes=8192, memory_budget=2**20, order=2)
    frequencies, final = TrajectoryEngine(circuit, device).run(a, None, None, ids, seed=SEED, shots=20)
    plan = _core.TrajectoryPlan(circuit._core)
    expected, expected_final = _core.sample(plan, a, None, None, ids, SEED, 20, 1, averages=True)
    assert torch.equal(frequencies, expected)
    torch.testing.assert_close(torch.view_as_complex(final), expected_final, rtol=0, atol=1e-12)


def test_many_shots_are_summed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectory, "_SHOTS_PER_SUM", 32)
    circuit = CIRCUITS["crx_chain"]
    a, memory = angles(circuit, 3, 2), density(factor(circuit, 3))
    _, frequencies, final = emulated(circuit, a, memory)
    expected, expected_final = on_cpu(circuit, a, memory, averages=True)
    assert torch.equal(frequencies, expected)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-12)


def test_no_steps() -> None:
    circuit = CIRCUITS["crx_chain"]
    a, memory = angles(circuit, 3, 0), density(factor(circuit, 3))
    outcomes, frequencies, final = emulated(circuit, a, memory)
    assert outcomes.shape == (3, SHOTS, 0)
    assert frequencies.shape == (3, 0, 8)
    torch.testing.assert_close(final, on_cpu(circuit, a, memory, averages=True)[1], rtol=0, atol=1e-12)


def test_no_sequences() -> None:
    outcomes, frequencies, final = emulated(CIRCUITS["crx_chain"], angles(CIRCUITS["crx_chain"], 0, 2), None)
    assert outcomes.shape == (0, SHOTS, 2)
    assert frequencies.shape == (0, 2, 8)
    assert final.shape == (0, 8, 8, 2)


def test_angles_that_are_not_finite() -> None:
    circuit = CIRCUITS["crx_chain"]
    a = angles(circuit, 3, 3)
    a[1, 1, 4] = torch.nan
    a[2, 0, 0] = torch.inf
    _, frequencies, final = emulated(circuit, a, None)
    expected, expected_final = on_cpu(circuit, a, None, averages=True)
    torch.testing.assert_close(frequencies, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(final, expected_final, rtol=0, atol=1e-12, equal_nan=True)
    assert frequencies.isnan().sum() == 5 * 8


def test_too_little_memory_is_told() -> None:
    circuit = CIRCUITS["crx_chain"]
    with pytest.raises(ValueError, match="sampling a sequence of 50 steps needs"):
        emulated(circuit, angles(circuit, 1, 50), None, EmulatedDevice(memory_budget=2**16))
    with pytest.raises(ValueError, match="GB on the GPU for 32 shots"):
        emulated(circuit, angles(circuit, 1, 1), None, EmulatedDevice(memory_budget=2**13))


def test_strided_arrays_are_refused() -> None:
    """Kernels read numbers where they lie."""
    circuit = CIRCUITS["crx_chain"]
    engine, ids = TrajectoryEngine(circuit, EmulatedDevice()), torch.arange(6)[::2]
    with pytest.raises(ValueError, match="sequence_ids must be contiguous"):
        engine.run(angles(circuit, 3, 2), None, None, ids, seed=SEED, shots=SHOTS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shared_bytes", [2**16, 0])
def test_marginal_sampling(dtype: torch.dtype, shared_bytes: int) -> None:
    generator = torch.Generator().manual_seed(4)
    probs = torch.rand(3, 7, 8, dtype=torch.float64, generator=generator) - 0.1  # negative by rounding: never drawn
    probs = (probs / probs.clamp(min=0).sum(2, keepdim=True)).to(dtype)
    probs[2, 3, 1] = torch.nan
    device = EmulatedDevice(order=2, shared_bytes=shared_bytes)
    outcomes = marginal_outcomes(device, probs[:2], IDS[:2], seed=SEED, shots=SHOTS)
    assert torch.equal(outcomes, _core.sample_steps(probs[:2], IDS[:2], SEED, SHOTS, 1, averages=False))
    frequencies = marginal_frequencies(device, probs, IDS, seed=SEED, shots=SHOTS)
    expected = _core.sample_steps(probs, IDS, SEED, SHOTS, 1, averages=True)
    torch.testing.assert_close(frequencies, expected, rtol=0, atol=0, equal_nan=True)
    assert frequencies.isnan().any()
