"""Autonomous forecasts: the closed loop, its errors, and how long they stay small."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.baselines import CUBIC, ECHO_STATE, Polynomial
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.data import Task, make_task
from qrnn_fast.experiments.forecast import (
    closed_loop,
    forecast_json,
    forecast_table,
    make_forecasts,
    make_plan,
    normalised_error,
    nrmse,
    truth,
    valid_steps,
)
from qrnn_fast.experiments.predictors import Network, Persistence, Regression, baseline_predictors
from qrnn_fast.experiments.settings import Settings
from training import train
from typer.testing import CliRunner

ALL = {"observe": ":", "predict": ":"}


def of_record(folder: Path, record: np.ndarray, **changes: object) -> Task:
    np.save(folder / "made.npy", record)
    settings = Settings(data=str(folder / "made.npy"), steps=5, washout=1, long_washout=1, **ALL)
    return make_task(dataclasses.replace(settings, **changes))


def fitted(task: Task, lags: int, degree: int) -> Regression:
    polynomial = Polynomial(lags, degree)
    return Regression(polynomial, polynomial.fit(task))


# Models that are exact


def test_a_rotation_is_forecast_to_the_end(tmp_path: Path) -> None:
    t = np.arange(400)
    task = of_record(tmp_path, np.stack([np.sin(0.3 * t), np.cos(0.3 * t)], axis=1))
    plan = make_plan(task, warm_up=5, steps=100, n_starts=7, threshold=1e-6)
    found = make_forecasts(task, plan, {"exact": fitted(task, 1, 1), "same": Persistence((0, 1))})
    assert found["exact"].valid_steps.tolist() == [100] * 7
    assert found["exact"].valid_steps_normalised.tolist() == [100] * 7
    assert found["same"].valid_steps.tolist() == [0] * 7
    torch.testing.assert_close(found["exact"].predicted, truth(task, plan), rtol=0, atol=1e-9)


def test_one_column_in_delay_coordinates(tmp_path: Path) -> None:
    """sin(t) follows from its last two values; what is predicted and not observed is not fed back."""
    t = np.arange(400)
    record = np.stack([np.cos(0.3 * t), np.sin(0.3 * t)], axis=1)
    task = of_record(tmp_path, record, observe="1")
    plan = make_plan(task, warm_up=2, steps=100, n_starts=3, threshold=1e-6)
    found = make_forecasts(task, plan, {"two lags": fitted(task, 2, 1), "one lag": fitted(task, 1, 1)})
    assert found["two lags"].valid_steps.tolist() == [100] * 3
    assert found["one lag"].valid_steps.max() < 5


def test_a_chaotic_map_is_forecast_until_rounding_has_grown(tmp_path: Path) -> None:
    """Errors of 1e-15 double in every step of the logistic map at 4, on average: they reach 1e-3 after some 40."""
    x = np.empty((2000, 2))
    x[0] = 0.3
    for i in range(1999):
        x[i + 1] = 4 * x[i, 0] * (1 - x[i, 0]), x[i, 0]
    task = of_record(tmp_path, x[1:])
    plan = make_plan(task, warm_up=3, steps=80, n_starts=20, threshold=0.5)
    found = make_forecasts(task, plan, {"map": fitted(task, 1, 2)})["map"]
    assert 38 < found.valid_steps.double().mean() < 55
    early = found.nrmse[:, 29].log().mean() - found.nrmse[:, 9].log().mean()
    assert early / 20 == pytest.approx(np.log(2), abs=0.15)


# Errors


def test_a_known_growth_of_the_error_gives_a_known_time() -> None:
    steps = torch.arange(1, 101, dtype=torch.float64)
    errors = torch.stack([1e-3 * torch.exp(rate * steps) for rate in (0.1, 0.2, 0.01)])
    assert valid_steps(errors, 0.5).tolist() == [int(np.log(500) / 0.1), int(np.log(500) / 0.2), 100]
    falling = torch.tensor([[0.1, 0.6, 0.1], [0.5, 0.1, 0.1], [0.1, 0.2, float("nan")], [0.1, float("inf"), 0.1]])
    assert valid_steps(falling, 0.5).tolist() == [1, 0, 2, 1]


def test_errors_are_those_of_the_papers() -> None:
    true = torch.tensor([[[1.0, -2.0], [3.0, 0.0]]], dtype=torch.float64)
    predicted = true + torch.tensor([3.0, 4.0])
    deviation = torch.tensor([1.0, 2.0])
    assert nrmse(predicted, true, deviation).tolist() == [pytest.approx([np.sqrt((9 + 4) / 2)] * 2)]
    assert normalised_error(predicted, true, torch.tensor(2.0)).tolist() == [pytest.approx([2.5] * 2)]


def test_errors_are_normalised_by_the_training_rows_in_own_units(tmp_path: Path) -> None:
    record = 5 + np.random.default_rng(0).normal(size=(300, 2)) * [1, 10]
    task = of_record(tmp_path, record)
    plan = make_plan(task, warm_up=1, steps=4, n_starts=3, threshold=0.5)
    found = make_forecasts(task, plan, {"same": Persistence((0, 1))})["same"]
    expected = record[plan.starts][:, None] - np.stack([record[plan.starts + n] for n in (1, 2, 3, 4)], 1)
    torch.testing.assert_close(found.predicted, torch.from_numpy(record[plan.starts])[:, None].expand(-1, 4, -1))
    np.testing.assert_allclose(found.nrmse, np.sqrt((expected**2 / record[:210].var(0, ddof=1)).mean(-1)), rtol=1e-12)
    size = np.sqrt((record[:210] ** 2).sum(1).mean())
    np.testing.assert_allclose(found.normalised, np.linalg.norm(expected, axis=-1) / size, rtol=1e-12)


# Networks


@pytest.fixture
def network(settings: Settings, tmp_path: Path) -> Network:
    """Reads the columns 2 and 0, of which it predicts all, out of three rows."""
    settings = dataclasses.replace(settings, observe="2,0", predict=":", context=3, updates=3)
    trainer = train(settings, tmp_path / "run")
    return Network(trainer.model, trainer.task)


def test_a_forecast_is_what_the_network_says_of_its_own_predictions(network: Network) -> None:
    """In one piece, over the true rows and the predicted ones, it predicts the same."""
    task = network.task
    warm_up = task.observed[90:100][None]
    predicted = closed_loop(network, warm_up, [2, 0], 12)
    rows = torch.cat([warm_up[0], predicted[0][:-1, [2, 0]]])
    inputs = torch.stack([rows[i - 2 : i + 1].flip(0).flatten() for i in range(2, len(rows))])
    with torch.no_grad():
        in_one_piece = network.model(inputs[None])
    torch.testing.assert_close(predicted[0], in_one_piece[0, 7:], rtol=0, atol=1e-12)


def test_an_echo_state_network_carries_its_state(tmp_path: Path) -> None:
    """It forecasts a wave of which one row does not tell the phase, and as a single run over the rows says."""
    t = np.arange(900)
    task = of_record(tmp_path, np.stack([np.cos(0.3 * t), np.cos(0.3 * t) ** 2], axis=1))
    predictors = baseline_predictors(task)
    plan = make_plan(task, warm_up=60, steps=40, n_starts=3, threshold=0.1)
    found = make_forecasts(task, plan, {name: predictors[name] for name in (ECHO_STATE, CUBIC)})
    assert found[ECHO_STATE].valid_steps.min() > 20 > found[CUBIC].valid_steps.max()
    warm_up = task.observed[700:760][None]
    predicted = closed_loop(predictors[ECHO_STATE], warm_up, [0, 1], 5)
    rows = torch.cat([warm_up[0], predicted[0, :-1]])
    in_one_piece, _ = predictors[ECHO_STATE].predict(rows[None], None)
    torch.testing.assert_close(predicted[0], in_one_piece[0, 59:], rtol=0, atol=1e-9)


def test_starts_side_by_side_are_starts_one_by_one(network: Network) -> None:
    task = network.task
    plan = make_plan(task, warm_up=6, steps=9, n_starts=5, threshold=0.5)
    predictors = {"network": network, **baseline_predictors(task)}
    together = make_forecasts(task, plan, predictors)
    for i, start in enumerate(plan.starts):
        alone = make_forecasts(task, dataclasses.replace(plan, starts=start[None]), predictors)
        for name, found in together.items():
            torch.testing.assert_close(found.predicted[i], alone[name].predicted[0], rtol=1e-7, atol=1e-9)


def test_a_forecast_sees_its_warm_up_only(network: Network) -> None:
    task = network.task
    plan = make_plan(task, warm_up=6, steps=9, n_starts=4, threshold=0.5)
    assert plan.starts[0] - plan.warm_up + 1 == task.n_train
    assert plan.starts[-1] + plan.steps == len(task.observed) - 1
    first = dataclasses.replace(plan, starts=plan.starts[:1])
    before = make_forecasts(task, first, {"network": network})["network"]
    hidden = task.observed.clone()
    seen = torch.arange(task.n_train, task.n_train + 6)
    hidden[torch.isin(torch.arange(len(hidden)), seen, invert=True)] = 99.0
    after = make_forecasts(dataclasses.replace(task, observed=hidden), first, {"network": network})["network"]
    assert torch.equal(before.predicted, after.predicted)
    assert torch.equal(before.nrmse, after.nrmse)


def test_a_network_that_does_not_tell_its_memory_is_refused(network: Network) -> None:
    class Silent(torch.nn.Module):
        def outputs(self, x: torch.Tensor, hx: None) -> tuple[torch.Tensor, None]:
            return x, None

    with pytest.raises(ValueError, match="does not tell"):
        Network(Silent(), network.task).predict(torch.zeros(1, 1, 6), None)  # type: ignore[arg-type]


# Refused


def test_forecasts_that_a_task_does_not_allow(tmp_path: Path, network: Network) -> None:
    observer = of_record(tmp_path, np.random.default_rng(0).normal(size=(200, 3)), observe="0", predict="1,2")
    with pytest.raises(ValueError, match="not predicted are column 0: train with --predict ':'"):
        make_plan(observer, 5, 5, 5, 0.5)
    task = network.task
    for wrong, message in (
        ({"warm_up": 0}, "^warm_up must"),
        ({"steps": 0}, "^steps must"),
        ({"n_starts": 0}, "^starts must"),
        ({"threshold": 0.0}, "^threshold must"),
        ({"threshold": float("nan")}, "^threshold must"),
        ({"steps": 40}, "take 44 rows, and the validation part has 36"),
        ({"steps": None}, "forecasts of 500 steps"),  # a file's Lyapunov exponent is not known
    ):
        with pytest.raises(ValueError, match=message):
            make_plan(task, **{"warm_up": 3, "steps": 5, "n_starts": 2, "threshold": 0.5, **wrong})
    plan = make_plan(task, warm_up=2, steps=5, n_starts=2, threshold=0.5)
    with pytest.raises(ValueError, match="warm_up must be at least 3"):
        make_forecasts(task, plan, {"network": network})


# Figures


def test_figures_are_in_lyapunov_times() -> None:
    settings = Settings(rows=900, steps=5, washout=1, long_washout=1, **ALL)
    task = make_task(settings)
    assert task.lyapunov == pytest.approx(0.009056)
    with pytest.raises(ValueError, match="of 1105 steps"):
        make_plan(task, warm_up=3, steps=None, n_starts=2, threshold=0.5)
    plan = make_plan(task, warm_up=3, steps=100, n_starts=4, threshold=0.5)
    found = make_forecasts(task, plan, baseline_predictors(task))
    assert set(found) >= {"persistence", "training mean", "quadratic in 3 lags"}
    table = forecast_table(task, plan, found)
    assert "Lyapunov times of 110.4 rows" in table.title
    stored = forecast_json(task, plan, found)["valid_steps"]["persistence"]["nrmse"]
    row = next(row for row in table.sections[0] if row[0] == "persistence")
    times = np.array(stored) * 0.009056
    assert row[1] == f"{times.mean():.2f} ± {times.std(ddof=1) / 2:.2f}"
    assert row[2:5] == [f"{times.max():.2f}", f"{times.min():.2f}", "0 of 4"]
    assert any("starts lie 0.50 Lyapunov times apart" in note for note in table.notes)
    far = make_plan(task, warm_up=3, steps=100, n_starts=2, threshold=0.5)
    assert not any("apart" in note for note in forecast_table(task, far, make_forecasts(task, far, {})).notes)


@pytest.mark.parametrize(("system", "cell"), [("lorenz", "lstm"), ("kuramoto-sivashinsky", "crx_chain")])
def test_the_command(tmp_path: Path, system: str, cell: str) -> None:
    settings = Settings(
        system=system,
        cell=cell,
        rows=160,
        qubits=2,
        steps=5,
        washout=1,
        long_washout=1,
        updates=1,
        validate_every=0,
        **ALL,
    )
    train(settings, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    def call(*options: str | Path) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["forecast", str(tmp_path / "run"), *map(str, options)])
        return result.exit_code, result.stdout, result.stderr

    small = ["--warm-up", "4", "--steps", "9", "--starts", "3"]
    code, shown, _ = call(*small)
    assert code == 0
    code, printed, _ = call(*small, "--out", tmp_path / "out")
    assert code == 0
    assert printed == shown
    for name in (runs.NETWORK, "persistence", "training mean", "quadratic in 20 lags: left out"):
        assert name in printed
    assert (tmp_path / "out" / "forecast.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((tmp_path / "out" / "forecast.json").read_text())
    assert (stored["warm_up"], stored["steps"], len(stored["starts"]), stored["threshold"]) == (4, 9, 3, 0.5)
    assert {len(times["nrmse"]) for times in stored["valid_steps"].values()} == {3}
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    for options, message in (((*small, "--out", tmp_path / "out"), "not empty"), (("--out", tmp_path / "new"), "take")):
        code, _, refused = call(*options)
        assert code == 2
        assert message in refused
    assert not (tmp_path / "new").exists()
