"""What the binding refuses, and random op lists and buffers."""

from __future__ import annotations

import subprocess
import sys
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
ANGLES, MEMORY = np.zeros((1, 2, 13)), np.zeros((1, 1, 2, 2))
IDS = np.zeros(1, np.uint32)
NO_ANGLES = _core.Plan(Circuit(1).h(0).measure(0).reset(0)._core)


def misaligned(array: np.ndarray) -> np.ndarray:
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    assert not shifted.flags.aligned
    return shifted


def sample(initial: Any = None, weights: Any = None, ids: Any = IDS, shots: int = 1, threads: int = 1) -> Any:
    return _core.sample(SHOTS, ANGLES, initial, weights, ids, 0, shots, threads, averages=True)


def steps(n_outcomes: int = 2, shots: int = 1, threads: int = 1) -> Any:
    return _core.sample_steps(np.ones((1, 2, n_outcomes)), IDS, 0, shots, threads, averages=True)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"threads must lie in 1\.\.1024, got 1025", lambda: _core.forward(PLAN, ANGLES, None, 1025)),
        (r"threads must lie in 1\.\.1024, got 0", lambda: steps(threads=0)),
        (r"threads must lie in 1\.\.1024, got 1000000", lambda: backends.Native(threads=1_000_000)),
        ("angles must be C-contiguous and aligned", lambda: _core.forward(PLAN, misaligned(ANGLES), None, 1)),
        ("sequence_ids must be C-contiguous and aligned", lambda: sample(ids=misaligned(IDS))),
        ("given together", lambda: sample(initial=MEMORY)),
        ("given together", lambda: sample(weights=np.ones((1, 1)))),
        ("1 <= k <= 2", lambda: sample(np.zeros((1, 0, 2, 2)), np.zeros((1, 0)))),
        ("shots must be at least 1, got 0", lambda: sample(shots=0)),
        ("shots must be at least 1, got -1", lambda: steps(shots=-1)),
        ("1 <= n <= 2", lambda: steps(n_outcomes=0)),
        ("at most 2147483647 sequences and steps", lambda: _core.forward(NO_ANGLES, np.zeros((0, 2**40, 0)), None, 1)),
        (
            r"the list of probabilities needs .* GB of memory, the limit is",
            lambda: _core.forward(NO_ANGLES, np.zeros((2**20, 2**20, 0)), None, 1),
        ),
        (r"n_angles must lie in 0\.\.16777216", lambda: _core.Circuit(1, 2**31 - 1)),
        ("at most 16777216 angles", lambda: _core.Circuit(1, 2**24).new_angle()),
    ],
)
def test_refused(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_angles_that_are_no_numbers_are_drawn_from_by_no_sampling() -> None:
    angles = torch.zeros(2, 3, 13)
    angles[0, 1, 4] = torch.nan
    for sampling in ("trajectories", "marginal"):
        frequencies, _ = evolve(cells.crx_chain(2), angles, shots=5, backend=backends.Native(sampling=sampling))
        told = frequencies.isfinite().all(-1)
        assert told.tolist() == [[True, False, False], [True, True, True]]
