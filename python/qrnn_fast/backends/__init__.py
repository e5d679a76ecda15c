"""Where circuits run: `Native` (the compiled engines) and `Aer` (Qiskit's simulator)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qrnn_fast.backends.base import Backend
from qrnn_fast.backends.native import Native

if TYPE_CHECKING:
    from qrnn_fast.backends.aer import Aer

__all__ = ["Aer", "Backend", "Native"]


def __getattr__(name: str) -> Any:
    # Qiskit takes a second to import; it is loaded when first asked for.
    if name == "Aer":
        from qrnn_fast.backends.aer import Aer

        return Aer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
