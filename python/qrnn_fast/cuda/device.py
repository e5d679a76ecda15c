"""What the kernels' callers need of a device: a GPU through CUDA's driver (driver.py), or an emulated one in tests."""

from __future__ import annotations

import ctypes
from typing import Protocol


class Kernel(Protocol):
    """A compiled kernel. It takes one plain struct."""

    def launch(
        self, grid: int, threads: int, shared_bytes: int, argument: ctypes.Structure, *, cooperative: bool = False
    ) -> None:
        """Start `grid` blocks of `threads` threads without waiting for them.

        Args:
            grid: number of blocks.
            threads: of each block.
            shared_bytes: shared memory of each block.
            argument: handed over by value.
            cooperative: whether blocks wait for each other, so that all must be on the device at once.
        """


class Device(Protocol):
    """Where kernels run. Devices that compare equal are one."""

    n_multiprocessors: int
    shared_bytes: int
    """Shared memory that one block can have."""
    memory_budget: int
    """Bytes of device memory that one call may take for what it keeps."""

    def __hash__(self) -> int: ...

    def kernel(self, source: str, name: str) -> Kernel:
        """The kernel `name` of a source, compiled for this device; compiled once."""
