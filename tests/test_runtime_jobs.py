"""Jobs of a service: how calls are split, what they cost, how jobs end, and that nothing is lost or paid for twice."""

from __future__ import annotations

import copy
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from fake_service import SECONDS, TOKEN, Device, Service, in_place
from hypothesis import given
from hypothesis import strategies as st
from problems import angles
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qrnn_fast import cells
from qrnn_fast.backends import Runtime
from qrnn_fast.backends.runtime import BudgetError, JobError, JournalError
from qrnn_fast.backends.runtime.jobs import (
    MAX_EXECUTIONS,
    MAX_INSTRUCTIONS,
    MAX_MEASURED_BITS,
    split,
)
from torch import Tensor

CIRCUIT = cells.crx_chain(2)
ANGLES = angles(CIRCUIT, 3, 2)
SHOTS = 40


@pytest.fixture(autouse=True)
def _fake_sampler() -> Iterator[None]:
    with in_place():
        yield


@pytest.fixture
def service(tmp_path: Path) -> Service:
    folder = tmp_path / "service"
    folder.mkdir()
    return Service(folder)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def runtime(service: Service, journal: Path | None = None, **settings: Any) -> Runtime:
    return Runtime(Device(service), shots=SHOTS, journal=journal, **settings)


def call(backend: Runtime, a: Tensor = ANGLES) -> Tensor:
    return backend.run(CIRCUIT, a, None, seed=1)[0]


def events(journal: Path) -> list[str]:
    return [json.loads(line)["event"] for line in journal.read_text().splitlines()]


def stored(journal: Path) -> list[Path]:
    return [*journal.with_name(journal.name + ".results").iterdir()]


# ---- splitting

sizes = st.integers(1, 40_000)


