"""The chaotic flows of dysts (W. Gilpin, NeurIPS Datasets and Benchmarks 2021, arXiv:2110.05266), by name."""

from __future__ import annotations

import difflib
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrnn_fast.systems.system import System

PREFIX = "dysts:"
POINTS_PER_PERIOD = 100
ROWS = 10000
TOLERANCE = 1e-10  # relative and absolute, of the solver (LSODA)


@cache
def dysts_system(name: str) -> System:
    """A flow of dysts as a system.

    A record begins at dysts' own initial state, which lies on the attractor, and has `POINTS_PER_PERIOD` rows in a
    period of the flow's dominant frequency. Period and Lyapunov exponent are dysts' estimates. As of `Lorenz`, machines
    agree on the first Lyapunov times of a record only.

    Args:
        name: of the class in dysts.flows, such as "Rossler".

    Raises:
        ImportError: dysts is not installed.
        ValueError: no such flow, or a delay equation, whose state is not what its record holds.
    """
    flow = _flow(name)

    def record(rows: int) -> NDArray[np.float64]:
        # dysts puts n rows into n / pts_per_period periods, ends included: so much makes them one dt apart for all n.
        values = flow.make_trajectory(
            rows,
            resample=True,
            pts_per_period=POINTS_PER_PERIOD * rows / max(rows - 1, 1),
            method="LSODA",
            rtol=TOLERANCE,
            atol=TOLERANCE,
        )
        if values is None or not np.isfinite(values).all():
            raise RuntimeError(f"dysts could not integrate {name} over {rows} rows; ask for fewer rows")
        return np.asarray(values, dtype=np.float64).reshape(rows, -1)

    return System(
        name=PREFIX + name,
        title=f"{name} of dysts",
        columns=tuple(f"x{i}" for i in range(len(flow.ic))),
        rows=ROWS,
        observe="0",
        predict=None,
        dt=flow.period / POINTS_PER_PERIOD,
        lyapunov=flow.maximum_lyapunov_estimated,
        record=record,
    )


def _flow(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dysts warns where Numba is missing, which it does well without
            from dysts import flows
            from dysts.base import DynSys, DynSysDelay
    except ModuleNotFoundError as error:
        raise ImportError(
            f"system {PREFIX}{name} needs {error.name}, which is not installed: pip install 'qrnn_fast[dysts]'"
        ) from error
    known = [
        key
        for key, value in vars(flows).items()
        if isinstance(value, type)
        and issubclass(value, DynSys)
        and not issubclass(value, DynSysDelay)
        and value is not DynSys
    ]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
        raise ValueError(
            f"system must name one of the {len(known)} flows of dysts that are no delay equations, such as "
            f"{', '.join(PREFIX + key for key in near)}; got {PREFIX + name!r}"
        )
    return getattr(flows, name)()
