"""That nothing is lost or paid for twice: crashes, interrupts and damage."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from fake_service import SECONDS, TOKEN, Service
from problems import angles
from qiskit_aer import AerSimulator
from qrnn_fast import cells
from qrnn_fast.backends import Runtime
from qrnn_fast.backends.runtime import JobError, JournalError
from service_calls import ANGLES, CIRCUIT, SHOTS, call, events, runtime, stored
from torch import Tensor


def test_a_finished_run_is_replayed_without_the_service(service: Service, journal: Path) -> None:
    first = runtime(service, journal)
    results = [call(first, k * ANGLES) for k in (1, 2, 3)]
    assert first.position == 3
    service.knows_jobs = False
    again = runtime(service, journal)
    assert again.used_qpu_seconds == 3 * SECONDS
    assert again.position == 0
    for k in (1, 2, 3):
        assert torch.equal(call(again, k * ANGLES), results[k - 1])
    from_checkpoint = runtime(service, journal)
    from_checkpoint.position = 2
    assert torch.equal(call(from_checkpoint, 3 * ANGLES), results[2])
    call(from_checkpoint, 4 * ANGLES)  # the run goes on
    assert service.submissions == 4
    assert runtime(service, journal).used_qpu_seconds == 4 * SECONDS


def test_results_before_a_checkpoint_are_forgotten(service: Service, journal: Path) -> None:
    backend = runtime(service, journal)
    backend.forget(1)  # there is nothing yet
    results = [call(backend, k * ANGLES) for k in (1, 2)]
    backend.forget(1)
    assert len(stored(journal)) == 1
    again = runtime(service, journal)
    assert torch.equal(call(again), results[0])  # the service still has it
    assert torch.equal(call(again, 2 * ANGLES), results[1])
    assert service.submissions == 2
    assert again.used_qpu_seconds == 2 * SECONDS  # not counted twice


def test_another_call_is_not_answered(service: Service, journal: Path) -> None:
    call(runtime(service, journal))
    other = runtime(service, journal)
    for different in (
        lambda: call(other, ANGLES + 1e-9),
        lambda: call(other, ANGLES.float()),
        lambda: call(other, ANGLES[:2]),
        lambda: other.run(CIRCUIT, ANGLES, None, shots=SHOTS + 1),
        lambda: other.run(cells.rx_rz_chain(2), angles(cells.rx_rz_chain(2), 3, 2), None),
        lambda: call(runtime(service, journal, optimization_level=1)),
    ):
        with pytest.raises(JournalError, match=r"run\.jsonl: call 0 was made with another.*position = 1"):
            different()
    assert service.submissions == 1
    other.position = 1
    call(other, ANGLES + 1e-9)
    assert service.submissions == 2


def test_without_a_journal_another_call_takes_the_place_of_a_failed_one(service: Service) -> None:
    service.fates = ["error"]
    backend = runtime(service)
    with pytest.raises(JobError):
        call(backend)
    call(backend, 2 * ANGLES)
    assert service.submissions == 2


def test_a_job_that_the_service_has_forgotten(service: Service, journal: Path) -> None:
    """It may have been paid for: that is for the user to decide."""
    service.fates = ["running"]
    with pytest.raises(JobError):
        call(runtime(service, journal, timeout=0.01))
    service.knows_jobs = False
    with pytest.raises(JobError, match=r"names job job-0.*Job not found.*same account") as failed:
        call(runtime(service, journal))
    assert failed.value.status == "UNREACHABLE"
    assert service.submissions == 1


def test_jobs_that_died_with_their_process_run_again(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    backend = Runtime(AerSimulator(), shots=SHOTS, journal=journal)
    expected = backend.run(CIRCUIT, ANGLES, None, seed=1)[0]
    backend.forget(1)
    found = Runtime(AerSimulator(), shots=SHOTS, journal=journal).run(CIRCUIT, ANGLES, None, seed=1)[0]
    assert torch.equal(found, expected)  # of the same seed
    assert "ended with its process and left no results; it runs again" in caplog.text
    assert events(journal).count("submitted") == 2


def split_run(folder: Path, journal: Path, fates: list[str]) -> int:
    """Another process that makes the call, in jobs of 60 executions, and how it ended."""
    code = (
        "import sys, qrnn_fast.backends.runtime.jobs as jobs; from pathlib import Path; jobs.MAX_EXECUTIONS = 60\n"
        "import service_calls as t; from fake_service import *\n"
        "with in_place(): t.call(t.runtime(Service(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2])))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", code, str(folder), str(journal), *fates]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=False).returncode


@pytest.mark.parametrize(
    ("fates", "submitted_by_the_first", "recorded"),
    [(["done", "killed"], 2, 2), (["done", "crash"], 2, 1)],
    ids=["while waiting", "before the id is known"],
)
def test_a_killed_process(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch,
    fates: list[str], submitted_by_the_first: int, recorded: int,
) -> None:  # fmt: skip
    """Its jobs are collected, nothing is paid for twice, and the results are those of a run that was not killed."""
    assert split_run(service.folder, journal, fates) == -signal.SIGKILL
    assert service.submissions == submitted_by_the_first
    assert events(journal).count("submitted") == recorded
    monkeypatch.setattr("qrnn_fast.backends.runtime.jobs.MAX_EXECUTIONS", 60)
    backend = runtime(service, journal)
    found = call(backend)
    assert service.submissions == 2
    assert backend.used_qpu_seconds == 2 * SECONDS
    assert torch.equal(found, call(runtime(service)))


def train(backend: Runtime, checkpoint: Path, updates: int) -> list[Tensor]:
    """Weights after so many updates, from the checkpoint on where there is one; it is renewed after each."""
    generator = torch.Generator().manual_seed(2)
    torch.manual_seed(0)
    model = qf.QRNN(2, CIRCUIT, gradient=qf.SPSA(samples=1), backend=backend, generator=generator)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        generator.set_state(state["generator"])
        done, backend.position = state["done"], state["position"]
    for update in range(done, updates):
        optimiser.zero_grad()
        output, _ = model(torch.full((2, 1, 2), 0.1 * update))
        output[..., 0].sum().backward()
        optimiser.step()
        torch.save(
            {
                "model": model.state_dict(),
                "generator": generator.get_state(),
                "done": update + 1,
                "position": backend.position,
            },
            checkpoint,
        )
        backend.forget(backend.position)
    return [*model.parameters()]


def test_training_goes_on_from_a_checkpoint(service: Service, journal: Path, tmp_path: Path) -> None:
    """To the same weights, for the same number of jobs, whichever job of an update was under way."""
    expected = train(runtime(service), tmp_path / "whole.pt", 3)
    jobs = service.submissions
    per_update = jobs // 3
    for i in range(per_update):
        service.fates = ["done"] * (per_update + i) + ["running"]
        path, checkpoint = tmp_path / f"{i}.jsonl", tmp_path / f"{i}.pt"
        before = service.submissions
        with pytest.raises(JobError):
            train(runtime(service, path, timeout=0.01), checkpoint, 3)
        service.set_fate(f"job-{service.submissions - 1}", "done")
        found = train(runtime(service, path), checkpoint, 3)
        assert service.submissions - before == jobs
        for mine, its in zip(found, expected, strict=True):
            assert torch.equal(mine, its)


def test_the_plan_of_a_call_stays_when_limits_change(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as limited:
        limited.setattr("qrnn_fast.backends.runtime.jobs.MAX_EXECUTIONS", 60)
        service.fates = ["done", "running"]
        with pytest.raises(JobError):
            call(runtime(service, journal, timeout=0.01))
    service.set_fate("job-1", "done")
    assert call(runtime(service, journal)).shape == (3, 2, 2)
    assert service.submissions == 2


def test_a_job_that_failed_after_a_crash_is_not_taken_for_the_lost_one(service: Service, journal: Path) -> None:
    service.fates = ["error", "error"]
    for _ in range(2):
        with pytest.raises(JobError):
            call(runtime(service, journal))
    call(runtime(service, journal))
    assert service.submissions == 3


DAMAGES: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text.replace('"digest"', '"digest'), "line 2 is damaged"),
    (lambda text: text.replace('"event": "call"', '"event": "cal"'), "line 2 is no line of a journal"),
    (lambda text: text.replace('"version": 1', '"version": 99'), "line 1 is no line of a journal"),
    (lambda text: text.split("\n", 1)[1], "line 1 is no line of a journal"),
    (lambda _: "notes of mine", "line 1 is damaged"),
    (lambda _: "3\n", "line 1 is no line of a journal"),
]


def test_reading_a_whole_journal_changes_nothing(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that writes it may go on meanwhile."""
    backend = runtime(service, journal)
    call(backend)
    monkeypatch.setattr("os.truncate", lambda *_: pytest.fail("the journal was cut"))
    assert runtime(service, journal).used_qpu_seconds == SECONDS
    call(backend)


