"""Exponential time differencing of fourth order for periodic fields."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.complex128]

_CONTOUR_POINTS = 32


class ETDRK4:
    """Steps dv/dt = L v + N(v) with a diagonal linear part that is solved exactly.

    The scheme of Cox and Matthews (J. Comput. Phys. 176, 430, 2002), its coefficients by contour integrals as of Kassam
    and Trefethen (SIAM J. Sci. Comput. 26, 1214, 2005, eq. 2.5), which are exact where L dt is small.

    Args:
        linear: L for every mode, real, any shape.
        nonlinear: N of a spectrum of that shape.
        dt: time step.
        of_real_field: takes out of a spectrum what is not of a real field; None where its form leaves no room for such
            a part. The nonlinear term does not see that part, so that rounding would grow with L without bound.
    """

    def __init__(
        self,
        linear: NDArray[np.float64],
        nonlinear: Callable[[Spectrum], Spectrum],
        dt: float,
        of_real_field: Callable[[Spectrum], Spectrum] | None = None,
    ) -> None:
        self._nonlinear = nonlinear
        self._of_real_field = of_real_field
        z = dt * linear
        self._whole, self._half = np.exp(z), np.exp(z / 2)
        circle = np.exp(1j * np.pi * (np.arange(_CONTOUR_POINTS) + 0.5) / _CONTOUR_POINTS)
        around = z[..., None] + circle
        power = np.exp(around)

        def mean(values: Spectrum) -> NDArray[np.float64]:
            average: NDArray[np.float64] = dt * values.mean(-1).real
            return average

        self._middle = mean((np.exp(around / 2) - 1) / around)
        self._first = mean((-4 - around + power * (4 - 3 * around + around**2)) / around**3)
        self._inner = mean((2 + around + power * (around - 2)) / around**3)
        self._last = mean((-4 - 3 * around - around**2 + power * (4 - around)) / around**3)

    def step(self, v: Spectrum) -> Spectrum:
        """The spectrum one time step later."""
        at_start = self._nonlinear(v)
        a = self._half * v + self._middle * at_start
        at_a = self._nonlinear(a)
        b = self._half * v + self._middle * at_a
        at_b = self._nonlinear(b)
        c = self._half * a + self._middle * (2 * at_b - at_start)
        at_end = self._nonlinear(c)
        out: Spectrum = self._whole * v
        out += self._first * at_start + 2 * self._inner * (at_a + at_b) + self._last * at_end
        return out if self._of_real_field is None else self._of_real_field(out)
