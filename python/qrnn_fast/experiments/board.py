"""What a run logs, as scalars for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from qrnn_fast.experiments.log import Log

_OF_UPDATES = ("loss", "lr", "gradient_norm", "qpu_seconds")


def require_tensorboard() -> ModuleType:
    """PyTorch's module that writes for TensorBoard.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    try:
        from torch.utils import tensorboard
    except ModuleNotFoundError as error:
        raise ImportError(
            f"--tensorboard needs {error.name}, which is not installed: pip install 'qrnn_fast[tensorboard]'"
        ) from error
    return tensorboard


class Board(Log):
    """Event files of TensorBoard: of updates the loss and what else changes, of validations the errors.

    Args:
        folder: for the event files.
        first: number of the next update; what earlier files in the folder say of it and later ones is not shown.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._writer = require_tensorboard().SummaryWriter(str(folder), purge_step=first)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def update(self, record: dict[str, Any]) -> None:
        for name in _OF_UPDATES:
            if record.get(name) is not None:
                self._writer.add_scalar(f"training/{name}", record[name], record["update"])

    def epoch(self, record: dict[str, Any]) -> None:
        for protocol, errors in record.items():
            if isinstance(errors, dict):
                self._writer.add_scalar(f"RMSE/{protocol}", errors["mean"], record["update"])

    def sync(self) -> None:
        self._writer.flush()