def test_other_options_are_another_call(journal: Path) -> None:
    """Those that may change outcomes; tags may differ."""

    def counts(options: Any) -> Any:
        return Runtime("fake:ManilaV2", shots=20, journal=journal, options=options).run(CIRCUIT, ANGLES, None)[0]

    first = counts({"environment": {"job_tags": ["a"]}})
    assert torch.equal(counts({"environment": {"job_tags": ["b"]}}), first)
    with pytest.raises(JournalError, match="options or backend"):
        counts({"dynamical_decoupling": {"enable": True}})


def test_a_torn_last_line_is_dropped(service: Service, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    call(runtime(service, journal))
    for _ in range(2):  # the line of the usage, then that of the submission, too
        journal.write_text(journal.read_text()[:-20])
        backend = runtime(service, journal)
        assert "the last line was not written to its end" in caplog.text
        assert journal.read_text().endswith("}\n")
    call(backend)
    assert service.submissions == 1  # the results were stored
    call(backend, 2 * ANGLES)
    assert runtime(service, journal).position == 0  # it can be read


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_other_damage_is_refused(service: Service, journal: Path, damage: Callable[[str], str], message: str) -> None:
    call(runtime(service, journal))
    journal.write_text(damaged := damage(journal.read_text()))
    with pytest.raises(JournalError, match=message):
        runtime(service, journal)
    assert journal.read_text() == damaged


def _one_byte(content: bytes) -> bytes:
    middle = content.index(b"counts.npy") + 40
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda content: content[:-30], lambda _: b"", _one_byte])
def test_damaged_results_are_refused(service: Service, journal: Path, damage: Callable[[bytes], bytes]) -> None:
    call(runtime(service, journal))
    (file,) = stored(journal)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(JournalError, match=r"0-0\.npz: damaged"):
        call(runtime(service, journal))
    file.unlink()
    call(runtime(service, journal))
    assert service.submissions == 1


