"""Where circuits run: `Native` (the compiled engines), `Aer` (Qiskit's simulator), `Runtime` (quantum processors)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qrnn_fast.backends.base import Backend
from qrnn_fast.backends.native import Native

if TYPE_CHECKING:
    from qrnn_fast.backends.aer import Aer
    from qrnn_fast.backends.runtime import Runtime

__all__ = ["Aer", "Backend", "Native", "Runtime"]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: few need them.
    if name == "Aer":
        from qrnn_fast.backends.aer import Aer

        return Aer
    if name == "Runtime":
        from qrnn_fast.backends.runtime import Runtime

        return Runtime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
