"""Logs of one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


def append_line(file: TextIO, record: dict[str, Any]) -> None:
    """Append a record."""
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
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)
