"""Systems by name as tasks: their records, and which columns are observed and predicted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qrnn_fast.experiments.baselines import BASELINES, Polynomial, left_out
from qrnn_fast.experiments.data import make_task
from qrnn_fast.experiments.evaluate import baseline_errors, protocols
from qrnn_fast.experiments.report import errors_table
from qrnn_fast.experiments.runs import finish
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.systems import KuramotoSivashinsky, Scaling, column_numbers, find_system
from training import train

SMALL = Settings(rows=120, steps=6, washout=2, stride=3, long_washout=3, qubits=2)
LINE = dataclasses.replace(SMALL, system="kuramoto-sivashinsky")


# Columns


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("0", [0]),
        ("1,2", [1, 2]),
        ("2, 0", [2, 0]),
        ("0:8:3", [0, 3, 6]),
        (":", list(range(10))),
        ("7:", [7, 8, 9]),
        (":2", [0, 1]),
        ("::4,9", [0, 4, 8, 9]),
    ],
)
def test_columns_are_chosen_by_text(text: str, chosen: list[int]) -> None:
    assert column_numbers("observe", text, 10) == tuple(chosen)


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 25), st.integers(1, 5))
def test_ranges_are_pythons(n_columns: int, first: int, stop: int, step: int) -> None:
    expected = tuple(range(first, stop, step))
    text = f"{first}:{stop}:{step}"
    if expected and max(expected) < n_columns:
        assert column_numbers("predict", text, n_columns) == expected
    else:
        with pytest.raises(ValueError, match=r"^predict must choose"):
            column_numbers("predict", text, n_columns)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1,,2", "1:2:3:4", "0:4:0", "3;4", "0-4"])
def test_columns_of_another_form_are_refused(text: str) -> None:
    for name in ("observe", "predict"):
        with pytest.raises(ValueError, match=rf"^{name} must"):
            Settings(**{name: text})


def test_columns_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"which has 3 \(0 to 2\); '0,3' chooses column 3"):
        make_task(dataclasses.replace(SMALL, observe="0,3"))
    with pytest.raises(ValueError, match="column 1 2 times"):
        make_task(dataclasses.replace(SMALL, predict="0:2,1"))
    with pytest.raises(ValueError, match="predict must be given"):
        make_task(dataclasses.replace(LINE, observe=":"))


# Systems


def test_unknown_systems_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^system must be one of lorenz, .*got 'rossler'"):
        Settings(system="rossler")


@pytest.mark.parametrize(
    ("name", "observe", "predict"),
    [
        ("lorenz", [0], [1, 2]),
        ("kuramoto-sivashinsky", list(range(0, 64, 8)), [x for x in range(64) if x % 8]),
        (
            "kuramoto-sivashinsky-2d",
            [32 * x + y for x in range(0, 32, 4) for y in range(0, 32, 4)],
            [32 * x + y for x in range(2, 32, 4) for y in range(2, 32, 4)],
        ),
    ],
)
def test_a_systems_own_task(name: str, observe: list[int], predict: list[int]) -> None:
    system = find_system(name)
    task = make_task(dataclasses.replace(SMALL, system=name))
    assert (task.observe, task.predict) == (tuple(observe), tuple(predict))
    assert task.columns == system.columns
    assert torch.isfinite(task.predicted).all()
    assert task.predicted[:84].min() == 0
    assert task.predicted[:84].max() == 1
    assert system.rows > 500
    assert 0 < system.lyapunov * system.dt < 0.1


def test_the_line_observes_eight_points_and_predicts_the_others() -> None:
    task = make_task(dataclasses.replace(LINE, context=2))
    assert task.predicted_names[:2] == ("u(0.34375)", "u(0.6875)")
    record = KuramotoSivashinsky(rows=120).record()
    scaled = Scaling.fit(record[:84]).apply(record)
    rows = torch.tensor([[7, 8]])
    inputs, targets = task.inputs(rows), task.targets(rows)
    assert inputs.shape == (1, 2, task.n_inputs) == (1, 2, 16)
    np.testing.assert_array_equal(inputs[0, 1], np.concatenate([scaled[8, ::8], scaled[7, ::8]]))
    np.testing.assert_array_equal(targets[0, 1], np.delete(scaled[9], np.arange(0, 64, 8)))


def test_a_column_may_be_observed_and_predicted() -> None:
    task = make_task(dataclasses.replace(SMALL, observe="2,0", predict=":"))
    assert task.observed.shape == (120, 2)
    torch.testing.assert_close(task.observed, task.predicted[:, [2, 0]], rtol=0, atol=0)
    assert task.predicted_names == ("X", "Y", "Z")


def test_a_file_of_which_other_columns_are_observed(settings: Settings) -> None:
    before = make_task(settings)
    assert (before.observe, before.predict) == ((0,), (1, 2))
    task = make_task(dataclasses.replace(settings, observe="1:"))
    assert (task.observe, task.predict) == ((1, 2), (0,))
    assert torch.equal(task.observed, before.predicted)


# Training and baselines


@pytest.mark.parametrize("gradient", ["adjoint", "fdsa"])
def test_training_on_many_columns(tmp_path: Path, gradient: str) -> None:
    settings = dataclasses.replace(LINE, context=2, gradient=gradient, updates=2, batch_size=4, ridge=1e-6)
    trainer = train(settings, tmp_path / "run")
    assert trainer.model.layer.encoder.weight.shape[1] == 16
    assert trainer.evaluations == 8 * (1 if gradient == "adjoint" else 1 + 2 * 13 * 17)
    results = finish(trainer)
    assert {len(errors["long run"].columns) for errors in results.values()} == {56}
    table = errors_table(results, trainer.task)
    assert "worst of 56 columns" in table.title
    assert all(len(cell) < 30 for row in table.sections[0] for cell in row)
    assert "quadratic in 20 lags: left out, its 13,041 features" in table.markdown()


def test_baselines_read_all_observed_columns() -> None:
    """One that is bilinear in two observed columns is found exactly; too large ones are left out."""
    task = make_task(dataclasses.replace(SMALL, rows=400, observe="0,1,2", predict=":"))
    x, y, z = task.observed.T
    built = torch.stack([torch.roll(x * y - z, 1), torch.roll(y + torch.roll(x, 1) * z, 1)], 1)
    task = dataclasses.replace(task, predicted=built, predict=(1, 2))
    sets = protocols(task)
    errors = Polynomial(lags=2, degree=2).errors(task, sets)["windowed"]
    assert max(errors.columns) < 1e-9
    assert Polynomial(lags=1, degree=2).errors(task, sets)["windowed"].columns[1] > 1e-4
    sizes = {name: baseline.n_features(3) for name, baseline in BASELINES.items()}
    assert list(sizes.values()) == [1, 20, 10, 55, 1891, 71]
    assert set(BASELINES) - set(baseline_errors(task, sets)) == {"quadratic in 20 lags"}  # 280 training rows
    assert left_out(task) == [
        "quadratic in 20 lags: left out, its 1,891 features are more than a third of the 280 training rows"
    ]
    assert BASELINES["quadratic in 3 lags"].features(task.observed.numpy()).shape == (398, 55)