@pytest.mark.parametrize("factor", [1, 2])
def test_two_processes_do_not_share_a_journal(service: Service, journal: Path, factor: int) -> None:
    first, second = runtime(service, journal), runtime(service, journal)
    call(first)
    with pytest.raises(JournalError, match="another process writes this journal"):
        call(second, factor * ANGLES)
    assert service.submissions == 1


def test_results_of_a_journal_that_was_deleted_answer_nothing(service: Service, journal: Path) -> None:
    call(runtime(service, journal))
    journal.unlink()
    service.fates = ["running"]
    with pytest.raises(JobError):
        call(runtime(service, journal, timeout=0.01), 2 * ANGLES)
    service.set_fate("job-1", "done")
    found = call(runtime(service, journal), 2 * ANGLES)
    assert torch.equal(found, call(runtime(service), 2 * ANGLES))


def test_no_token_is_shown(service: Service, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    service.fates = ["error"]
    with caplog.at_level(logging.DEBUG):
        backend = runtime(service, journal)
        with pytest.raises(JobError) as failed:
            call(backend)
        call(backend)
    for text in (repr(backend), str(failed.value), caplog.text, journal.read_text()):
        assert text
        assert TOKEN not in text


@pytest.mark.parametrize("number", [-1, 1.5, True])
def test_refused_positions(service: Service, number: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="position must be"):
        runtime(service).position = number


def test_a_call_that_could_not_be_written_is_when_it_is_made_again(service: Service, journal: Path) -> None:
    later = journal.parent / "later" / "run.jsonl"
    backend = runtime(service, later)
    with pytest.raises(FileNotFoundError):
        call(backend)
    assert service.submissions == 0
    later.parent.mkdir()
    found = call(backend)
    assert torch.equal(call(runtime(service, later)), found)
    assert service.submissions == 1
