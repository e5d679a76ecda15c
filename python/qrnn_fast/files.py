"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file; one that stands there already is kept until the new one is whole and on disk.

    Args:
        path: the file.
        write: writes the content.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")  # another process may be writing the same file
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # what an error has left
    sync_folder(path.parent)  # the new name, too, must survive a power failure


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON; a reader sees the whole file or none."""
    text = json.dumps(value, indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
