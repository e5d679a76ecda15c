"""The study behind `compare`: which runs it makes, what it tells of them, and that it resumes to the same figures."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import statistics
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import small_settings
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import costs, quality, report, study, tasks
from qrnn_fast.experiments.study.groups import Group, Parts, Run, Trained
from qrnn_fast.experiments.study.members import METHODS, NETWORKS
from qrnn_fast.experiments.study.plan import TUNING_SEED, Plan
from qrnn_fast.experiments.study.quality import INITIAL, TRAINED, Quality
from qrnn_fast.experiments.study.study import Study
from qrnn_fast.experiments.study.tuning import Trial, Try, at_edge, search
from qrnn_fast.experiments.study.verdict import differences, holm, ranked, sentences
from qrnn_fast.experiments.study.workflow import Job, Workflow
from qrnn_fast.experiments.train import UPDATES, Trainer
from scipy import stats
from studies import InPlace, figures, make, run, small
from training import Stopped, stop_after


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A whole study."""
    folder = tmp_path_factory.mktemp("study")
    return make(small(small_settings(folder), networks=("gru", "random-weights")), folder / "study")


def every(made: Study) -> list[Trained]:
    return made.parts.updates + made.parts.evaluations + made.parts.epochs


# Runs


def test_members_have_equal_updates_and_equal_evaluations(made: Study) -> None:
    names = [[one.group.member.name for one in part] for part in (made.parts.updates, made.parts.evaluations)]
    assert names == [["adjoint", "spsa-2"], ["spsa-2"]]  # what a processor could train
    assert [one.group.member.name for one in made.parts.epochs] == ["adjoint", "gru", "random-weights"]
    for one in every(made):
        assert [run.seed for run in one.runs] == list(made.plan.all_seeds)
        for run_ in one.runs:
            stored = json.loads((run_.folder / "results.json").read_text())["rmse"]["QRNN"]
            assert run_.errors == {protocol: errors["mean"] for protocol, errors in stored.items()}
            assert Settings.load(run_.folder / "settings.json").seed == run_.seed
            lines = read_lines(run_.folder / UPDATES)
            assert len(lines) == one.group.updates
            if lines:
                assert lines[-1]["lr"] == one.lr
                assert lines[-1]["evaluations"] == one.evaluations
    assert [one.group.updates for one in made.parts.updates] == [3, 3]
    assert 90 - 5 * 4 < made.parts.evaluations[0].evaluations <= 90
    assert [one.group.updates for one in made.parts.epochs] == [10, 10, 0]  # 39 windows in batches of 4


def test_the_learning_rate_is_that_of_the_least_training_error(made: Study) -> None:
    for one in made.parts.updates:
        folders = list((made.folder / "tuning" / one.group.folder).glob("lr-*"))
        errors = {Settings.load(f / "settings.json").lr: Run.read(f).errors["train"] for f in folders}
        assert {trial.lr: trial.error for trial in one.trials} == errors
        assert one.lr == min(errors, key=errors.__getitem__)
        assert {Settings.load(f / "settings.json").seed for f in folders} == {TUNING_SEED}


def test_what_is_missing_is_made_again_to_the_same_figures(made: Study, tmp_path: Path) -> None:
    out = tmp_path / "study"
    shutil.copytree(made.folder, out)
    nothing = InPlace(stop_before=0)
    assert figures(run(made.plan, out, nothing)) == figures(made)
    spsa = made.parts.updates[1]
    missing = [
        out / "runs" / spsa.group.folder / "seed-1",
        out / "tuning" / spsa.group.folder / f"lr-{spsa.lr}",
        out / "quality" / "initial-weights",
    ]
    for folder in missing:
        shutil.rmtree(folder)
    (out / "runs" / spsa.group.folder / "seed-0" / "results.json").unlink()
    plan = study.resume(out, {"seeds": 2}, {"qubits": 2})
    rest = InPlace()
    assert figures(run(plan, out, rest)) == figures(made)
    assert rest.done == 5


