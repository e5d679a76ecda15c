"""Device code of the factor engine on an emulated GPU, against the engine of the CPU."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import qrnn_fast as qf
import torch
from cuda_problems import on_cpu, problem
from emulated import EmulatedDevice
from qrnn_fast.cuda.factor import FactorEngine, Launch
from torch import Tensor


def mid_circuit() -> qf.Circuit:
    """An outcome that is copied, a wire that begins in the middle, a memory qubit that ends in |0> but for a turn."""
    c = qf.Circuit(4)
    a = [c.angle() for _ in range(7)]
    c.rx(a[0], 0).ry(a[1], 1).crx(a[2], 0, 1).measure([1]).ry(0.5 * a[3] + 0.1, 1)
    c.cx(1, 3).reset([2]).ry(a[4], 2).crz(a[1], 0, 2).cry(a[5], 2, 3).measure([3]).reset([3])
    return c.reset([0]).rx(a[6], 0)


CIRCUITS = {
    "echo_state": qf.cells.echo_state(4, repeats=3, generator=torch.Generator().manual_seed(0)),
    "reuploading": qf.cells.reuploading(4, repeats=2),
    "takaki": qf.cells.takaki(2, 2, depth=1, slices=1, generator=torch.Generator().manual_seed(0)),
    "mid_circuit": mid_circuit(),
    "carried, 32 columns": qf.cells.emcz2(1, 5),
}
ECHO = CIRCUITS["echo_state"]


class Shaped(FactorEngine):
    """With a launch of the test's choice."""

    def __init__(self, circuit: qf.Circuit, device: EmulatedDevice, launch: Launch) -> None:
        super().__init__(circuit, device)
        self.launch = launch

    def launch_shape(self, angles: Tensor, *, adjoint: bool) -> Launch:
        return self.launch


def emulated(
    circuit: qf.Circuit, arguments: list[Tensor | None], device: EmulatedDevice | None = None, *launch: Launch
) -> list[Tensor]:
    device = device or EmulatedDevice()
    engine = Shaped(circuit, device, *launch) if launch else FactorEngine(circuit, device)
    angles, memory, grad, grad_memory = arguments
    return [*engine.run(angles, memory), *engine.vjp(angles, memory, grad, grad_memory)]


@cache
def expected(name: str, with_memory: bool) -> list[Tensor]:
    return on_cpu("factor", CIRCUITS[name], *problem(CIRCUITS[name], with_memory=with_memory, n_sequences=2))


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("name", CIRCUITS)
def test_agrees_with_the_cpu(name: str, with_memory: bool) -> None:
    arguments = problem(CIRCUITS[name], with_memory=with_memory, n_sequences=2)
    for found, there in zip(emulated(CIRCUITS[name], arguments), expected(name, with_memory), strict=True):
        torch.testing.assert_close(found, there, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("echo_state", Launch(threads=32, team_blocks=3, n_teams=1, width=4, in_shared=False)),
        ("echo_state", Launch(threads=32, team_blocks=2, n_teams=2, width=2, in_shared=False)),
        ("carried, 32 columns", Launch(threads=64, team_blocks=3, n_teams=1, width=32, in_shared=False)),
    ],
)
def test_teams_of_blocks_and_chunks_of_columns(name: str, launch: Launch) -> None:
    circuit, arguments = CIRCUITS[name], problem(CIRCUITS[name], n_sequences=2)
    found = emulated(circuit, arguments, EmulatedDevice(n_multiprocessors=4), launch)
    for one, there in zip(found, expected(name, with_memory=True), strict=True):
        torch.testing.assert_close(one, there, rtol=1e-12, atol=1e-12)
    alone = emulated(circuit, arguments, EmulatedDevice(), replace(launch, team_blocks=1))
    assert all(torch.equal(x, y) for x, y in zip(found[:2], alone[:2], strict=True)), "sums depend on who takes them"


