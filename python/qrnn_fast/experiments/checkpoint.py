"""Checkpoints that are whole or not there."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from qrnn_fast.files import write_whole


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; one that stands there already is kept until the new one is whole and on disk."""
    write_whole(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path, keys: set[str]) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: the file.
        keys: the keys it must have.

    Raises:
        ValueError: no such file, one that is damaged, or one that is not such a checkpoint.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint; the run was stopped before its first one, so begin a new run")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # PyTorch writes sums of its records and does not look at them
        if damaged is not None:
            raise zipfile.BadZipFile(f"the sum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read as a checkpoint ({error})") from error
    if not isinstance(state, dict) or set(state) != keys:
        raise ValueError(f"{path}: is not a training checkpoint of this version, which has the keys {sorted(keys)}")
    return state
