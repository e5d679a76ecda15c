"""The native backend: exact probabilities and gradients from the compiled engines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.circuit import Circuit

ENGINES = ("auto", "pauli", "factor")


@dataclass(frozen=True)
class Native:
    """The compiled engines on the CPU; exact, for any number of sequences at once.

    Args:
        threads: number of threads; None follows `torch.get_num_threads()`. Results do not depend on it.
        engine: "auto" for the one that is estimated to be faster (`Circuit.plan` tells), "pauli" (Pauli coefficients of
            the memory, for circuits whose readout qubits live shortly), or "factor" (columns of amplitudes, for those
            that keep all qubits). They agree to rounding.

    Raises:
        ValueError: `threads` is below 1, or the engine is unknown.
        TypeError: `threads` is neither None nor an integer.
    """

    threads: int | None = None
    engine: str = "auto"
    name: ClassVar[str] = "native"

    def __post_init__(self) -> None:
        if self.threads is not None and (isinstance(self.threads, bool) or not isinstance(self.threads, int)):
            raise TypeError(f"threads must be None or an integer, got {self.threads!r}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}; None follows torch.get_num_threads()")
        if self.engine not in ENGINES:
            raise ValueError(f"unknown engine {self.engine!r}; accepted: {', '.join(map(repr, ENGINES))}")

    def run(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None = None,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Outcome probabilities and final memory.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians.
            memory: (B, 2^m, 2^m) complex64 or complex128, or None for |0...0>.
            shots: None; this backend does not sample.
            seed: not used, since nothing is drawn.
            sequence_ids: not used either.

        Returns:
            Probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m).

        Raises:
            ValueError: shots were asked for, a wrong shape, a memory that is no density matrix, or a circuit that
                needs too much memory.
            TypeError: the dtypes do not fit together.
        """
        if shots is not None:
            raise ValueError(
                f"the native backend computes exact probabilities, got shots={shots}; to sample, use "
                f"backend=qf.backends.Aer(shots={shots})"
            )
        probs, final = _core.forward(_plan(circuit, self.engine), _array(angles), _pairs(memory), self._n_threads())
        return torch.from_numpy(probs), _memory(final)

    def vjp(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        grad_probs: Tensor,
        grad_memory: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Vector-Jacobian product of `run` by the adjoint method.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians.
            memory: as handed to `run`.
            grad_probs: (B, T, 2^r), gradient of a real function of the outputs by the probabilities.
            grad_memory: (B, 2^m, 2^m) complex, its gradient by the final memory (d/dRe + i d/dIm); None for zero.

        Returns:
            Its gradients by the angles (B, T, A) and by the initial memory (B, 2^m, 2^m).
        """
        grad_angles, grad_initial = _core.backward(
            _plan(circuit, self.engine),
            _array(angles),
            _pairs(memory),
            _array(grad_probs),
            _pairs(grad_memory),
            self._n_threads(),
        )
        return torch.from_numpy(grad_angles), _memory(grad_initial)

    def _n_threads(self) -> int:
        return torch.get_num_threads() if self.threads is None else self.threads


def _plan(circuit: Circuit, engine: str) -> _core.Plan:
    return _compile(circuit.to_string(), engine)


@lru_cache(maxsize=128)
def _compile(text: str, engine: str) -> _core.Plan:
    return _core.Plan(Circuit.from_string(text)._core, engine)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def _pairs(memory: Tensor | None) -> Any:
    return None if memory is None else _array(torch.view_as_real(memory.resolve_conj()))


def _memory(pairs: Any) -> Tensor:
    tensor = torch.from_numpy(pairs)
    if tensor.numel() == 0:  # its strides are zero, which view_as_complex does not take
        tensor = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    return torch.view_as_complex(tensor)
