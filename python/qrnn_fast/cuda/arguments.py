"""What a kernel is handed: one plain struct of integers and addresses of arrays."""

from __future__ import annotations

import ctypes
from typing import Any, Self

import torch
from torch import Tensor

REALS = {torch.float32: "float", torch.float64: "double"}
"""The precisions as device code names them."""


class Arguments(ctypes.Structure):
    """Base of the structs. A subclass has the `fields` of the one in csrc/cuda that it stands for, in their order."""

    @classmethod
    def of(cls, **values: int | Tensor | None) -> Self:
        """A struct with these fields, the others zero or null.

        Args:
            values: integers; or contiguous tensors on the device, which live as long as the struct.

        Raises:
            ValueError: a tensor is not contiguous.
        """
        for name, value in values.items():
            if isinstance(value, Tensor) and not value.is_contiguous():
                raise ValueError(f"{name} must be contiguous, got strides {value.stride()}; use {name}.contiguous()")
        struct = cls(
            **{name: value.data_ptr() if isinstance(value, Tensor) else value for name, value in values.items()}
        )
        struct._held = values
        return struct


def fields(integers: str, arrays: str) -> list[tuple[str, Any]]:
    """`_fields_` of a subclass of `Arguments`, integers first, from names with spaces between them."""
    return [
        *((name, ctypes.c_int64) for name in integers.split()),
        *((name, ctypes.c_void_p) for name in arrays.split()),
    ]
