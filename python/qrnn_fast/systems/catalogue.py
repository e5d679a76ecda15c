"""The systems by name, as tasks: one place for what each one's record is by default and what is done with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qrnn_fast.systems.dysts_flows import PREFIX, dysts_system
from qrnn_fast.systems.kuramoto_sivashinsky import KuramotoSivashinsky, KuramotoSivashinsky2D
from qrnn_fast.systems.lorenz import Lorenz
from qrnn_fast.systems.system import System


def _grid(points: int, every: int, first: int) -> str:
    """The columns of every so many points in both directions of a square whose rows lie one behind the other."""
    return ",".join(f"{points * x + first}:{points * (x + 1)}:{every}" for x in range(first, points, every))


_LORENZ = Lorenz()
_LINE = KuramotoSivashinsky()
_SQUARE = KuramotoSivashinsky2D()


def _square_record(rows: int) -> NDArray[np.float64]:
    return KuramotoSivashinsky2D(rows=rows).record().reshape(rows, -1)


SYSTEMS = {
    system.name: system
    for system in (
        System(
            name="lorenz",
            title="Lorenz-63",
            columns=_LORENZ.columns,
            rows=_LORENZ.rows,
            observe="0",
            predict="1,2",
            dt=_LORENZ.dt,
            lyapunov=0.9056,  # J. C. Sprott, Chaos and Time-Series Analysis, Oxford 2003, appendix A.5.1
            record=lambda rows: Lorenz(rows=rows).record(),
        ),
        System(
            name="kuramoto-sivashinsky",
            title=f"Kuramoto-Sivashinsky, L = {_LINE.length:g}",
            columns=_LINE.columns,
            rows=_LINE.rows,
            observe=f"0:{_LINE.points}:8",
            predict=None,
            dt=_LINE.dt,
            # Cvitanovic, Davidchack and Siminos, SIAM J. Appl. Dyn. Syst. 9, 1 (2010); this solver's own over 40,000
            # time units: 0.0481 +- 0.0010. Edson et al. (2019) have 0.043.
            lyapunov=0.048,
            record=lambda rows: KuramotoSivashinsky(rows=rows).record(),
        ),
        System(
            name="kuramoto-sivashinsky-2d",
            title=f"Kuramoto-Sivashinsky on a square, L = {_SQUARE.length:g}",
            columns=_SQUARE.columns,
            rows=5000,
            # A grid of twice the distance does not tell the points between: no baseline beats the mean there.
            observe=_grid(_SQUARE.points, 4, 0),
            predict=_grid(_SQUARE.points, 4, 2),
            dt=_SQUARE.dt,
            lyapunov=0.174,  # measured with this solver over 2,000 time units: +- 0.007
            record=_square_record,
        ),
    )
}


NAMES = f"{', '.join(SYSTEMS)}, {PREFIX}NAME (a flow of the package dysts, such as {PREFIX}Rossler)"


def find_system(name: str) -> System:
    """The system of a name, one of `NAMES`.

    Raises:
        ImportError: it is one of dysts', which is not installed.
        ValueError: there is none of this name.
    """
    if name.startswith(PREFIX):
        return dysts_system(name.removeprefix(PREFIX))
    if name not in SYSTEMS:
        raise ValueError(f"system must be one of {NAMES}; got {name!r}")
    return SYSTEMS[name]
