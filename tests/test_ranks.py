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


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What went wrong in each check, on either rank."""
    folder = tmp_path_factory.mktemp("ranks")
    small_settings(folder).save(folder / "settings.json")
    with torchrun(Path(__file__).with_name("two_ranks.py"), folder) as process:
        output = "".join(process.communicate(timeout=SECONDS))
    assert process.returncode == 0, output
    ranks = [json.loads((folder / f"rank {number}.json").read_text()) for number in (0, 1)]
    return {name: [rank[name] for rank in ranks] for name in CHECKS}


@pytest.mark.parametrize("check", CHECKS)
def test_two_processes_are_as_one(found: dict[str, list[str]], check: str) -> None:
    assert found[check] == ["", ""], "\n".join(found[check])


def told(output: str) -> list[str]:
    """What the ranks say, without what torchrun does."""
    return [line for line in output.splitlines() if line.startswith(("failed", "error", "interrupted"))]


def test_a_killed_rank_or_ctrl_c_ends_all_with_one_message(settings: Settings, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "updates.jsonl"
    runs.begin(dataclasses.replace(settings, epochs=10**5, checkpoint_every=3), run).save()
    log.touch()

    def wait_for_updates() -> None:
        before, deadline = log.read_text().count("\n"), time.monotonic() + SECONDS
        while log.read_text().count("\n") < before + 10:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)

    with torchrun("-m", "qrnn_fast", "train", "--out", run, "--resume") as process:
        wait_for_updates()
        os.kill(children(process)[-1], signal.SIGKILL)
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert "SIGKILL" in stderr  # torchrun says so, and ends the other rank, which may have been first to notice
    assert told(stderr) in ([], [line for line in told(stderr)[:1] if "another rank has ended" in line])
    with torchrun("-m", "qrnn_fast", "train", "--out", run, "--resume") as process:
        wait_for_updates()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert told(stderr) == [f"interrupted; the checkpoint in {run} is whole, continue with --resume"]
    assert runs.resume(run, {}).update >= 10
