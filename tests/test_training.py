"""Training runs: exact resume, whole checkpoints, logs, costs, and what the comparison checks."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qrnn_fast.backends.native import Native
from qrnn_fast.experiments import checkpoint, runs
from qrnn_fast.experiments.data import make_task
from qrnn_fast.experiments.evaluate import predict
from qrnn_fast.experiments.log import keep_lines, read_lines
from qrnn_fast.experiments.outcomes import loss_drop
from qrnn_fast.experiments.schedules import learning_rate
from qrnn_fast.experiments.settings import GRADIENTS, Settings
from qrnn_fast.experiments.train import CHECKPOINT, EPOCHS, UPDATES
from training import Stopped, assert_same_bits, ignore, stop_after, train, without_seconds

# Resume


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("stopped_at", [6, 10, 13])  # checkpoints: 4, 8, 10 (an epoch's end), 12, 16, 20
def test_resume_continues_to_the_same_bits(settings: Settings, tmp_path: Path, gradient: str, stopped_at: int) -> None:
    settings = dataclasses.replace(settings, gradient=gradient)
    whole = train(settings, tmp_path / "whole")
    assert whole.update == whole.total_updates == 2 * whole.updates_per_epoch == 20
    folder = tmp_path / "cut"
    with pytest.raises(Stopped):
        runs.begin(settings, folder).run(stop_after(stopped_at))
    resumed = runs.resume(folder, {"gradient": gradient})
    assert resumed.update == {6: 4, 10: 10, 13: 12}[stopped_at]
    resumed.run(ignore)
    assert_same_bits(whole, resumed)
    for name in (UPDATES, EPOCHS):
        lines = [without_seconds(read_lines(f / name)) for f in (whole.folder, folder)]
        assert lines[0] == lines[1]
    assert [line["update"] for line in read_lines(folder / UPDATES)] == list(range(1, 21))


def test_a_run_stopped_before_its_first_checkpoint_of_an_epoch_starts_over(settings: Settings, tmp_path: Path) -> None:
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        runs.begin(settings, tmp_path / "cut").run(stop_after(2))
    resumed = runs.resume(tmp_path / "cut", {})
    assert resumed.update == 0
    resumed.run(ignore)
    assert_same_bits(whole, resumed)


def test_resuming_a_complete_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    whole = train(dataclasses.replace(settings, updates=5), tmp_path / "run")
    assert whole.update == 5
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    runs.resume(whole.folder, {}).run(ignore)
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before


def test_resume_names_the_settings_that_differ(settings: Settings, tmp_path: Path) -> None:
    folder = train(dataclasses.replace(settings, updates=1), tmp_path / "run").folder
    with pytest.raises(ValueError, match=r"lr: the run has 0\.05, given was 0\.1; seed: the run has 0, given was 3"):
        runs.resume(folder, {"lr": 0.1, "seed": 3, "qubits": 2})


def test_resume_refuses_other_data(settings: Settings, tmp_path: Path) -> None:
    folder = train(dataclasses.replace(settings, updates=1), tmp_path / "run").folder
    assert settings.data is not None
    record = np.load(settings.data)
    record[50, 1] += 1e-9
    np.save(settings.data, record)
    with pytest.raises(ValueError, match="other data"):
        runs.resume(folder, {})


def test_resume_refuses_what_is_no_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"settings\.json: no such file"):
        runs.resume(tmp_path, {})
    folder = train(dataclasses.replace(settings, updates=1), tmp_path / "run").folder
    whole = (folder / CHECKPOINT).read_bytes()
    for content in (b"", b"not a checkpoint", whole[:200], whole[: len(whole) // 2]):
        (folder / CHECKPOINT).write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            runs.resume(folder, {})
    torch.save({"weights": 1}, folder / CHECKPOINT)
    with pytest.raises(ValueError, match="is not a training checkpoint"):
        runs.resume(folder, {})
    (folder / CHECKPOINT).unlink()
    with pytest.raises(ValueError, match="no such checkpoint"):
        runs.resume(folder, {})
    for content in ("{", "[]", "{}", '{"learning_rate": 1}'):
        (folder / "settings.json").write_text(content)
        with pytest.raises(ValueError, match="a run's settings"):
            runs.resume(folder, {})


def test_begin_refuses_a_folder_that_is_not_empty(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in use"
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"not empty; name another folder$"):
        runs.begin(settings, folder)
    settings.save(folder / runs.SETTINGS)
    with pytest.raises(ValueError, match="--resume"):
        runs.begin(settings, folder)


def test_begin_writes_nothing_where_the_data_is_bad(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        runs.begin(dataclasses.replace(settings, data=str(tmp_path / "absent.npy")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Checkpoints and logs


def test_a_checkpoint_that_fails_half_way_leaves_the_last_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(dataclasses.replace(settings, updates=3), tmp_path / "run").folder
    before = (folder / CHECKPOINT).read_bytes()

    def half(state: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise KeyboardInterrupt

    trainer = runs.resume(folder, {})
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        trainer.save()
    assert (folder / CHECKPOINT).read_bytes() == before


def test_a_checkpoint_is_on_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / CHECKPOINT
    checkpoint.save_checkpoint(path, {"n": 1})
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(descriptor: int) -> None:
        calls.append("fsync")
        assert checkpoint.load_checkpoint(path, {"n"})["n"] == (1 if "replace" not in calls else 2)
        fsync(descriptor)

    def logged_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    checkpoint.save_checkpoint(path, {"n": 2})
    assert calls == ["fsync", "replace", "fsync"]
    assert checkpoint.load_checkpoint(path, {"n"}) == {"n": 2}


def test_keep_lines_drops_later_and_torn_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"update": 1}\n{"update": 2}\n{"update": 3}\n{"upd')
    keep_lines(path, lambda line: line["update"] <= 2)
    assert path.read_text() == '{"update": 1}\n{"update": 2}\n'
    path.write_text('{"update": 1}\n{"update": 2}')
    keep_lines(path, lambda line: line["update"] <= 2)
    assert path.read_text() == '{"update": 1}\n'
    keep_lines(tmp_path / "absent", lambda line: True)
    assert not (tmp_path / "absent").exists()


def test_logs_and_run_folder(settings: Settings, tmp_path: Path) -> None:
    trainer = train(settings, tmp_path / "run")
    results = runs.finish(trainer)
    names = {path.name for path in trainer.folder.iterdir()}
    assert names == {CHECKPOINT, EPOCHS, UPDATES, "results.json", "settings.json", "versions.json"}
    assert Settings.load(trainer.folder / "settings.json") == settings
    assert json.loads((trainer.folder / "versions.json").read_text())["torch"] == torch.__version__
    updates = read_lines(trainer.folder / UPDATES)
    assert [line["epoch"] for line in updates] == [1] * 10 + [2] * 10
    assert updates[-1]["evaluations"] == 2 * len(trainer.task.train.starts)
    assert all(line["seconds"] > 0 and math.isfinite(line["loss"]) for line in updates)
    epochs = read_lines(trainer.folder / EPOCHS)
    assert [line["update"] for line in epochs] == [10, 20]
    last = results["QRNN"]["windowed"]
    assert epochs[-1]["windowed"] == {"columns": list(last.columns), "mean": last.mean}
    stored = json.loads((trainer.folder / "results.json").read_text())
    assert stored["rmse"]["QRNN"]["long run"]["mean"] == results["QRNN"]["long run"].mean


def test_a_run_folder_names_the_git_revision(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revision(name: str) -> str | None:
        runs.begin(settings, tmp_path / name)
        return json.loads((tmp_path / name / "versions.json").read_text()).get("revision")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
        return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout

    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert revision("no repository") is None
    git("init")
    assert revision("no commit") is None
    (repository / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    (repository / "runs").write_text("untracked")
    assert revision("clean") == head
    (repository / "file").write_text("two")
    assert revision("changed") == f"{head} + changes"
    monkeypatch.setenv("PATH", "")
    assert revision("no git") is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient": "fdsa", "dtype": "float32", "updates": 13},
        {"stateful": True, "batch_size": 2},
        {"ridge": 1e-4},
        {"shots": 6},
        {"shots": 6, "gradient": "spsa", "noise": "readout=0.1"},
        {"stateful": True, "batch_size": 2, "ridge": 1e-4, "shots": 6, "gradient": "parameter-shift"},
    ],
    ids=lambda changes: ",".join(f"{name}={value}" for name, value in changes.items()) or "plain",
)
def test_evaluate_repeats_the_results_to_the_last_digit(
    settings: Settings, tmp_path: Path, changes: dict[str, Any]
) -> None:
    trainer = train(dataclasses.replace(settings, epochs=1, **changes), tmp_path / "run")
    runs.finish(trainer)
    stored = json.loads((trainer.folder / "results.json").read_text())["rmse"]
    _, errors = runs.evaluate(trainer.folder, {})
    assert {model: {name: e.as_json() for name, e in by.items()} for model, by in errors.items()} == stored


# Training


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_every_method_lowers_the_loss(settings: Settings, tmp_path: Path, gradient: str) -> None:
    settings = dataclasses.replace(settings, gradient=gradient, epochs=12, validate_every=0)
    trainer = train(settings, tmp_path / "run")
    losses = [line["loss"] for line in read_lines(trainer.folder / UPDATES)]
    assert loss_drop(losses) > 2
    assert losses[-1] < losses[0] / 2


def test_exact_gradients_train_alike(settings: Settings, tmp_path: Path) -> None:
    adjoint, shift = (
        train(dataclasses.replace(settings, gradient=g), tmp_path / g) for g in ("adjoint", "parameter-shift")
    )
    for name, value in adjoint.model.state_dict().items():
        torch.testing.assert_close(value, shift.model.state_dict()[name], rtol=0, atol=1e-8)


def test_the_seed_decides_all_and_leaves_pytorchs_state(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, gradient="spsa", updates=3)
    state = torch.random.get_rng_state()
    first = train(settings, tmp_path / "1")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    again = train(settings, tmp_path / "2")
    assert_same_bits(first, again)
    other = train(dataclasses.replace(settings, seed=1), tmp_path / "3")
    assert not torch.equal(first.model.head.weight, other.model.head.weight)
    assert not torch.equal(first.order, other.order)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_evaluations_are_the_sequences_simulated(
    settings: Settings, tmp_path: Path, gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(settings, gradient=gradient, updates=1, validate_every=0, samples=3)
    simulated = []
    run = Native.run

    def counted(self: Native, circuit: Any, angles: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        assert angles.shape[1] == settings.steps
        simulated.append(len(angles))
        return run(self, circuit, angles, *args, **kwargs)

    monkeypatch.setattr(Native, "run", counted)
    trainer = train(settings, tmp_path / "run")
    assert trainer.evaluations == sum(simulated)
    per_sequence = {
        "adjoint": 1,
        "spsa": 1 + 2 * 3,
        "fdsa": 1 + 2 * 13 * 3,  # 13 angles, 2 inputs and a bias each
        "parameter-shift": 1 + 6 * (2 * 12 + 4),  # 6 steps of 12 rotations and a controlled one
    }
    assert trainer.evaluations == 4 * per_sequence[gradient]


def test_the_last_batch_of_an_epoch_takes_what_is_left(settings: Settings, tmp_path: Path) -> None:
    trainer = runs.begin(dataclasses.replace(settings, batch_size=10, epochs=1), tmp_path / "run")
    windows = len(trainer.task.train.starts)
    assert windows % 10 != 0
    trainer.run(ignore)
    assert trainer.update == math.ceil(windows / 10)
    assert trainer.evaluations == windows
    assert sorted(trainer.order.tolist()) == trainer.task.train.starts.tolist()


def test_head_starts_as_in_the_study(settings: Settings, tmp_path: Path) -> None:
    model = runs.begin(dataclasses.replace(settings, qubits=6), tmp_path / "run").model
    bound = 2 * math.sqrt(6 / 8)
    assert model.head.weight.shape == (2, 8)
    assert model.head.weight.abs().max() <= bound
    assert model.head.weight.abs().max() > bound / 2
    assert model.head.bias.tolist() == [0.5, 0.5]


def test_divergence_stops_the_run_and_keeps_the_checkpoint(settings: Settings, tmp_path: Path) -> None:
    trainer = runs.begin(settings, tmp_path / "run")
    with torch.no_grad():
        trainer.model.head.bias.fill_(1e200)
    with pytest.raises(RuntimeError, match="diverged"):
        trainer.run(ignore)
    assert trainer.update == 0
    assert runs.resume(trainer.folder, {}).update == 0


def test_predictions_do_not_depend_on_how_windows_are_grouped(settings: Settings, tmp_path: Path) -> None:
    trainer = runs.begin(settings, tmp_path / "run")
    task = make_task(settings)
    alone = torch.cat(
        [predict(trainer.model, task, dataclasses.replace(task.train, starts=s[None])) for s in task.train.starts]
    )
    torch.testing.assert_close(predict(trainer.model, task, task.train), alone, rtol=0, atol=1e-12)


def test_one_cycle_rises_and_falls() -> None:
    settings = Settings(lr=0.1, schedule="one-cycle")
    rates = [learning_rate(settings, update, 1000) for update in range(1000)]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == rates[300] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.1 / 1000, rel=0.01)
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)
    assert learning_rate(Settings(lr=0.1), 700, 1000) == 0.1


# Checks


def test_loss_drop_is_in_standard_errors() -> None:
    noise = np.random.default_rng(0).normal(size=1000)
    assert loss_drop([1.0, 2.0] * 50) == 0
    falling = noise + np.linspace(1, 0, 1000)
    first, last = falling[:100], falling[-100:]
    error = math.sqrt(first.var(ddof=1) / 100 + last.var(ddof=1) / 100)
    drop = (first.mean() - last.mean()) / error
    assert drop > 2
    assert loss_drop(falling.tolist()) == pytest.approx(drop)
    assert loss_drop(falling[::-1].tolist()) < -2


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_run_with_shots_resumes_to_the_same_bits(settings: Settings, tmp_path: Path, gradient: str) -> None:
    settings = dataclasses.replace(settings, gradient=gradient, shots=6, epochs=1)
    whole = train(settings, tmp_path / "whole")
    errors = runs.finish(whole)[runs.NETWORK]
    folder = tmp_path / "cut"
    with pytest.raises(Stopped):
        runs.begin(settings, folder).run(stop_after(6))
    resumed = runs.resume(folder, {})
    resumed.run(ignore)
    assert_same_bits(whole, resumed)
    assert runs.finish(resumed)[runs.NETWORK] == errors
    assert runs.finish(resumed)[runs.NETWORK] != errors


def test_the_adjoint_trains_exactly_and_is_measured_with_shots(settings: Settings, tmp_path: Path) -> None:
    exact = train(settings, tmp_path / "exact")
    sampled = train(dataclasses.replace(settings, shots=6), tmp_path / "sampled")
    for a, b in zip(exact.model.parameters(), sampled.model.parameters(), strict=True):
        assert torch.equal(a, b)
    losses = [[line["loss"] for line in read_lines(tmp_path / name / UPDATES)] for name in ("exact", "sampled")]
    assert losses[0] == losses[1]
    windowed = [runs.finish(run)[runs.NETWORK]["windowed"].mean for run in (exact, sampled)]
    assert windowed[1] > 1.1 * windowed[0]
