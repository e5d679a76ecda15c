"""Logs of one JSON object a line."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from qrnn_fast.files import write_whole


class Log(ABC):
    """Keeps the records of a run; a context, closed behind it."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def update(self, record: dict[str, Any]) -> None:
        """Append the record of an update."""

    @abstractmethod
    def epoch(self, record: dict[str, Any]) -> None:
        """Append the record of a validation."""

    @abstractmethod
    def sync(self) -> None:
        """Bring all records to disk."""


class LineLog(Log):
    """Two files, opened to go on where they end: one line for each update and one for each validation.

    Args:
        updates: file of the updates.
        epochs: file of the validations.
    """

    def __init__(self, updates: Path, epochs: Path) -> None:
        self._updates, self._epochs = (path.open("a", encoding="utf-8") for path in (updates, epochs))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._updates.close()
        self._epochs.close()

    def update(self, record: dict[str, Any]) -> None:
        _append_line(self._updates, record)

    def epoch(self, record: dict[str, Any]) -> None:
        _append_line(self._epochs, record)

    def sync(self) -> None:
        for file in (self._updates, self._epochs):
            file.flush()
            os.fsync(file.fileno())


def _append_line(file: TextIO, record: dict[str, Any]) -> None:
    file.write(json.dumps(record) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a log.

    Raises:
        ValueError: no such file, or a line that is not whole.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a log of one JSON object a line ({error})") from error


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Keep the records that are wanted, from the first one on, and drop the rest, a torn last line included.

    A file that does not exist is left alone.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if not line.endswith("\n") or not wanted(record):
            break
        kept.append(line)
    write_whole(path, lambda file: file.write("".join(kept).encode()))
