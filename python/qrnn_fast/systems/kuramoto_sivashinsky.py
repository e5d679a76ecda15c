"""The Kuramoto-Sivashinsky equation on a periodic line and on a periodic square."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qrnn_fast.systems.etdrk4 import ETDRK4, Spectrum


@dataclass(frozen=True)
class _Periodic(ABC):
    """What the line and the square have in common; everything that decides a record's values stands here."""

    rows: int
    length: float
    points: int
    dt: float
    steps_per_row: int
    burn_in: float
    seed: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.steps_per_row < 1:
            raise ValueError(f"rows and steps_per_row must be at least 1, got {self.rows} and {self.steps_per_row}")
        if self.points < 8 or self.points % 2:
            raise ValueError(f"points must be even and at least 8, got {self.points}")
        if not (self.length > 0 and self.dt > 0 and self.burn_in >= 0):
            raise ValueError(
                "length and dt must be above 0 and burn_in not negative, got "
                f"{self.length}, {self.dt} and {self.burn_in}"
            )

    @abstractmethod
    def solver(self) -> ETDRK4:
        """What steps the field's spectrum by ``dt / steps_per_row``."""

    def _spectra(self, v: Spectrum) -> Spectrum:
        """The spectra at the rows' times, begun from `v`: (rows, *shape of v)."""
        solver = self.solver()
        for _ in range(round(self.burn_in / self.dt) * self.steps_per_row):
            v = solver.step(v)
        spectra = np.empty((self.rows, *v.shape), dtype=np.complex128)
        for row in range(self.rows):
            spectra[row] = v
            for _ in range(self.steps_per_row):
                v = solver.step(v)
        return spectra


@dataclass(frozen=True)
class KuramotoSivashinsky(_Periodic):
    """A record of u_t = -u u_x - u_xx - u_xxxx on a periodic line; everything that decides its values stands here.

    The defaults are the smallest setting of Pathak et al. (Phys. Rev. Lett. 120, 024102, 2018): spatio-temporal chaos
    with a largest Lyapunov exponent of about 0.048 (Cvitanovic, Davidchack and Siminos, SIAM J. Appl. Dyn. Syst. 9, 1,
    2010; 0.043 in Edson, Bunder, Mattner and Roberts, ANZIAM J. 61, 270, 2019).

    Attributes:
        rows: number of rows of the record.
        length: period L.
        points: number of grid points, even.
        dt: time between two rows.
        steps_per_row: solver steps in this time.
        burn_in: time that passes before the first row.
        seed: decides the initial field, a few long waves of random phases.
    """

    rows: int = 10000
    length: float = 22.0
    points: int = 64
    dt: float = 0.25
    steps_per_row: int = 1
    burn_in: float = 500.0
    seed: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the record's columns, u at every grid point."""
        return tuple(f"u({self.length * i / self.points:g})" for i in range(self.points))

    def initial(self) -> NDArray[np.float64]:
        """The field before the burn-in, (points,)."""
        rng = np.random.default_rng(self.seed)
        x = 2 * np.pi * np.arange(self.points) / self.points
        field: NDArray[np.float64] = sum(  # type: ignore[assignment]
            rng.normal() * np.cos(k * x + rng.uniform(0, 2 * np.pi)) for k in range(1, 5)
        )
        return field

    def solver(self) -> ETDRK4:
        """What steps the field's spectrum, as of numpy.fft.rfft, by ``dt / steps_per_row``."""
        k = 2 * np.pi / self.length * np.arange(self.points // 2 + 1)
        slope = -0.5j * k
        slope[-1] = 0  # the highest mode has no phase to differentiate

        def nonlinear(v: Spectrum) -> Spectrum:
            return slope * np.fft.rfft(np.fft.irfft(v, self.points) ** 2)

        return ETDRK4(k**2 - k**4, nonlinear, self.dt / self.steps_per_row)

    def record(self) -> NDArray[np.float64]:
        """Integrate the equation.

        Returns:
            Array (rows, points), float64: u at the times ``burn_in + dt * row``.
        """
        return np.fft.irfft(self._spectra(np.fft.rfft(self.initial())), self.points)


@dataclass(frozen=True)
class KuramotoSivashinsky2D(_Periodic):
    """A record of h_t = -|grad h|^2 / 2 - lap h - lap lap h on a periodic square, without its mean.

    The mean of h drifts and acts on nothing, so it is held at zero. A field that depends on x alone has the slope u =
    h_x of the one-dimensional equation.

    Attributes:
        rows: number of rows of the record.
        length: period L in both directions.
        points: number of grid points in each direction, even.
        dt: time between two rows.
        steps_per_row: solver steps in this time.
        burn_in: time that passes before the first row.
        seed: decides the initial field, a few long waves of random phases.
    """

    rows: int = 2000
    length: float = 22.0
    points: int = 32
    dt: float = 0.25
    steps_per_row: int = 2
    burn_in: float = 200.0
    seed: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a record whose fields are flattened, h at every grid point, x first."""
        places = [f"{self.length * i / self.points:g}" for i in range(self.points)]
        return tuple(f"h({x}, {y})" for x in places for y in places)

    def initial(self) -> NDArray[np.float64]:
        """The field before the burn-in, (points, points), index order (x, y)."""
        rng = np.random.default_rng(self.seed)
        x = 2 * np.pi * np.arange(self.points) / self.points
        field = np.zeros((self.points, self.points))
        for i in range(3):
            for j in range(3):
                if i or j:
                    field += rng.normal() * np.cos(i * x[:, None] + j * x + rng.uniform(0, 2 * np.pi))
        return field

    def solver(self) -> ETDRK4:
        """What steps the field's spectrum, as of numpy.fft.rfft2, by ``dt / steps_per_row``."""
        n, unit = self.points, 2 * np.pi / self.length
        kx, ky = unit * n * np.fft.fftfreq(n)[:, None], unit * np.arange(n // 2 + 1)
        square = kx**2 + ky**2
        # Modes without a phase to differentiate.
        along_x, along_y = 1j * np.where(np.abs(kx) == unit * n / 2, 0, kx), 1j * np.where(ky == unit * n / 2, 0, ky)

        def nonlinear(v: Spectrum) -> Spectrum:
            gradient_x, gradient_y = np.fft.irfft2(along_x * v, (n, n)), np.fft.irfft2(along_y * v, (n, n))
            out: Spectrum = np.fft.rfft2(-0.5 * (gradient_x**2 + gradient_y**2))
            out[0, 0] = 0
            return out

        mirrored = -np.arange(n) % n

        def of_real_field(v: Spectrum) -> Spectrum:
            edges = v[:, [0, -1]]  # the only modes whose conjugates are in the spectrum, too
            v[:, [0, -1]] = (edges + edges[mirrored].conj()) / 2
            return v

        return ETDRK4(square - square**2, nonlinear, self.dt / self.steps_per_row, of_real_field)

    def record(self) -> NDArray[np.float64]:
        """Integrate the equation.

        Returns:
            Array (rows, points, points), float64: h at the times ``burn_in + dt * row``, index order (row, x, y).
        """
        start = np.fft.rfft2(self.initial())
        start[0, 0] = 0
        return np.fft.irfft2(self._spectra(start), (self.points, self.points))
