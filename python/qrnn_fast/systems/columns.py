"""Columns of a record, chosen by a line of text."""

from __future__ import annotations

import re
from collections import Counter

GRAMMAR = (
    "column numbers, counted from 0, or ranges as of Python (first:stop, first:stop:step, : for all), separated by "
    "commas, such as 0 or 1,2 or 0:64:8"
)

_NUMBER = re.compile(r"\d+")
_RANGE = re.compile(r"(\d*):(\d*)(?::(\d*))?")


def parse_columns(name: str, text: str) -> tuple[slice, ...]:
    """The parts of a text such as ``0:64:8,3``; a single column is a range of one.

    Args:
        name: what the text chooses, for the message.
        text: of the form of `GRAMMAR`.

    Raises:
        ValueError: text of another form.
    """
    return tuple(_part(name, text, part.strip()) for part in text.split(","))


def column_numbers(name: str, text: str, n_columns: int) -> tuple[int, ...]:
    """The columns that a text chooses, in its order.

    Args:
        name: what the text chooses, for the message.
        text: of the form of `GRAMMAR`.
        n_columns: number of columns of the record.

    Raises:
        ValueError: text of another form, a column that the record does not have, one given twice, or none.
    """
    numbers: list[int] = []
    for part in parse_columns(name, text):
        numbers += range(part.start or 0, n_columns if part.stop is None else part.stop, part.step or 1)
    if not numbers:
        raise ValueError(f"{name} must choose a column at least; {text!r} chooses none of {n_columns}")
    if max(numbers) >= n_columns:
        raise ValueError(
            f"{name} must choose columns of the record, which has {n_columns} (0 to {n_columns - 1}); {text!r} "
            f"chooses column {max(numbers)}"
        )
    number, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{name} must choose each column once; {text!r} chooses column {number} {times} times")
    return tuple(numbers)


def _part(name: str, text: str, part: str) -> slice:
    if _NUMBER.fullmatch(part):
        return slice(int(part), int(part) + 1)
    match = _RANGE.fullmatch(part)
    if match is None:
        raise ValueError(f"{name} must be {GRAMMAR}; got {text!r}")
    first, stop, step = (int(number) if number else None for number in match.groups())
    if step == 0:
        raise ValueError(f"{name} must have a step of at least 1; got {text!r}")
    return slice(first, stop, step)