@pytest.mark.parametrize("order", [1, 7])
@pytest.mark.parametrize("team_blocks", [1, 2])
def test_the_order_of_threads_does_not_matter(order: int, team_blocks: int) -> None:
    launch = Launch(threads=32, team_blocks=team_blocks, n_teams=1, width=4, in_shared=team_blocks == 1)
    arguments = problem(ECHO, n_sequences=2, n_steps=2)
    one, other = (emulated(ECHO, arguments, EmulatedDevice(order=o), launch) for o in (0, order))
    assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["echo_state", "mid_circuit"])
def test_a_memory_that_is_not_positive(name: str) -> None:
    circuit = CIRCUITS[name]
    arguments = problem(circuit, n_sequences=2)
    memory = arguments[1]
    assert memory is not None
    memory[:, 0, 0, 0] += 0.75
    memory[:, 1, 1, 0] -= 0.75
    for found, there in zip(emulated(circuit, arguments), on_cpu("factor", circuit, *arguments), strict=True):
        torch.testing.assert_close(found, there, rtol=1e-12, atol=1e-12)


def test_single_precision() -> None:
    found = emulated(ECHO, problem(ECHO, torch.float32, n_sequences=2))
    for one, there in zip(found, expected("echo_state", with_memory=True), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), there, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["echo_state", "carried, 32 columns"])
def test_no_steps(name: str) -> None:
    arguments = problem(CIRCUITS[name], n_steps=0, n_sequences=1)
    for found, there in zip(
        emulated(CIRCUITS[name], arguments), on_cpu("factor", CIRCUITS[name], *arguments), strict=True
    ):
        torch.testing.assert_close(found, there, rtol=0, atol=1e-14)


def test_an_angle_that_is_not_finite_spoils_its_sequence_alone() -> None:
    angles, _, grad, _ = problem(ECHO, with_memory=False, n_sequences=3)
    assert angles is not None
    assert grad is not None
    angles[1, 1, 0] = float("inf")
    found, there = emulated(ECHO, [angles, None, grad, None]), on_cpu("factor", ECHO, angles, None, grad, None)
    for one, other in zip(found, there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)
    assert not found[0][1, 1:].isfinite().any()
    assert found[0][1, 0].isfinite().all()


def test_a_device_is_shared_by_few_large_sequences_and_by_many_small_ones() -> None:
    gpu = EmulatedDevice(n_multiprocessors=132, memory_budget=35 * 10**9)
    large = FactorEngine(qf.cells.echo_state(12, repeats=1), gpu)
    one, many = (torch.zeros(n, 10, 36, dtype=torch.float64) for n in (1, 1000))
    launch = large.launch_shape(one, adjoint=True)
    assert 32 <= launch.team_blocks * launch.n_teams <= 132
    launch = large.launch_shape(many, adjoint=True)
    assert (launch.team_blocks, launch.n_teams, launch.in_shared) == (1, 1000, False)
    assert large.launch_shape(one, adjoint=True).threads == 512
    gpu.shared_bytes = 64 * 1024
    assert large.launch_shape(one, adjoint=True).threads == 256
    gpu.shared_bytes = 227 * 1024
    launch = FactorEngine(qf.cells.echo_state(8), gpu).launch_shape(many, adjoint=False)
    assert (launch.team_blocks, launch.n_teams, launch.in_shared) == (1, 1000, True)


def test_too_little_memory_is_told() -> None:
    with pytest.raises(ValueError, match=r"a sequence of 3 steps needs .* GB on the GPU, where 0\.0 GB are granted"):
        emulated(ECHO, problem(ECHO), EmulatedDevice(memory_budget=100))


def test_channels_are_refused() -> None:
    noisy = qf.Circuit(2).rx(0.3, 0).channel(qf.noise.depolarizing(0.1), 0).cx(0, 1).measure([1]).reset([1])
    with pytest.raises(ValueError, match="the factor engine has no channels"):
        FactorEngine(noisy, EmulatedDevice())
