"""What the binding refuses, and random op lists and tensors."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qrnn_fast import Circuit, _core, backends, cells, evolve

TRIES = 2000  # `make fuzz` makes 100,000


def test_random_calls_are_answered_or_refused() -> None:
    fuzz = Path(__file__).with_name("fuzz.py")
    told = subprocess.run([sys.executable, fuzz, str(TRIES)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    for answer in ("forward", "backward", "frequencies", "outcomes", "steps", "refused"):
        assert answer in told.stdout


CIRCUIT = cells.crx_chain(2)._core
PLAN, SHOTS = _core.Plan(CIRCUIT), _core.TrajectoryPlan(CIRCUIT)
F64, C128 = torch.float64, torch.complex128
ANGLES, INITIAL = torch.zeros(1, 2, 13, dtype=F64), torch.zeros(1, 1, 2, dtype=C128)
IDS = torch.zeros(1, dtype=torch.int64)
NO_ANGLES = _core.Plan(Circuit(1).h(0).measure(0).reset(0)._core)


def misaligned(tensor: torch.Tensor) -> torch.Tensor:
    array = tensor.numpy()
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    assert not shifted.flags.aligned
    return torch.from_numpy(shifted)


def no_angles(n_sequences: int, n_steps: int) -> Any:
    return _core.forward(NO_ANGLES, torch.zeros(n_sequences, n_steps, 0, dtype=F64), None, 1)


def sample(initial: Any = None, weights: Any = None, ids: Any = IDS, shots: int = 1, threads: int = 1) -> Any:
    return _core.sample(SHOTS, ANGLES, initial, weights, ids, 0, shots, threads, averages=True)


def steps(n_outcomes: int = 2, shots: int = 1, threads: int = 1) -> Any:
    return _core.sample_steps(torch.ones(1, 2, n_outcomes, dtype=F64), IDS, 0, shots, threads, averages=True)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"threads must lie in 1\.\.1024, got 1025", lambda: _core.forward(PLAN, ANGLES, None, 1025)),
        (r"threads must lie in 1\.\.1024, got 0", lambda: steps(threads=0)),
        (r"threads must lie in 1\.\.1024, got 1000000", lambda: backends.Native(threads=1_000_000)),
        ("angles must be contiguous and aligned", lambda: _core.forward(PLAN, misaligned(ANGLES), None, 1)),
        ("angles must be contiguous and aligned", lambda: _core.forward(PLAN, ANGLES[:, :1].expand(1, 2, 13), None, 1)),
        ("angles must be contiguous and aligned", lambda: _core.forward(PLAN, ANGLES.mT.contiguous().mT, None, 1)),
        (
            "angles must hold numbers",
            lambda: _core.forward(PLAN, torch._efficientzerotensor((1, 2, 13), dtype=F64), None, 1),
        ),
        (r"angles must have the shape \(B, T, 13\)", lambda: _core.forward(PLAN, ANGLES[0], None, 1)),
        (r"grad_probs must have the shape \(1, 2, 2\)", lambda: _core.backward(PLAN, ANGLES, None, ANGLES, None, 1)),
        ("sequence_ids must be contiguous and aligned", lambda: sample(ids=misaligned(IDS))),
        (r"sequence_ids must lie between 0 and 2\^32 - 1, got -1", lambda: sample(ids=IDS - 1)),
        (r"sequence_ids must lie between 0 and 2\^32 - 1, got 4294967296", lambda: sample(ids=IDS + 2**32)),
        ("given together", lambda: sample(initial=INITIAL)),
        ("given together", lambda: sample(weights=torch.ones(1, 1, dtype=F64))),
        ("1 <= k <= 2", lambda: sample(INITIAL[:, :0], torch.zeros(1, 0, dtype=F64))),
        ("shots must be at least 1, got 0", lambda: sample(shots=0)),
        ("shots must be at least 1, got -1", lambda: steps(shots=-1)),
        ("1 <= n <= 2", lambda: steps(n_outcomes=0)),
        ("at most 2147483647 sequences and steps", lambda: no_angles(0, 2**40)),
        (r"the list of probabilities needs .* GB of memory, the limit is", lambda: no_angles(2**20, 2**20)),
        (r"n_angles must lie in 0\.\.16777216", lambda: _core.Circuit(1, 2**31 - 1)),
        ("at most 16777216 angles", lambda: _core.Circuit(1, 2**24).new_angle()),
    ],
)
def test_refused(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("message", "angles"),
    [
        ("angles must be float32 or float64, got complex64", ANGLES.to(torch.complex64)),
        ("angles must be float32 or float64, got bfloat16", ANGLES.to(torch.bfloat16)),
        ("incompatible function arguments", ANGLES.numpy()),
        ("incompatible function arguments", None),
        ("a tensor must be dense, with storage, on the CPU", ANGLES.to("meta")),
        ("a tensor must be dense, with storage, on the CPU", ANGLES.to_sparse()),
    ],
)
def test_refused_types(message: str, angles: Any) -> None:
    with pytest.raises(TypeError, match=message):
        _core.forward(PLAN, angles, None, 1)
    with pytest.raises(TypeError, match="grad_probs must have the type float64, got float32"):
        _core.backward(PLAN, ANGLES, None, torch.zeros(1, 2, 2), None, 1)
    with pytest.raises(TypeError, match="memory must have the type complex128, got complex64"):
        _core.forward(PLAN, ANGLES, torch.eye(2, dtype=torch.complex64)[None], 1)


def test_marks_on_tensors_are_seen() -> None:
    """PyTorch conjugates and negates lazily, by a mark that the binding cannot see."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.randn(2, 3, 13, dtype=C128, generator=generator).conj().imag
    assert angles.is_neg()
    circuit = cells.crx_chain(2)
    probs, memory = evolve(circuit, angles)
    for got, expected in zip((probs, memory), evolve(circuit, angles.clone()), strict=True):
        assert torch.equal(got, expected)
    marked = memory.conj()
    assert marked.is_conj()
    assert torch.equal(evolve(circuit, angles, marked)[0], evolve(circuit, angles, marked.resolve_conj())[0])


def test_results_outlive_the_call() -> None:
    """A result's memory is its own: freed with it, also by another thread, and writable."""
    tensors = [_core.forward(PLAN, ANGLES, None, 1) for _ in range(3)]
    addresses = {x.data_ptr() for pair in tensors for x in pair}
    assert len(addresses) == 6
    assert all(address % 64 == 0 for address in addresses)
    for probs, memory in tensors:
        probs.add_(1).requires_grad_()
        assert memory.resolve_conj().shape == (1, 2, 2)
    thread = threading.Thread(target=tensors.clear)
    thread.start()
    thread.join()
    assert not tensors


def test_angles_that_are_no_numbers_are_drawn_from_by_no_sampling() -> None:
    angles = torch.zeros(2, 3, 13)
    angles[0, 1, 4] = torch.nan
    for sampling in ("trajectories", "marginal"):
        frequencies, _ = evolve(cells.crx_chain(2), angles, shots=5, backend=backends.Native(sampling=sampling))
        told = frequencies.isfinite().all(-1)
        assert told.tolist() == [[True, False, False], [True, True, True]]
