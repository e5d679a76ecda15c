"""What the benchmarks share: one thread, medians, and where the figures go.

`make bench` prints the table; `pytest bench --benchmark-json=FILE` stores it. Times are shared machines' times: read
them as ratios within one run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def median_of(benchmark: Any) -> Callable[..., float]:
    """Run a function under pytest-benchmark and return the median in seconds."""

    def measure(function: Callable[[], Any], rounds: int = 30, **info: Any) -> float:
        benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=2)
        benchmark.extra_info.update(info)
        return float(benchmark.stats.stats.median)

    return measure
