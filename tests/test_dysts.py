"""Flows of the package dysts as systems: against a stand-in of its interface, and against dysts where it is there."""

from __future__ import annotations

import importlib.util
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.data import make_task
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.systems import Lorenz, find_system
from qrnn_fast.systems.dysts_flows import dysts_system
from typer.testing import CliRunner

HAS_DYSTS = importlib.util.find_spec("dysts") is not None


class DynSys:
    """What of dysts.base.DynSys matters here: its attributes, and make_trajectory's times."""

    period = 4.0
    maximum_lyapunov_estimated = 0.25
    ic = np.array([1.0, 0.0])

    def make_trajectory(
        self,
        n: int,
        dt: float = 1e-3,
        init_cond: Any = None,
        resample: bool = True,
        pts_per_period: float = 100,
        return_times: bool = False,
        standardize: bool = False,
        postprocess: bool = True,
        noise: float = 0.0,
        timescale: str = "Fourier",
        method: str = "Radau",
        random_seed: int = 0,
        rtol: float = 1e-12,
        atol: float = 1e-12,
        verbose: bool = False,
        **kwargs: Any,
    ) -> Any:
        assert resample
        assert not kwargs
        assert not return_times
        phase = 2 * np.pi * np.linspace(0, n / pts_per_period, n)
        return np.squeeze(np.stack([np.cos(phase), np.sin(phase)], axis=1))


class DynSysDelay(DynSys):
    pass


class Rotation(DynSys):
    pass


class Escape(DynSys):
    def make_trajectory(self, n: int, **kwargs: Any) -> None:
        return None


class Delayed(DynSysDelay):
    pass


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    base, flows = ModuleType("dysts.base"), ModuleType("dysts.flows")
    package = ModuleType("dysts")
    package.flows, package.base = flows, base  # type: ignore[attr-defined]
    for module, members in ((base, (DynSys, DynSysDelay)), (flows, (DynSys, DynSysDelay, Rotation, Escape, Delayed))):
        for member in members:
            setattr(module, member.__name__, member)
    for module in (package, base, flows):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    dysts_system.cache_clear()
    yield
    dysts_system.cache_clear()


@pytest.mark.usefixtures("stand_in")
def test_a_flow_is_a_task() -> None:
    system = find_system("dysts:Rotation")
    assert (system.dt, system.lyapunov, system.columns) == (0.04, 0.25, ("x0", "x1"))
    for rows in (1, 2, 57, 201):
        phase = 2 * np.pi * np.arange(rows) / 100
        np.testing.assert_allclose(system.record(rows), np.stack([np.cos(phase), np.sin(phase)], axis=1), atol=1e-12)
    task = make_task(Settings(system="dysts:Rotation", rows=100, long_washout=1))
    assert (task.observe, task.predict, task.lyapunov) == ((0,), (1,), pytest.approx(0.01))


@pytest.mark.usefixtures("stand_in")
def test_what_is_no_flow_is_refused() -> None:
    for name in ("Rotaton", "Delayed", "DynSys", ""):
        with pytest.raises(ValueError, match=rf"the 2 flows .* such as .*dysts:Rotation.*; got 'dysts:{name}'"):
            Settings(system=f"dysts:{name}")
    with pytest.raises(RuntimeError, match="could not integrate Escape"):
        find_system("dysts:Escape").record(5)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dysts", None)
    dysts_system.cache_clear()
    refused = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "run"), "--system", "dysts:Rossler"])
    assert refused.exit_code == 2
    assert "pip install 'qrnn_fast[dysts]'" in refused.stderr
    assert not (tmp_path / "run").exists()


SCRIPT = """
import inspect, json, numpy as np
from qrnn_fast.systems import find_system
system = find_system("dysts:Lorenz")
from dysts.base import DynSys
print(json.dumps([list(inspect.signature(DynSys.make_trajectory).parameters), system.dt, system.lyapunov,
    len(system.columns), system.record(50).tolist(), system.record(31).tolist()]))
"""


@pytest.mark.skipif(not HAS_DYSTS, reason="dysts is not installed")
def test_the_packages_own_lorenz_is_lorenz() -> None:
    # In a process of its own: what dysts pulls in warns, and a warning is an error here.
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True)
    parameters, dt, lyapunov, n_columns, long, short = json.loads(done.stdout)
    assert parameters == list(inspect.signature(DynSys.make_trajectory).parameters)
    assert n_columns == 3
    assert lyapunov == pytest.approx(0.9056, rel=0.05)
    record = np.array(long)
    np.testing.assert_allclose(np.array(short), record[:31], atol=1e-7)
    own = Lorenz(rows=50, dt=dt, initial=tuple(record[0]), burn_in=0, beta=2.667).record()
    np.testing.assert_allclose(record, own, atol=1e-6)