def test_a_task_goes_on_from_the_checkpoint(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, updates=7, threads=1)
    tasks.train(str(tmp_path / "whole"), dataclasses.asdict(settings))
    folder = tmp_path / "cut"
    with pytest.raises(Stopped):
        runs.begin(settings, folder).run(stop_after(5))
    tasks.train(str(folder), dataclasses.asdict(settings))
    assert Run.read(folder).errors == Run.read(tmp_path / "whole").errors
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "versions.json").write_text("{")  # killed before the settings were written
    tasks.train(str(tmp_path / "torn"), dataclasses.asdict(settings))
    assert Run.read(tmp_path / "torn").errors == Run.read(folder).errors


def test_a_run_that_diverges_is_told_and_stops_no_other(
    made: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "study"
    shutil.copytree(made.folder, out)
    for run_ in made.parts.updates[1].runs:
        shutil.rmtree(out / run_.folder.relative_to(made.folder))
    begin = runs.begin

    def spoilt(settings: Settings, folder: Path) -> Trainer:
        trainer = begin(settings, folder)
        if settings.seed == 0:
            with torch.no_grad():
                trainer.model.head.bias.fill_(1e200)
        return trainer

    monkeypatch.setattr(runs, "begin", spoilt)
    found = run(made.plan, out)
    adjoint, spsa = found.parts.updates
    assert sorted(adjoint.errors("train")) == [0, 1]
    assert sorted(spsa.errors("train")) == [1]
    assert spsa.errors("train")[1] == made.parts.updates[1].errors("train")[1]
    assert "spsa-2: seed 0 diverged and is left out: the loss of update 1" in (
        report.tables(found)["updates"].markdown()
    )
    assert ranked(found.parts.updates, "windowed") == [adjoint]
    assert figures(run(made.plan, out, InPlace(stop_before=0))) == figures(found)


def test_a_run_that_ends_with_errors_that_are_not_finite_has_diverged(made: Study, tmp_path: Path) -> None:
    shutil.copytree(made.parts.updates[0].runs[0].folder, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "results.json").read_text())
    stored["rmse"]["QRNN"]["train"]["mean"] = math.nan
    (tmp_path / "run" / "results.json").write_text(json.dumps(stored))
    assert Run.read(tmp_path / "run") == Run(tmp_path / "run", 0, {}, "its errors are not finite")


# Learning rates


def attempts(error: dict[float, float], tried: list[float]) -> Try:
    def attempt(rates: Sequence[float]) -> Generator[Sequence[Job], None, list[Trial]]:
        tried.extend(rates)
        yield []
        return [Trial(lr, error.get(lr, math.inf)) for lr in rates]

    return attempt


def trials_of(workflow: Workflow[list[Trial]]) -> list[Trial]:
    while True:
        try:
            next(workflow)
        except StopIteration as end:
            return end.value


def searched(plan: Plan, error: dict[float, float]) -> tuple[list[Trial], list[float]]:
    tried: list[float] = []
    return trials_of(search(plan, attempts(error, tried))), tried


