"""On a CUDA GPU: agreement with the CPU, and that nothing waits for the device. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import qrnn_fast as qf
import torch
from torch import Tensor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]

CIRCUITS = {
    "crx_chain": qf.cells.crx_chain(8),
    "rx_rz_chain": qf.cells.rx_rz_chain(6),
    "reuploading": qf.cells.reuploading(6, repeats=2),
    "echo_state": qf.cells.echo_state(6),
    "emcz2": qf.cells.emcz2(),
    "emcz3": qf.cells.emcz3(),
    "recurrent_block": qf.cells.recurrent_block(),
    "takaki": qf.cells.takaki(),
}
CHAIN = CIRCUITS["crx_chain"]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(dtype)


def density(n: int, dim: int) -> Tensor:
    root = torch.view_as_complex(random(n, dim, dim, 2))
    rho = root @ root.mH
    return rho / rho.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]


@contextmanager
def no_waiting() -> Iterator[None]:
    """Within it, torch refuses whatever would wait for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def forward_and_backward(circuit: qf.Circuit, engine: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    angles = random(37, 4, circuit.n_angles, dtype=dtype).to(device).requires_grad_()
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
    memory = density(37, 2 ** len(circuit.memory)).to(device, complex_dtype).requires_grad_()
    probs, final = qf.evolve(circuit, angles, memory, backend=qf.backends.Native(engine=engine))
    assert final is not None
    loss = (probs * random(*probs.shape, dtype=dtype).to(device)).sum() + torch.view_as_real(final).square().sum()
    loss.backward()
    assert angles.grad is not None
    assert memory.grad is not None
    return [probs.detach(), final.detach(), angles.grad, memory.grad]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("engine", ["pauli", "factor"])
@pytest.mark.parametrize("name", CIRCUITS)
def test_agrees_with_the_cpu(name: str, engine: str, dtype: torch.dtype) -> None:
    there = forward_and_backward(CIRCUITS[name], engine, "cuda", dtype)
    here = forward_and_backward(CIRCUITS[name], engine, "cpu", torch.float64)
    for found, expected in zip(there, here, strict=True):
        assert found.is_cuda
        torch.testing.assert_close(
            found.cpu(), expected.to(found.dtype), rtol=0, atol=1e-11 if dtype == torch.float64 else 1e-4
        )


@pytest.mark.parametrize("batch", [1, 2, 31, 1000])
def test_any_batch(batch: int) -> None:
    angles = random(batch, 5, CHAIN.n_angles)
    expected, _ = qf.evolve(CHAIN, angles)
    found, _ = qf.evolve(CHAIN, angles.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-12)


def test_runs_on_the_current_stream_without_waiting() -> None:
    model = qf.QRNN(1, CHAIN, batch_first=True).cuda()
    x = random(8, 20, 1, dtype=torch.float32).cuda()
    model(x)[0].sum().backward()  # compiles
    with no_waiting(), torch.cuda.stream(torch.cuda.Stream()):
        output, _ = model(x)
        output.sum().backward()


def test_in_a_cuda_graph() -> None:
    angles = random(4, 3, CHAIN.n_angles).cuda()
    expected = qf.evolve(CHAIN, angles)[0]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        probs = qf.evolve(CHAIN, angles)[0]
    graph.replay()
    torch.testing.assert_close(probs, expected, rtol=0, atol=0)


@pytest.mark.parametrize("gradient", ["parameter-shift", "spsa", "fdsa"])
def test_estimators(gradient: str) -> None:
    circuit = qf.cells.crx_chain(4)

    def gradients(device: str) -> Tensor:
        angles = random(3, 4, circuit.n_angles).to(device).requires_grad_()
        probs, _ = qf.evolve(circuit, angles, gradient=gradient, generator=torch.Generator().manual_seed(2))
        probs.square().sum().backward()
        assert angles.grad is not None
        return angles.grad.cpu()

    torch.testing.assert_close(gradients("cuda"), gradients("cpu"), rtol=0, atol=1e-9)


def test_shots_draw_what_they_draw_on_the_cpu() -> None:
    angles = random(3, 4, CHAIN.n_angles)
    frequencies = [
        qf.evolve(CHAIN, angles.to(device), shots=200, generator=torch.Generator().manual_seed(5))[0].cpu()
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(*frequencies, rtol=0, atol=0)


def test_a_layer_trains() -> None:
    model = qf.QRNN(1, CHAIN, batch_first=True).cuda()
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    x = torch.linspace(0, 6, 64).sin().view(2, 32, 1).cuda()
    losses = []
    for _ in range(20):
        loss = (model(x[:, :-1])[0][..., :1] - x[:, 1:]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_compiled_and_mapped() -> None:
    angles = random(2, 3, 4, CHAIN.n_angles).cuda()
    expected = torch.stack([qf.evolve(CHAIN, a)[0] for a in angles])
    found = torch.vmap(lambda a: qf.evolve(CHAIN, a)[0])(angles)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_other_backends_refuse() -> None:
    with pytest.raises(ValueError, match="backend 'aer' does not compute on cuda:0"):
        qf.evolve(CHAIN, random(1, 1, CHAIN.n_angles).cuda(), backend=qf.backends.Aer(), shots=10)
