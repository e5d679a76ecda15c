"""Checkpoints whose writer is killed, and files that were damaged later."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from qrnn_fast.experiments.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"update": 1, "weights": torch.arange(30.0)})
    return path


def test_a_writer_killed_at_any_byte_leaves_the_last_checkpoint(path: Path) -> None:
    """The kernel ends the writer by a signal at the byte where its file reaches the limit."""
    script = """
import os, resource, signal, sys
from pathlib import Path
import torch
from qrnn_fast.experiments.checkpoint import load_checkpoint, save_checkpoint
path = Path(sys.argv[1])
for limit in range(0, path.stat().st_size, 29):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        save_checkpoint(path, {"update": 2, "weights": torch.zeros(30)})
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
    state = load_checkpoint(path, {"update", "weights"})
    assert state["update"] == 1 and torch.equal(state["weights"], torch.arange(30.0))
save_checkpoint(path, {"update": 2, "weights": torch.zeros(30)})
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, path], check=True, timeout=120)
    assert load_checkpoint(path, {"update", "weights"})["update"] == 2


def test_a_writer_that_raises_leaves_nothing_behind(path: Path) -> None:
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        save_checkpoint(path, {"update": 2, "weights": lambda: None})
    assert list(path.parent.iterdir()) == [path]
    assert load_checkpoint(path, {"update", "weights"})["update"] == 1


def test_cut_off_at_any_byte_is_told(path: Path) -> None:
    for size in range(path.stat().st_size - 1, -1, -1):
        os.truncate(path, size)
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            load_checkpoint(path, {"update", "weights"})


def test_a_changed_bit_is_told(path: Path) -> None:
    """PyTorch alone would load the other numbers."""
    whole = path.read_bytes()
    weights = torch.arange(30.0).numpy().tobytes()
    start = whole.index(weights)
    for at in range(start, start + len(weights)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"the sum of .* is wrong"):
            load_checkpoint(path, {"update", "weights"})
