"""Worker processes and threads, the OpenMP libraries in a process, and what happens where memory ends."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import qrnn_fast as qf
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

CIRCUIT = qf.cells.crx_chain(4)


class Simulated(Dataset[Tensor]):
    """Outcome probabilities and their gradient, made where the item is asked for."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> Tensor:
        angles = torch.rand(9, 5, CIRCUIT.n_angles, generator=torch.Generator().manual_seed(number), requires_grad=True)
        probs, _ = qf.evolve(CIRCUIT, angles, backend=qf.backends.Native(threads=2))
        probs[..., 0].sum().backward()
        return torch.cat([probs.detach().flatten(), angles.grad.flatten()])


def items(start: str | None) -> Tensor:
    workers = {} if start is None else {"num_workers": 2, "multiprocessing_context": start, "timeout": 60}
    return torch.cat(list(DataLoader(Simulated(), batch_size=4, **workers)))


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_of_a_data_loader(start: str) -> None:
    """Threads run here already; a forked worker has one, a spawned one has two, and the bits are the same."""
    torch.testing.assert_close(items(start), items(None), rtol=0, atol=0)


def test_threads_of_python_share_a_plan() -> None:
    expected = [Simulated()[number] for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for number, got in enumerate(pool.map(Simulated().__getitem__, list(range(8)) * 8)):
            torch.testing.assert_close(got, expected[number % 8], rtol=0, atol=0)


OPENMP = """
import sys, torch
import qrnn_fast as qf
from qrnn_fast.openmp import openmp_libraries
torch.set_num_threads(2)
circuit = qf.cells.crx_chain(4)
angles = torch.rand(64, 5, circuit.n_angles, dtype=torch.float64)
expected, _ = qf.evolve(circuit, angles, backend=qf.backends.Native(threads=2))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "rest",
    [
        "assert 'qiskit_aer' not in sys.modules; assert len(openmp_libraries()) == 1, openmp_libraries()",
        """
got, _ = qf.evolve(circuit, angles[:2], backend=qf.backends.Aer())
torch.testing.assert_close(got, expected[:2], rtol=0, atol=1e-9)
assert len(openmp_libraries()) == 2, openmp_libraries()
again, _ = qf.evolve(circuit, angles, backend=qf.backends.Native(threads=2))
assert torch.equal(again, expected)
""",
    ],
    ids=["PyTorch's alone", "Aer's beside it"],
)
def test_openmp_libraries(rest: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", OPENMP + rest], check=True, timeout=120)


@pytest.mark.skipif(sys.platform != "linux", reason="wheels for other systems find it otherwise")
def test_an_openmp_library_that_pytorch_keeps_to_itself_is_shown() -> None:
    """As with PyTorch's wheels for aarch64, where nothing but PyTorch would find it."""
    path = next((Path(torch.__file__).parent / "lib").glob("libgomp*"))
    script = f"""
import ctypes, os, runpy, sys, types
sys.modules["torch"] = types.ModuleType("torch")
sys.modules["torch"].__file__ = {torch.__file__!r}
library = ctypes.CDLL({str(path)!r}, mode=os.RTLD_LOCAL)
assert not hasattr(ctypes.CDLL(None), "GOMP_parallel")
runpy.run_path({qf.openmp.__file__!r})
assert hasattr(ctypes.CDLL(None), "GOMP_parallel")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.limits
@pytest.mark.skipif(sys.platform != "linux", reason="limits address space")
def test_the_end_of_memory_is_an_exception() -> None:
    """What is above half of the limit is refused with the figures; what the system then has not got is MemoryError."""
    script = """
import mmap, os, resource, torch
import qrnn_fast as qf

circuit = qf.cells.crx_chain(8)
angles = torch.zeros(1, 40_000, circuit.n_angles)
expected, _ = qf.evolve(circuit, angles[:, :10])
no_angles = qf.Circuit(8)
for q in range(8):
    no_angles.h(q)
no_angles.measure(range(8)).reset(range(8))  # 1 KB of probabilities a step

used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
limit = used + 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    qf.evolve(no_angles, torch.zeros(1, limit // 1024, 0))
    raise SystemExit("not refused")
except ValueError as error:
    assert f"probabilities needs {limit / 1e9:.3g} GB of memory, the limit is {limit / 2e9:.3g} GB" in str(error), error

taken = mmap.mmap(-1, 2**30 - 2**25)
for call in (
    lambda: qf.evolve(no_angles, torch.zeros(1, 2**18, 0)),
    lambda: qf.evolve(circuit, angles.requires_grad_())[0].sum().backward(),
):
    try:
        call()
        raise SystemExit("32 MB were enough")
    except MemoryError as error:
        assert "memory" in str(error) or "allocate" in str(error), error
taken.close()
probs, _ = qf.evolve(circuit, angles[:, :10])
assert torch.equal(probs, expected)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120)


def test_memory_taken_from_the_angles_meanwhile() -> None:
    """Handlers of signals run between slices, other threads at any time; an engine goes on with what it was given."""
    script = """
import signal, torch
import qrnn_fast as qf
from qrnn_fast import _core
circuit, backend = qf.cells.crx_chain(6), qf.backends.Native(threads=1)
angles = torch.rand(256, 2000, circuit.n_angles)
expected, _ = qf.evolve(circuit, angles, backend=backend)
events, run = [], _core.forward
def swap(*_):
    angles.data = torch.zeros_like(angles)
    events.append("swap")
def forward(*arguments):
    result = run(*arguments)
    events.append("answer")
    return result
_core.forward = forward
signal.signal(signal.SIGALRM, swap)
signal.setitimer(signal.ITIMER_REAL, 0.005)
found, _ = qf.evolve(circuit, angles, backend=backend)
assert events == ["swap", "answer"]
assert torch.equal(found, expected)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
