"""Medians outside of pytest-benchmark, for what is compared within one test."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def seconds(function: Callable[[], Any], rounds: int = 20, warmup: int = 2) -> float:
    """Median time of a call."""
    for _ in range(warmup):
        function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_blocks(functions: list[Callable[[], Any]], calls: int = 200, rounds: int = 15) -> list[float]:
    """Median time of each function, in loops of its own that take turns.

    For what depends on the cache as it does in a loop, on a machine that speeds up or slows down.
    """
    medians = [[seconds(function, calls, warmup=20) for function in functions] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*medians, strict=True)]


def interleaved(functions: list[Callable[[], Any]], rounds: int = 20) -> list[float]:
    """Median time of each function, called in turn, so that a machine that speeds up or slows down does so for all."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, list_ in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            list_.append(time.perf_counter() - start)
    return [statistics.median(list_) for list_ in times]
