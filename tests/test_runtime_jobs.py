"""Jobs of a service: how calls are split, what they cost, and how jobs end."""

from __future__ import annotations

import copy
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from fake_service import SECONDS, Service
from hypothesis import given
from hypothesis import strategies as st
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qrnn_fast import cells
from qrnn_fast.backends import Runtime
from qrnn_fast.backends.runtime import BudgetError, JobError
from qrnn_fast.backends.runtime.jobs import (
    MAX_EXECUTIONS,
    MAX_INSTRUCTIONS,
    MAX_MEASURED_BITS,
    split,
)
from service_calls import ANGLES, CIRCUIT, SHOTS, call, events, runtime

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
