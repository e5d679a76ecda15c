"""The gate methods of Circuit, made from the op table, and the text of their type stub."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from numbers import Integral
from typing import Any

from qrnn_fast import _core

_ANGLE_NAMES = ("theta", "phi", "lam")
_QUBIT_NAMES = {1: ("qubit",), 2: ("qubit_0", "qubit_1")}


def _method(op: _core.OpInfo) -> Callable[..., Any]:
    if op.is_gate:

        def method(self: Any, *args: Any) -> Any:
            if len(args) != op.n_angles + op.n_qubits:
                raise TypeError(f"{op.name}({', '.join(_parameters(op))}) got {len(args)} arguments")
            return self.append(op.name, args[op.n_angles :], args[: op.n_angles])
    else:

        def method(self: Any, *args: Any) -> Any:
            if len(args) != 1:
                raise TypeError(f"{op.name}(qubits) takes one qubit or a list of them, got {len(args)} arguments")
            (qubits,) = args
            return self.append(op.name, [qubits] if isinstance(qubits, Integral) else qubits)

    method.__name__ = op.name
    method.__qualname__ = f"Circuit.{op.name}"
    method.__doc__ = f"{op.help} Returns the circuit itself."
    parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("self", *_parameters(op))]
    method.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return method


def _parameters(op: _core.OpInfo) -> tuple[str, ...]:
    if not op.is_gate:
        return ("qubits",)
    return _ANGLE_NAMES[: op.n_angles] + _QUBIT_NAMES[op.n_qubits]


class GateMethods:
    """One method for every op of the op table."""


for _op in _core.op_table():
    setattr(GateMethods, _op.name, _method(_op))


def stub() -> str:
    """The text of _gates.pyi."""
    lines = [
        "# Made from the op table by: from qrnn_fast._gates import stub; print(stub(), end='')",
        "from collections.abc import Sequence",
        "from typing import Self",
        "",
        "from qrnn_fast.circuit import Angle",
        "",
        "def stub() -> str: ...",
        "",
        "class GateMethods:",
    ]
    for op in _core.op_table():
        kinds = ["Angle | float"] * op.n_angles + ["int"] * op.n_qubits if op.is_gate else ["int | Sequence[int]"]
        arguments = ", ".join(f"{name}: {kind}" for name, kind in zip(_parameters(op), kinds, strict=True))
        lines.append(f"    def {op.name}(self, {arguments}, /) -> Self: ...")
    return "\n".join(lines) + "\n"
