"""The Lorenz record, files of records, splits, scaling, windows, and the baselines fitted to them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qrnn_fast.experiments.baselines import BASELINES, ECHO_STATE, EchoStateNetwork, Polynomial
from qrnn_fast.experiments.data import Windows, make_task
from qrnn_fast.experiments.evaluate import baseline_errors, protocols
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.systems import Lorenz, Scaling, load_record, split_row, window_starts


def save(folder: Path, record: np.ndarray) -> str:
    path = folder / "record.npy"
    np.save(path, record)
    return str(path)


def small_record(rows: int = 200, columns: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


# The Lorenz system


def test_lorenz_agrees_with_small_runge_kutta_steps() -> None:
    lorenz = Lorenz(rows=51, burn_in=0.0)
    state = np.array(lorenz.initial)
    h = lorenz.dt / 50

    def f(s: np.ndarray) -> np.ndarray:
        return np.array([10.0 * (s[1] - s[0]), s[0] * (28.0 - s[2]) - s[1], s[0] * s[1] - 8.0 / 3.0 * s[2]])

    expected = [state]
    for _ in range(50):
        for _ in range(50):
            k1 = f(state)
            k2 = f(state + h / 2 * k1)
            k3 = f(state + h / 2 * k2)
            k4 = f(state + h * k3)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        expected.append(state)
    np.testing.assert_allclose(lorenz.record(), np.array(expected), rtol=0, atol=1e-9)


def test_burn_in_drops_the_first_rows_only() -> None:
    whole = Lorenz(rows=60, burn_in=0.0).record()
    later = Lorenz(rows=40, burn_in=0.2).record()
    np.testing.assert_allclose(later, whole[20:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"dt": 0.0}, {"burn_in": -1.0}, {"dt": float("nan")}])
def test_lorenz_refuses(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Lorenz(**wrong)  # type: ignore[arg-type]


# Files


def test_load_record_takes_integers_and_floats(tmp_path: Path) -> None:
    record = np.arange(12).reshape(6, 2)
    loaded = load_record(save(tmp_path, record))
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, record)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((5, 1)), r"shape \(5, 1\)"),
        (np.zeros((5, 2, 2)), r"shape \(5, 2, 2\)"),
        (np.zeros((5, 2), dtype=complex), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
        (np.array([[0.0, 1.0], [2.0, np.nan]]), "row 1, column 1"),
        (np.array([[np.inf, 1.0]]), "row 0, column 0"),
    ],
)
def test_load_record_refuses_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_record(save(tmp_path, array))
    assert "accepted is" in str(caught.value)


def test_load_record_refuses_files(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, small_record())
    objects = io.BytesIO()
    np.save(objects, np.array([{"a": 1}], dtype=object))
    broken = {"empty": b"", "text": b"1,2,3\n", "cut": whole.getvalue()[:-100], "objects": objects.getvalue()}
    for name, content in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read .*np\.save\(FILE, np\.loadtxt\(TEXT\)\)"):
            load_record(path)
    np.savez(tmp_path / "several.npz", a=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="several arrays"):
        load_record(tmp_path / "several.npz")
    with pytest.raises(ValueError, match="no such file"):
        load_record(tmp_path / "absent.npy")
    with pytest.raises(ValueError, match="no such file"):
        load_record(tmp_path)


# Splits, scaling, windows


def test_split_row_is_exact() -> None:
    assert [split_row(rows) for rows in (10, 11, 100, 9900)] == [7, 7, 70, 6930]


def test_scaling_maps_the_fitted_rows_onto_the_unit_interval() -> None:
    record = small_record()
    scaled = Scaling.fit(record).apply(record)
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(scaled.max(axis=0), 1, atol=1e-15)


def test_scaling_refuses_a_constant_column() -> None:
    record = small_record()
    record[:, 1] = 3.0
    with pytest.raises(ValueError, match="column 1"):
        Scaling.fit(record)


@given(
    first=st.integers(0, 20),
    rows=st.integers(1, 60),
    context=st.integers(1, 4),
    steps=st.integers(1, 10),
    stride=st.integers(1, 7),
)
def test_windows_lie_wholly_in_their_rows(first: int, rows: int, context: int, steps: int, stride: int) -> None:
    stop = first + rows
    fitting = [t for t in range(first, stop) if t - context + 1 >= first and t + steps <= stop - 1]
    if not fitting:
        with pytest.raises(ValueError, match="too few rows"):
            window_starts(first, stop, context=context, steps=steps, stride=stride)
        return
    starts = window_starts(first, stop, context=context, steps=steps, stride=stride)
    assert starts.tolist() == fitting[::stride]


@pytest.mark.parametrize("name", ["context", "steps", "stride"])
def test_window_starts_refuses_settings_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        window_starts(0, 100, **{"context": 1, "steps": 5, "stride": 1, name: 0})


# Tasks


def test_steps_read_newest_first_and_predict_the_next_row(tmp_path: Path) -> None:
    record = small_record()
    task = make_task(Settings(data=save(tmp_path, record), context=3, steps=6, stride=4, washout=2, long_washout=1))
    scaled = Scaling.fit(record[:140]).apply(record)
    rows = task.train.rows(torch.tensor([5]))
    first = 2 + 5 * 4
    assert rows.tolist() == [list(range(first, first + 6))]
    for step, t in enumerate(range(first, first + 6)):
        np.testing.assert_array_equal(task.inputs(rows)[0, step], scaled[[t, t - 1, t - 2], 0])
        np.testing.assert_array_equal(task.targets(rows)[0, step], scaled[t + 1, 1:])
    assert Windows(torch.tensor([3, 7]), 4, 2).scored_rows.tolist() == [5, 6, 9, 10]


def test_validation_reads_and_predicts_validation_rows_only(tmp_path: Path) -> None:
    path = save(tmp_path, small_record())
    task = make_task(Settings(data=path, context=3, steps=6, stride=4, washout=2, long_washout=1))
    for windows in (task.windowed, task.long_run):
        assert windows.rows().min() - 2 >= 140
        assert windows.rows().max() + 1 <= 199
    assert task.train.rows().max() + 1 <= 139
    assert task.long_run.rows().tolist() == [list(range(142, 199))]


def test_validation_rows_do_not_touch_training(tmp_path: Path) -> None:
    record = small_record()
    settings = Settings(data=save(tmp_path, record), long_washout=1)
    before = make_task(settings)
    record[140:] *= 100.0
    after = make_task(dataclasses.replace(settings, data=save(tmp_path, record)))
    assert torch.equal(before.observed[:140], after.observed[:140])
    assert torch.equal(before.predicted[:140], after.predicted[:140])
    for baseline in BASELINES.values():
        np.testing.assert_array_equal(baseline.fit(before), baseline.fit(after))


def test_the_default_task_has_the_studys_size() -> None:
    task = make_task(Settings())
    assert task.n_train == 6930
    assert task.long_run.steps == 2969
    assert len(task.train.starts) == 1382


@pytest.mark.parametrize("change", [{"steps": 70}, {"context": 60}, {"long_washout": 59}])
def test_too_few_rows(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"too few rows|59 steps only"):
        make_task(Settings(**{"data": save(tmp_path, small_record()), "long_washout": 1, **change}))


# Baselines


def test_polynomials_recover_a_polynomial(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=200)
    previous = np.roll(x, 1)
    record = np.stack([x, np.roll(x**3 - x, 1), np.roll(x * previous, 1)], axis=1)[3:]
    task = make_task(Settings(data=save(tmp_path, record), long_washout=1))
    sets = protocols(task)
    cubic = Polynomial(lags=1, degree=3).errors(task, sets)
    quadratic = Polynomial(lags=2, degree=2).errors(task, sets)
    for name in sets:
        assert cubic[name].columns[0] < 1e-10 < 1e-3 < cubic[name].columns[1]
        assert quadratic[name].columns[1] < 1e-10 < 1e-3 < quadratic[name].columns[0]


def test_the_mean_is_measured_on_the_windows_targets(tmp_path: Path) -> None:
    task = make_task(Settings(data=save(tmp_path, small_record()), steps=6, washout=2, stride=3, long_washout=5))
    mean = task.predicted[1:140].mean(dim=0)
    errors = BASELINES["training mean"].errors(task, protocols(task))
    for name, windows in (("train", task.train), ("windowed", task.windowed), ("long run", task.long_run)):
        targets = task.targets(windows.rows())[:, windows.washout :]
        expected = (targets - mean).square().mean(dim=(0, 1)).sqrt()
        torch.testing.assert_close(torch.tensor(errors[name].columns, dtype=torch.float64), expected)
        assert errors[name].mean == pytest.approx(expected.mean().item())


def test_baselines_rank_on_lorenz_as_the_field_reports() -> None:
    task = make_task(Settings())
    errors = baseline_errors(task, protocols(task))
    echo_state = errors.pop(ECHO_STATE)
    ranking = [e["windowed"].mean for e in errors.values()]
    assert ranking == sorted(ranking, reverse=True)
    assert 0.16 < ranking[0] < 0.24
    assert 0.09 < ranking[1] < 0.15
    assert 0.02 < ranking[3] < 0.05
    assert ranking[4] < 0.015
    assert 0.005 < echo_state["long run"].mean < 0.021
    assert echo_state["windowed"].mean < 0.05


def test_a_reservoir_step_by_step() -> None:
    """States by the definition, from any state on; seeds and columns have weights of their own."""
    network = EchoStateNetwork(nodes=7, seeds=2, leak=0.4, spectral_radius=0.8, scale=0.5)
    reservoir = network.reservoir(3)
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    states = reservoir.run(x)
    assert states.shape == (2, 2, 5, 7)
    for seed in range(2):
        assert np.abs(np.linalg.eigvals(reservoir.recurrent[seed])).max() == pytest.approx(0.8)
        for b in range(2):
            state = np.zeros(7)
            for t in range(5):
                total = (
                    reservoir.inputs[seed].T @ x[b, t] + reservoir.recurrent[seed].T @ state + reservoir.bias[seed, 0]
                )
                state = 0.6 * state + 0.4 * np.tanh(total)
                np.testing.assert_allclose(states[seed, b, t], state, atol=1e-14)
    assert not np.allclose(states[0], states[1])
    np.testing.assert_allclose(reservoir.step(states[:, :, 3], x[:, 4]), states[:, :, 4], atol=1e-14)


def test_an_echo_state_network_learns_what_needs_memory(tmp_path: Path) -> None:
    """The product of the last two inputs, out of one row per step; the targets are those of the protocols."""
    x = np.random.default_rng(0).uniform(size=1500)
    record = np.stack([x, np.roll(x * np.roll(x, 1), 1)], axis=1)[3:]
    task = make_task(Settings(data=save(tmp_path, record), steps=12, washout=6, long_washout=20))
    sets = protocols(task)
    network = EchoStateNetwork(leak=1.0, spectral_radius=0.5, seeds=2)
    errors = network.errors(task, sets)
    of_seeds = network.errors_of_seeds(task, sets)
    for name, error in errors.items():
        assert error.mean < 0.03 < 0.1 < Polynomial(lags=1, degree=3).errors(task, sets)[name].mean
        assert error.mean == pytest.approx(np.mean([e.mean for e in of_seeds[name]]))
    assert of_seeds["long run"][0] != of_seeds["long run"][1]
    run = task.long_run
    features = network.reservoir(1).run(task.observed[run.rows()].numpy())[0, 0]
    readout = network.fit(task)[0]
    predicted = features @ readout[:-1] + readout[-1]
    difference = predicted[20:] - task.predicted[run.rows()[0] + 1].numpy()[20:]
    assert np.sqrt((difference**2).mean()) == pytest.approx(of_seeds["long run"][0].mean, rel=1e-9)


def test_quadratic_in_twenty_lags_has_462_parameters() -> None:
    task = make_task(Settings())
    assert BASELINES["quadratic in 20 lags"].fit(task).size == 462
