"""Several processes train as one does. They take seconds to start: two_ranks.py has all checks of one start."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import small_settings
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.settings import Settings
from two_ranks import CHECKS

SECONDS = 240


@contextmanager
def torchrun(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Two processes; whatever happens, none is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A shell's background job ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        for pid in [*children(process), process.pid] if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)


def children(process: subprocess.Popen[str]) -> list[int]:
    """The ids of what a process has started, the oldest first."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


class Found(NamedTuple):
    """What two processes found.

    Attributes:
        wrong: what went wrong in each check, on either rank.
        folder: what they wrote.
        errors: what was said on the standard error stream.
    """

    wrong: dict[str, list[str]]
    folder: Path
    errors: str


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("ranks")
    small_settings(folder).save(folder / "settings.json")
    with torchrun(Path(__file__).with_name("two_ranks.py"), folder) as process:
        output, errors = process.communicate(timeout=SECONDS)
    files = [folder / f"rank {number}.json" for number in (0, 1)]
    assert all(file.exists() for file in files), output + errors
    wrong = [json.loads(file.read_text()) for file in files]
    return Found({name: [rank[name] for rank in wrong] for name in CHECKS}, folder, errors)


@pytest.mark.parametrize("check", CHECKS)
def test_two_processes_are_as_one(found: Found, check: str) -> None:
    assert found.wrong[check] == ["", ""], "\n".join(found.wrong[check])


def test_a_killed_rank_ends_the_others(found: Found) -> None:
    assert "SIGKILL" in found.errors  # torchrun tells which one it was
    assert (found.folder / "killed" / "lost").exists(), found.errors
    assert runs.resume(found.folder / "killed", {}).update == 4


def test_ctrl_c_ends_all_with_one_message(settings: Settings, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "updates.jsonl"
    runs.begin(dataclasses.replace(settings, epochs=10**5, checkpoint_every=3), run).save()
    log.touch()
    deadline = time.monotonic() + SECONDS
    with torchrun("-m", "qrnn_fast", "train", "--out", run, "--resume") as process:
        while log.read_text().count("\n") < 10:  # they reach the disk before a checkpoint
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    told = [line for line in errors.splitlines() if line.startswith(("failed", "error", "interrupted"))]
    assert told == [f"interrupted; the checkpoint in {run} is whole, continue with --resume"]
    assert runs.resume(run, {}).update >= 9