@given(n_rows=st.integers(1, 3000), shots=st.integers(1, 30_000_000), bits=sizes, instructions=st.integers(1, 10**6))
def test_parts_cover_a_call_within_the_limits(n_rows: int, shots: int, bits: int, instructions: int) -> None:
    total = n_rows * shots
    allowed = min(MAX_EXECUTIONS, MAX_MEASURED_BITS // bits)
    if total > 2000 * allowed:  # more jobs than anyone waits for
        shots = max(1, 2000 * allowed // n_rows)
        total = n_rows * shots
    parts = split(n_rows, shots, bits=bits, instructions=instructions)
    given_out: dict[int, int] = dict.fromkeys(range(n_rows), 0)
    for part in parts:
        assert part.shots > 0
        assert part.n_rows > 0
        assert part.executions <= allowed
        assert part.n_rows == 1 or part.n_rows * instructions <= MAX_INSTRUCTIONS
        for row in range(part.start, part.stop):
            given_out[row] += part.shots
    assert set(given_out.values()) == {shots}
    if total <= allowed and n_rows * instructions <= MAX_INSTRUCTIONS:
        assert len(parts) == 1
    shares = len({(part.start, part.stop) for part in parts})
    assert len(parts) % shares == 0  # every group of rows in as many shares
    if instructions * n_rows <= MAX_INSTRUCTIONS:
        groups_of_whole_rows = -(-n_rows // (allowed // shots)) if shots <= allowed else n_rows * -(-shots // allowed)
        assert -(-total // allowed) <= len(parts) <= groups_of_whole_rows


def test_an_update_by_spsa_is_one_job() -> None:
    """Batch 20, two samples: the batch and four copies of it; 20 steps of four readout qubits."""
    assert len(split(100, 1024, bits=80, instructions=2000)) == 1
    assert Runtime(FakeManilaV2()).qpu_seconds(cells.crx_chain(4), 20, 100).jobs == 1


def test_shots_are_split_where_that_makes_fewer_jobs() -> None:
    """Two thirds of what a job holds: with whole rows, a third of each job would be empty."""
    parts = split(4, 6_000_000, bits=1, instructions=1)
    assert parts == [(0, 4, 2_000_000)] * 3
    parts = split(2, 5_000_000, bits=1, instructions=1)
    assert parts == [(0, 1, 5_000_000), (1, 2, 5_000_000)]  # no fewer jobs by shares


def test_a_split_call_submits_all_its_jobs_before_it_waits(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qrnn_fast.backends.runtime.jobs.MAX_EXECUTIONS", 30)
    service.fates = ["late"]
    seen: list[int] = []
    monkeypatch.setattr("time.sleep", lambda _: seen.append(service.submissions))
    call(runtime(service))
    assert seen == [4, 4]  # 3 rows of 40 shots, in four shares of at most 30 executions


def test_calls_of_several_threads_have_numbers_of_their_own(service: Service, journal: Path) -> None:
    service.fates = ["late"] * 4
    backend = runtime(service, journal)
    with ThreadPoolExecutor(4) as threads:
        probs = list(threads.map(lambda k: call(backend, k * ANGLES), range(4)))
    assert backend.position == service.submissions == events(journal).count("finished") == 4
    assert probs[0][:, :, 0].min() == 1  # of angles that are zero, whichever call was the first


def test_copies_of_a_layer_share_the_backend(service: Service, journal: Path) -> None:
    layer = qf.QRNN(1, CIRCUIT, gradient="spsa", backend=runtime(service, journal))
    for model in (layer, copy.deepcopy(layer)):
        with torch.no_grad():
            model(torch.zeros(2, 1, 1))
    assert isinstance(layer.backend, Runtime)
    assert layer.backend.position == 2


# ---- budget


def test_estimate() -> None:
    device = FakeManilaV2()
    backend = Runtime(device, shots=1000)
    estimate = backend.qpu_seconds(CIRCUIT, 3, 7)
    assert estimate[:3] == (7, 1000, 1)
    assert 0 < estimate.circuit_seconds < 1e-3
    assert estimate.seconds_per_shot == estimate.circuit_seconds + device.default_rep_delay
    assert estimate.qpu_seconds == pytest.approx(2 + 7000 * estimate.seconds_per_shot)  # two seconds a job
    assert backend.qpu_seconds(CIRCUIT, 3, 7, shots=10).shots == 10
    assert backend.qpu_seconds(CIRCUIT, 30, 7).circuit_seconds > 5 * estimate.circuit_seconds
    assert backend.qpu_seconds(CIRCUIT, 3, 20_000).jobs == 7  # 60 million bits
    with pytest.raises(ValueError, match="does not tell how long"):
        Runtime(AerSimulator()).qpu_seconds(CIRCUIT, 3, 7)
    with pytest.raises(ValueError, match="n_steps must be at least 1"):
        backend.qpu_seconds(CIRCUIT, 0, 7)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": cells.crx_chain(2)}, TypeError, "model must be a qf.QRNN, got Circuit"),
        ({"backend": "fake:ManilaV2"}, TypeError, "must be a qf.backends.Runtime, got str"),
        ({"gradients": "spsa"}, TypeError, r"a list of methods, got 'spsa'; write \['spsa'\]"),
        ({"gradients": ["adjoint"]}, ValueError, "needs the native backend, got 'runtime'"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    ],
)
def test_estimate_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"model": qf.QRNN(1, cells.crx_chain(2)), "backend": Runtime(FakeManilaV2()), "steps": 2, **arguments}
    with pytest.raises(error, match=message):
        qf.estimate(**given)


def test_budget(service: Service) -> None:
    backend = runtime(service, max_qpu_seconds=3.9)
    needed = backend.qpu_seconds(CIRCUIT, 2, 3).qpu_seconds  # a little above two seconds
    call(backend)
    assert backend.used_qpu_seconds == SECONDS
    with pytest.raises(BudgetError) as refused:
        backend.run(CIRCUIT, ANGLES, None, shots=10_000)
    for figure in (f"{SECONDS:.1f} s", "3.9 s", f"{2 + (needed - 2) * 10_000 / SHOTS:.1f} s"):
        assert figure in str(refused.value)
    assert service.submissions == 1
    call(backend)
    with pytest.raises(BudgetError):
        call(backend)
    assert service.submissions == 2


def test_a_call_beyond_the_budget_leaves_no_trace(service: Service, journal: Path) -> None:
    backend = runtime(service, journal, max_qpu_seconds=3)
    with pytest.raises(BudgetError):
        backend.run(CIRCUIT, ANGLES, None, shots=10_000)
    assert not journal.exists()
    call(backend)  # another one in its place
    assert service.submissions == 1


def test_the_budget_needs_durations() -> None:
    with pytest.raises(ValueError, match="max_qpu_seconds cannot be kept"):
        Runtime(AerSimulator(), max_qpu_seconds=1).run(CIRCUIT, ANGLES, None)


@pytest.mark.parametrize("usage", [{}, {"qpu_charge_time_seconds": 0, "status": "pending"}])
def test_the_estimate_stands_in_for_usage_that_is_not_reported(service: Service, usage: dict[str, Any]) -> None:
    service.usage = usage
    backend = runtime(service)
    call(backend)
    assert backend.used_qpu_seconds == backend.qpu_seconds(CIRCUIT, 2, 3).qpu_seconds


@pytest.mark.parametrize("keeps_journal", [False, True])
def test_jobs_that_nobody_waits_for_any_more_count(service: Service, journal: Path, keeps_journal: bool) -> None:
    """A call is given up at its timeout; its job runs on, and is paid for."""
    service.fates = ["running"]
    backend = runtime(service, journal if keeps_journal else None, timeout=0.05, max_qpu_seconds=3.9)
    needed = backend.qpu_seconds(CIRCUIT, 2, 3).qpu_seconds  # a little above two seconds
    with pytest.raises(JobError, match="still RUNNING"):
        call(backend)
    assert backend.used_qpu_seconds == needed
    if keeps_journal:
        backend = runtime(service, journal, max_qpu_seconds=3.9)
        assert backend.used_qpu_seconds == needed
        backend.position = 1
    with pytest.raises(BudgetError):
        call(backend, 2 * ANGLES)
    assert service.submissions == 1


def test_a_job_that_runs_is_counted_once(service: Service) -> None:
    service.fates = ["running"]
    backend = runtime(service, timeout=0.05, max_qpu_seconds=2.5)
    with pytest.raises(JobError, match="still RUNNING"):
        call(backend)
    service.set_fate("job-0", "done")
    call(backend)  # collected, not refused
    assert backend.used_qpu_seconds == SECONDS


def test_usage_is_logged(service: Service, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "qrnn_fast.runtime"):
        call(runtime(service, journal))
    assert "job job-0: submitted, 3 rows of 40 shots" in caplog.text
    assert "job job-0: finished, 3 rows of 40 shots, QPU time 1.50 s, reported" in caplog.text
    assert json.loads(journal.read_text().splitlines()[-1]) == {
        "event": "finished", "call": 0, "part": 0, "job": "job-0", "seconds": SECONDS, "reported": True
    }  # fmt: skip


# ---- how jobs end

LOST = [
    ("error", "ERROR", "Error code 8045; too many measurements"),
    ("cancelled", "CANCELLED", "was cancelled"),
    ("short", "INCOMPLETE", r"step 0 have the shape \(3, 39, 1\), expected \(3, 40, 1\)"),
    ("partial", "INCOMPLETE", "outcomes of step 1 are missing"),
    ("empty", "INCOMPLETE", "there are none"),
]


@pytest.mark.parametrize("keeps_journal", [False, True])
@pytest.mark.parametrize(("fate", "status", "message"), LOST)
def test_lost_jobs(
    service: Service, journal: Path, fate: str, status: str, message: str, keeps_journal: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The error names the job; the call made again submits it anew, and what it had taken counts."""
    service.fates = [fate]
    backend = runtime(service, journal if keeps_journal else None)
    with pytest.raises(JobError, match=message) as failed:
        call(backend)
    assert failed.value.job_id == "job-0"
    assert failed.value.status == status
    assert backend.position == 0
    assert "submits it anew" in caplog.text
    if keeps_journal:
        backend = runtime(service, journal)
    assert call(backend).shape == (3, 2, 2)
    assert service.submissions == 2
    assert backend.used_qpu_seconds == 2 * SECONDS
    assert backend.position == 1


@pytest.mark.parametrize("keeps_journal", [False, True])
def test_timeout(service: Service, journal: Path, keeps_journal: bool) -> None:
    """The job lives on, and the same call collects it."""
    service.fates = ["running"]
    backend = runtime(service, journal if keeps_journal else None, timeout=0.05)
    with pytest.raises(JobError, match="job-0 is still RUNNING at the end of the timeout; it lives on") as failed:
        call(backend)
    assert failed.value.status == "TIMEOUT"
    service.set_fate("job-0", "done")
    expected = call(runtime(service))
    found = call(runtime(service, journal) if keeps_journal else backend)
    assert torch.equal(found, expected)
    assert service.submissions == 2  # one of them by the call that tells what to expect


def test_results_that_cannot_be_had_are_asked_for_again(service: Service, journal: Path) -> None:
    service.fates = ["offline"]
    backend = runtime(service, journal)
    with pytest.raises(JobError, match="cannot be had: 'the network is down'") as failed:
        call(backend)
    assert failed.value.status == "UNREACHABLE"
    call(backend)
    assert service.submissions == 1


def test_jobs_that_are_late(service: Service) -> None:
    service.fates = ["late"]
    assert call(runtime(service)).shape == (3, 2, 2)


def test_interrupt_while_waiting(service: Service, journal: Path) -> None:
    service.fates = ["interrupt"]
    with pytest.raises(KeyboardInterrupt):
        call(runtime(service, journal))
    assert events(journal) == ["run", "call", "submitted"]
    service.set_fate("job-0", "done")
    call(runtime(service, journal))
    assert service.submissions == 1


# ---- journal


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
        "import test_runtime_jobs as t; from fake_service import *\n"
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


def test_damaged_results_are_refused(service: Service, journal: Path) -> None:
    call(runtime(service, journal))
    (file,) = stored(journal)
    file.write_bytes(file.read_bytes()[:-30])
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


# ---- the real thing


@pytest.mark.qpu
@pytest.mark.skipif("QRNN_FAST_QPU" not in os.environ, reason="QRNN_FAST_QPU names no processor")
def test_a_processor(journal: Path) -> None:
    """About three seconds of QPU time. Noise moves probabilities by some hundredths."""
    backend = Runtime(os.environ["QRNN_FAST_QPU"], shots=1000, journal=journal, max_qpu_seconds=10)
    found, _ = qf.evolve(CIRCUIT, ANGLES, backend=backend)
    torch.testing.assert_close(found, qf.evolve(CIRCUIT, ANGLES)[0], rtol=0, atol=0.2)
    again = Runtime(os.environ["QRNN_FAST_QPU"], shots=1000, journal=journal)
    assert torch.equal(qf.evolve(CIRCUIT, ANGLES, backend=again)[0], found)
    assert again.used_qpu_seconds == backend.used_qpu_seconds
