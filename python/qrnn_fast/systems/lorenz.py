"""The Lorenz-63 system (E. N. Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20, 130, 1963)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp


@dataclass(frozen=True)
class Lorenz:
    """A record of the Lorenz-63 system; everything that decides its values stands here.

    The solver's error (about 1e-12 a step) grows like exp(0.9 t), so two machines whose linear algebra rounds
    differently agree for the first 30 time units or so and follow different trajectories of the same attractor after
    that. Compare a model with baselines fitted to the same record, never with figures from another machine.

    Attributes:
        rows: number of rows of the record.
        dt: time between two rows, in the system's time units.
        initial: state (X, Y, Z) before the burn-in.
        burn_in: time that passes before the first row, so that the record lies on the attractor.
        sigma: Prandtl number.
        rho: Rayleigh number over its critical value.
        beta: geometric factor.
        tolerance: relative and absolute tolerance of the solver (DOP853).
    """

    rows: int = 9900
    dt: float = 0.01
    initial: tuple[float, float, float] = (1.0, 1.0, 1.0)
    burn_in: float = 20.0
    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8.0 / 3.0
    tolerance: float = 1e-12

    columns: ClassVar[tuple[str, str, str]] = ("X", "Y", "Z")

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")
        if not self.dt > 0:
            raise ValueError(f"dt must be above 0, got {self.dt}")
        if not self.burn_in >= 0:
            raise ValueError(f"burn_in must not be negative, got {self.burn_in}")

    def derivative(self, _time: float, state: NDArray[np.float64]) -> tuple[float, float, float]:
        """The time derivative of the state (X, Y, Z)."""
        # Plain floats: three times faster than NumPy scalars here.
        x, y, z = state.tolist()
        return self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z

    def record(self) -> NDArray[np.float64]:
        """Integrate the system.

        Returns:
            Array (rows, 3), float64: X, Y, Z at the times ``burn_in + dt * row``.

        Raises:
            RuntimeError: the solver failed.
        """
        times = self.burn_in + self.dt * np.arange(self.rows)
        solution = solve_ivp(
            self.derivative,
            (0.0, float(times[-1])),
            self.initial,
            method="DOP853",
            t_eval=times,
            rtol=self.tolerance,
            atol=self.tolerance,
        )
        if not solution.success:
            raise RuntimeError(f"the solver stopped before the end of the record: {solution.message}")
        return np.ascontiguousarray(solution.y.T)