def test_the_grid_goes_on_where_the_best_is_at_its_edge(settings: Settings) -> None:
    plan = small(settings)
    trials, tried = searched(plan, {0.003: 3, 0.01: 2, 0.03: 1, 0.1: 2})
    assert tried == [0.003, 0.01, 0.03, 0.1]
    assert not at_edge(trials)
    trials, tried = searched(plan, {0.003: 3, 0.01: 4, 0.03: 5, 0.1: 6, 0.001: 2, 0.0003: 1, 0.0001: 2})
    assert tried == [0.003, 0.01, 0.03, 0.1, 0.001, 0.0003, 0.0001]
    trials, tried = searched(plan, {0.003: 3, 0.01: 4, 0.03: 5, 0.1: 2, 0.3: 1})
    assert tried == [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
    trials, tried = searched(plan, {})  # diverges everywhere
    assert tried[-1] == 1e-6
    assert at_edge(trials)


def test_optuna_goes_by_what_it_has_found(settings: Settings) -> None:
    def tried(best: float) -> list[float]:
        def attempt(rates: Sequence[float]) -> Generator[Sequence[Job], None, list[Trial]]:
            yield []
            return [Trial(lr, abs(math.log(lr / best))) for lr in rates]

        return [trial.lr for trial in trials_of(search(small(settings, tuner="optuna"), attempt))]

    low, high = tried(1e-3), tried(0.3)
    assert len(low) == len(high) == 8
    assert low[:4] == high[:4]  # drawn at random
    assert low[4:] != high[4:]


def test_a_member_that_diverges_at_every_rate_has_no_runs(made: Study) -> None:
    lost = Trained(Group(METHODS["fdsa"], 3), [Trial(0.01, math.inf)], [])
    parts = dataclasses.replace(made.parts, updates=[*made.parts.updates, lost])
    table = report.tables(dataclasses.replace(made, parts=parts))["updates"].markdown()
    assert "fdsa: diverged at every learning rate" in table


# What is told


def trained(name: str, errors: Sequence[float]) -> Trained:
    found = [Run(Path(), seed, {"windowed": error}, None) for seed, error in enumerate(errors)]
    return Trained(Group((METHODS | NETWORKS)[name], 3), [Trial(0.1, 1.0)], found)


def test_the_verdict_is_a_paired_test_over_the_seeds() -> None:
    best, noisy, worse = [0.1, 0.2, 0.3, 0.2], [0.12, 0.19, 0.31, 0.22], [0.2, 0.31, 0.4, 0.3]
    members = [trained("fdsa", worse), trained("spsa-1", noisy), trained("adjoint", best)]
    assert [one.group.member.name for one in ranked(members, "windowed")] == ["adjoint", "spsa-1", "fdsa"]
    near, far = differences(members, "windowed")
    gaps = [a - b for a, b in zip(worse, best, strict=True)]
    assert far.mean == pytest.approx(statistics.fmean(gaps))
    assert far.error == pytest.approx(stats.sem(gaps))
    assert far.p == pytest.approx(2 * stats.ttest_rel(worse, best).pvalue)
    assert near.p == pytest.approx(stats.ttest_rel(noisy, best).pvalue)
    assert far.is_clear
    assert not near.is_clear
    said = " ".join(sentences("At 3 updates", members, "windowed"))
    assert "adjoint has the least windowed RMSE: 0.2000 ± 0.0408" in said
    assert "Not told apart from it: spsa-1 (+0.0100" in said
    assert "Worse: fdsa (+0.1025" in said


def test_the_verdict_names_those_of_which_a_run_diverged() -> None:
    lost = trained("fdsa", [0.1, 0.2])
    lost.runs[1] = Run(Path(), 1, {}, "diverged")
    said = sentences("At 3 updates", [lost, trained("adjoint", [0.2, 0.3])], "windowed")
    assert said[-1] == "Not compared, since runs diverged: fdsa."
    assert sentences("At 3 updates", [lost], "windowed") == ["At 3 updates, every member has runs that diverged."]


def test_how_often_equals_are_told_apart() -> None:
    """More often than in one of twenty studies, since the best is chosen by the same runs: docs/study.md says it."""
    rng, names = np.random.default_rng(0), list(METHODS)
    studies = [[trained(name, rng.normal(size=5)) for name in names] for _ in range(100)]
    wrong = [any(d.is_clear for d in differences(members, "windowed")) for members in studies]
    assert 0.06 < np.mean(wrong) < 0.14


def test_holm_corrects_for_the_number_of_tests() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_quality_of_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(40, generator=generator, dtype=torch.float64)
    noise = torch.randn(20_000, 40, generator=generator, dtype=torch.float64)
    names = {"member": "spsa-1", "weights": "", "shots": None}
    unbiased = Quality.of(exact + 0.5 * noise, exact, **names)
    assert unbiased.variance == pytest.approx(float(0.25 * 40 / exact.square().sum()), rel=0.02)
    assert unbiased.bias == pytest.approx(unbiased.bias_by_chance, rel=0.4)
    biased = Quality.of(1.2 * exact + 0.5 * noise, exact, **names)
    assert biased.bias == pytest.approx(0.2, rel=0.05)
    assert Quality.of(exact[None], exact, **names).cosine == (pytest.approx(1.0), 0.0)


def test_gradients_against_the_exact_one(settings: Settings, tmp_path: Path) -> None:
    jobs = quality.jobs(small(settings, methods=("parameter-shift", "fdsa", "spsa-1")), tmp_path, INITIAL, None)
    found = {}
    for path, job in jobs.items():
        job.function(*job.arguments)
        one = Quality.read(path)
        found[one.member, one.shots] = one
    assert len(found) == 3 * 2
    assert found["parameter-shift", None].bias < 1e-9
    assert 0 < found["fdsa", None].bias < 0.01  # of the order of its perturbation's square
    assert 0 < found["fdsa", 1024].variance < found["spsa-1", 1024].variance
    assert len(found["parameter-shift", None].cosines) == 1  # all draws are the same
    cosine, error = found["spsa-1", None].cosine
    assert 0 < cosine < 0.5
    assert 0 < error < 0.05


def test_gradients_at_the_weights_of_a_stateful_run(settings: Settings, tmp_path: Path) -> None:
    plan = small(dataclasses.replace(settings, stateful=True), methods=("spsa-1",))
    run_ = tmp_path / "run"
    tasks.train(str(run_), dataclasses.asdict(METHODS["adjoint"].settings(plan.base, updates=3)))
    path, job = next(iter(quality.jobs(plan, tmp_path, TRAINED, run_).items()))
    job.function(*job.arguments)
    cosine, error = Quality.read(path).cosine
    assert 0 < error < cosine < 0.5


def test_of_methods_with_the_same_gradient_one_is_measured(settings: Settings, tmp_path: Path) -> None:
    plan = small(settings, methods=("adjoint", "spsa-2", "spsa-2-spall", "spsa-2-per-sequence"))
    names = {
        path.name.partition("-exact")[0].partition("-1024")[0] for path in quality.jobs(plan, tmp_path, INITIAL, None)
    }
    assert names == {"spsa-2", "spsa-2-per-sequence"}


def test_the_report_holds_what_the_runs_say(made: Study) -> None:
    page = report.write(made).read_text()
    text = (made.folder / "report.md").read_text()
    stored = json.loads((made.folder / "report.json").read_text())
    for one in every(made):
        for protocol in ("train", "windowed", "long run", "long run, no washout"):
            errors = [r.errors[protocol] for r in one.runs]
            shown = f"{statistics.fmean(errors):.4f} ± {stats.sem(errors):.4f}"
            assert shown in text
            assert shown in page
    for name, errors in made.baselines.items():
        assert f"| {name} |" in text
        assert f"{errors['long run'].mean:.4f}" in text
    seconds = made.seconds["adjoint"]
    assert f"{1e3 * seconds.update:.2f} | {seconds.epoch:.3f}" in text
    assert seconds.epoch == pytest.approx(10 * seconds.update)
    assert "pip install 'qrnn_fast[runtime]'" in text  # the plan names no processor
    assert stored["members"][0]["runs"][1]["rmse"] == made.parts.updates[0].runs[1].errors
    assert stored["verdict"] == report.verdict(made)
    assert {q.weights for q in made.qualities} == {INITIAL, TRAINED}
    pictures = {path.name for path in made.folder.glob("*.png")}
    assert pictures == {"updates.png", "evaluations.png", "epochs.png", "gradients.png", "predictions.png"}
    assert page.count('src="data:image/png;base64,') == len(pictures)
    assert 'src="updates.png"' not in page


def test_a_part_without_updates_has_no_curves(made: Study) -> None:
    drawn = [one for one in made.parts.epochs if one.group.member.name == "random-weights"]
    page = report.write(dataclasses.replace(made, parts=Parts([], [], drawn), seconds={}, qualities=[])).read_text()
    assert page.count('src="data:image/png;base64,') == 1
    assert 'alt="predictions"' in page


def test_a_processors_time(made: Study, settings: Settings, tmp_path: Path) -> None:
    plan = small(settings, processor="fake:ManilaV2")
    (job,) = costs.processor_jobs(plan, tmp_path)
    job.function(*job.arguments)
    found = costs.read_processor(plan, tmp_path)
    assert set(found) == {"spsa-2"}
    one = found["spsa-2"]
    assert one.epoch == pytest.approx(10 * one.update)
    table = report.tables(dataclasses.replace(made, plan=plan, processor=found))["costs"].markdown()
    assert f"{one.update:.1f} | {one.epoch / 3600:.2f}" in table
    assert "QPU time is that of fake:ManilaV2 with 1,024 shots" in table
