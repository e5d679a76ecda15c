"""The Kuramoto-Sivashinsky equation: against finer solutions, its Lyapunov exponent, and line against square."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qrnn_fast.systems import KuramotoSivashinsky, KuramotoSivashinsky2D

LINE = KuramotoSivashinsky(rows=81, burn_in=0.0)
SQUARE = KuramotoSivashinsky2D(rows=21, burn_in=0.0)


def largest(field: NDArray[np.float64]) -> float:
    return float(np.abs(field).max())


def test_against_finer_steps() -> None:
    """The default step is right to 2e-3 over 20 time units; the order of 4 shows where the step is small."""
    fine = replace(LINE, rows=41, steps_per_row=256).record()
    errors = [largest(replace(LINE, rows=41, steps_per_row=s).record() - fine) for s in (1, 16, 32)]
    assert errors[0] < 2e-3
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.25)


def test_against_a_finer_grid() -> None:
    """64 points resolve the field to rounding: the same modes on 128 points give the same values."""
    coarse = replace(LINE, steps_per_row=4)
    fine = replace(coarse, points=128)
    solver, spectrum = fine.solver(), 2 * np.pad(np.fft.rfft(coarse.initial()), (0, 32))
    for row in coarse.record():
        np.testing.assert_allclose(np.fft.irfft(spectrum, 128)[::2], row, atol=1e-10)
        for _ in range(fine.steps_per_row):
            spectrum = solver.step(spectrum)


def test_lyapunov_exponent() -> None:
    """Two neighbouring fields, drawn together again and again, over 4,000 time units: about 0.048 in the literature."""
    system = KuramotoSivashinsky(rows=1)
    solver, field = system.solver(), np.fft.rfft(system.record()[0])
    neighbour = field + 1e-8 * np.fft.rfft(np.random.default_rng(0).normal(size=system.points))
    distance, growth, renewals = np.linalg.norm(neighbour - field), 0.0, 400
    for _ in range(renewals):
        for _ in range(40):
            field, neighbour = solver.step(field), solver.step(neighbour)
        grown = np.linalg.norm(neighbour - field)
        growth += np.log(grown / distance)
        neighbour = field + (neighbour - field) * (distance / grown)
    assert growth / (renewals * 40 * system.dt) == pytest.approx(0.048, abs=0.008)


def test_the_field_is_chaotic_and_bounded() -> None:
    record = KuramotoSivashinsky(rows=2000).record()
    assert 1.0 < record.std() < 1.6
    assert largest(record) < 5
    assert abs(record.mean()) < 1e-12
    assert largest(record - KuramotoSivashinsky(rows=2000).record()) == 0


def test_a_square_that_depends_on_one_direction_is_the_line() -> None:
    """Its slope obeys the equation of the line."""
    line = KuramotoSivashinsky(rows=21, points=32, burn_in=0.0, steps_per_row=4)
    waves = 2 * np.pi / line.length * np.arange(17)
    heights = np.fft.rfft(line.initial())
    heights[1:16] /= 1j * waves[1:16]
    heights[[0, 16]] = 0
    square = replace(SQUARE, points=32, steps_per_row=4)
    solver = square.solver()
    v = np.fft.rfft2(np.repeat(np.fft.irfft(heights, 32)[None, :], 32, 0))
    for row in line.record():
        slope = np.fft.irfft(1j * np.where(np.arange(17) < 16, waves, 0) * np.fft.rfft(np.fft.irfft2(v)[3]), 32)
        np.testing.assert_allclose(slope, row, atol=1e-8)
        for _ in range(4):
            v = solver.step(v)


def test_the_square_against_finer_steps() -> None:
    fine = replace(SQUARE, steps_per_row=16).record()
    errors = [largest(replace(SQUARE, steps_per_row=s).record() - fine) for s in (1, 2, 4)]
    assert errors[1] < 1e-2 * fine.std()
    assert errors[1] / errors[2] > 8


def test_both_directions_of_the_square_are_the_same() -> None:
    swapped = SQUARE.solver()
    v = np.fft.rfft2(SQUARE.initial().T)
    v[0, 0] = 0
    for row in SQUARE.record():
        np.testing.assert_allclose(np.fft.irfft2(v), row.T, atol=1e-9)
        for _ in range(SQUARE.steps_per_row):
            v = swapped.step(v)


def test_what_is_not_of_a_real_field_does_not_grow() -> None:
    """The nonlinear term does not see it, and the linear one would blow it up within some 100 time units."""
    solver = SQUARE.solver()
    clean = np.fft.rfft2(SQUARE.initial())
    clean[0, 0] = 0
    unreal = clean.copy()
    unreal[1, 0] += 1e-3
    unreal[-1, 0] -= 1e-3
    for _ in range(2):
        clean, unreal = solver.step(clean), solver.step(unreal)
    np.testing.assert_allclose(unreal, clean, atol=1e-12)


@pytest.mark.parametrize("system", [KuramotoSivashinsky, KuramotoSivashinsky2D])
@pytest.mark.parametrize(
    "wrong",
    [{"rows": 0}, {"steps_per_row": 0}, {"points": 31}, {"points": 6}, {"length": 0}, {"dt": -1}, {"burn_in": -1}],
)
def test_refused(system: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        system(**wrong)


def test_columns_are_places() -> None:
    assert KuramotoSivashinsky(points=8).columns[:3] == ("u(0)", "u(2.75)", "u(5.5)")
    square = KuramotoSivashinsky2D(points=8).columns
    assert len(square) == 64
    assert square[8 * 2 + 1] == "h(5.5, 2.75)"
