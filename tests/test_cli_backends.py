"""Training on Aer and on quantum processors from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from fake_service import SECONDS, Device, Service, in_place
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from typer.testing import CliRunner, Result

SMALL = [
    *("--qubits", "2", "--rows", "120", "--steps", "4", "--washout", "1", "--long-washout", "3"),
    *("--batch-size", "2", "--gradient", "spsa", "--shots", "50"),
]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_lines(run / "updates.jsonl")]


def test_aer_trains_as_the_native_backend_does(tmp_path: Path) -> None:
    """Exactly: the same weights, directions and probabilities, and so the same losses."""
    exact = [option for option in SMALL if option not in ("--shots", "50")]
    for backend in ("native", "aer"):
        trained = call("train", "--out", tmp_path / backend, *exact, "--updates", "3", "--backend", backend)
        assert trained.exit_code == 0, trained.output
    assert losses(tmp_path / "aer") == pytest.approx(losses(tmp_path / "native"), abs=1e-9)


def test_a_snapshot_of_a_processor(tmp_path: Path) -> None:
    """What it takes is told first; errors are measured natively, and with the run's own backend where asked for."""
    run = tmp_path / "run"
    trained = call("train", "--out", run, *SMALL, "--updates", "2", "--backend", "fake:ManilaV2")
    assert trained.exit_code == 0, trained.output
    assert "Runtime('fake_manila', mode=None, shots=50)" in trained.output
    assert "spsa            10     1     50" in trained.output
    assert "QPU time used:" in trained.output
    assert len(losses(run)) == 2
    assert sum(line["event"] == "submitted" for line in read_lines(run / "jobs.jsonl")) == 2  # one for each update
    assert call("evaluate", run).exit_code == 0


def trainer(folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, resume: bool, **limits: Any) -> Any:
    """A run on the service, which stands behind the name "runtime:manila"."""
    monkeypatch.setattr("qrnn_fast.backends.runtime.devices._real", lambda name: Device(service))
    values = dict(zip(SMALL[::2], SMALL[1::2], strict=True))
    given = {name[2:].replace("-", "_"): int(v) if v.isdigit() else v for name, v in values.items()}
    settings = Settings(**given, updates=3, backend="runtime:manila", checkpoint_every=2)
    return runs.resume(folder, {}, **limits) if resume else runs.begin(settings, folder, **limits)


def test_a_run_goes_on_after_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same weights and for the same number of jobs, whichever job was under way."""
    services = []
    for i in range(4):
        folder, fates = tmp_path / f"service{i}", ["done"] * i + ["interrupt"] if i < 3 else []
        folder.mkdir()
        services.append(service := Service(folder, fates))
        run = tmp_path / f"run{i}"
        with in_place():
            if fates:
                with pytest.raises(KeyboardInterrupt):
                    trainer(run, service, monkeypatch, resume=False).run(lambda *_: None)
                service.set_fate(service.job_ids[-1], "done")
            whole = trainer(run, service, monkeypatch, resume=bool(fates))
            whole.run(lambda *_: None)
        assert service.submissions == 3
        assert whole.processor.used_qpu_seconds == pytest.approx(3 * SECONDS)
        assert losses(run) == losses(tmp_path / "run0")
        for name, weights in whole.model.state_dict().items():
            torch.testing.assert_close(weights, first_weights(tmp_path)[name], atol=0, rtol=0)
    seconds = [line["qpu_seconds"] for line in read_lines(run / "updates.jsonl")]  # of the one without an interrupt
    assert seconds == pytest.approx([SECONDS, 2 * SECONDS, 3 * SECONDS])


def first_weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "run0" / "checkpoint.pt", weights_only=True)["model"]
    return state


def test_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for all starts of a run together, and nothing is sent beyond it."""
    (tmp_path / "service").mkdir()
    service = Service(tmp_path / "service")
    update = 2.0 + 10 * 50 * 300e-6  # of a job, and of its shots, at most
    with in_place():
        with pytest.raises(qf.backends.runtime.BudgetError, match=r"this call would take about 2\.\d s"):
            trainer(tmp_path / "run", service, monkeypatch, False, max_qpu_seconds=SECONDS + update).run(lambda *_: 0)
        assert service.submissions == 2
        with pytest.raises(qf.backends.runtime.BudgetError):
            trainer(tmp_path / "run", service, monkeypatch, True, max_qpu_seconds=SECONDS + update).run(lambda *_: 0)
        assert service.submissions == 2
        trainer(tmp_path / "run", service, monkeypatch, True, max_qpu_seconds=20).run(lambda *_: 0)
    assert service.submissions == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "moon"], "backend must be one of auto, native, aer, runtime:NAME"),
        (["--backend", "fake:"], "backend must be one of"),
        (["--backend", "fake:Moon"], "unknown snapshot 'fake:Moon'; those that can reset qubits: "),
        (["--backend", "fake:Miami"], "has no reset"),
        (["--backend", "aer", "--gradient", "adjoint"], "gradient 'adjoint' needs the native backend"),
        (["--backend", "fake:ManilaV2", "--noise", "rx:depolarizing=0.1"], "has noise of its own"),
        (["--backend", "fake:ManilaV2", "--qubits", "6"], "qubits"),
        (["--backend", "fake:ManilaV2", "--max-qpu-seconds", "1"], "this call would take about"),
        (["--backend", "fake:ManilaV2", "--max-qpu-seconds", "-1"], "max_qpu_seconds must be"),
        (["--max-qpu-seconds", "5"], "max_qpu_seconds is for quantum processors, and backend 'auto' is none"),
        (["--measure-on", "moon"], "measure_on must be one of native, backend"),
    ],
)
def test_refused(tmp_path: Path, options: list[str], message: str) -> None:
    refused = call("train", "--out", tmp_path / "run", *SMALL, "--updates", "1", *options)
    assert refused.exit_code in (1, 2)
    assert message in refused.output.replace("\n", " ")


def test_where_errors_are_measured(tmp_path: Path) -> None:
    """The long run of 36 steps on the snapshot itself: with its noise, it differs from the native one."""
    short = [*SMALL[:2], "--rows", "60", *SMALL[4:]]
    found = {}
    for place in ("native", "backend"):
        run = tmp_path / place
        options = ("--updates", "1", "--backend", "fake:ManilaV2", "--measure-on", place, "--validate-every", "0")
        trained = call("train", "--out", run, *short, *options)
        assert trained.exit_code == 0, trained.output
        found[place] = json.loads((run / "results.json").read_text())["rmse"]["QRNN"]["long run"]["mean"]
    assert found["native"] != found["backend"]
    jobs = [line for line in read_lines(tmp_path / "backend" / "jobs.jsonl") if line["event"] == "submitted"]
    assert len(jobs) == 1 + 3  # the update; training windows, validation windows and the long run, each once
    limited = call("evaluate", tmp_path / "backend", "--max-qpu-seconds", "1")
    assert limited.exit_code == 1
    assert "this call would take about" in limited.output
