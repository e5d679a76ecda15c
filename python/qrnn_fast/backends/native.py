"""The native backend: exact probabilities and gradients, or samples, from the compiled engines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.backends import gpu
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.trajectory import marginal_frequencies, marginal_outcomes
from qrnn_fast.memory import check_memory, eigenstates
from qrnn_fast.readout import Confusion, confuse, confusions

_COMPLEX = {"f": np.complex64, "d": np.complex128}

ENGINES = ("auto", "pauli", "factor")
SAMPLINGS = ("trajectories", "marginal")


@dataclass(frozen=True)
class Native:
    """The compiled engines, for any number of sequences at once: exact, or sampled where shots are given.

    They run where the angles are, on the CPU or on a CUDA GPU. There they are compiled for the circuit on first use,
    which takes seconds; the result is kept on disk.

    Random numbers are Philox4x32-10 blocks with the seed as key and (sequence id, shot, step, draw) as counter: the
    same seed gives the same outcomes for any number of threads and whatever else is in the batch. Between instruction
    sets or precisions a shot may differ, from that step on, where a number falls within rounding of its threshold.

    Args:
        threads: number of threads on the CPU; None follows `torch.get_num_threads()`. Results do not depend on it.
        engine: "auto" for the one that is estimated to be faster (`Circuit.plan` tells), "pauli" (Pauli coefficients of
            the memory, for circuits whose readout qubits live shortly), or "factor" (columns of amplitudes, for those
            that keep all qubits). They agree to rounding; with shots it matters to "marginal" alone.
        sampling: with shots, "trajectories" runs every shot as hardware would, its outcomes of all steps belonging
            together; "marginal" draws each step by itself from the exact probabilities, which is cheaper and knows no
            correlation between steps (the final memory is then the exact one).

    Raises:
        ValueError: `threads` is below 1 or above 1024, or the engine or the sampling is unknown.
        TypeError: `threads` is neither None nor an integer.
    """

    threads: int | None = None
    engine: str = "auto"
    sampling: str = "trajectories"
    name: ClassVar[str] = "native"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __post_init__(self) -> None:
        if self.threads is not None and (isinstance(self.threads, bool) or not isinstance(self.threads, int)):
            raise TypeError(f"threads must be None or an integer, got {self.threads!r}")
        if self.threads is not None and not 1 <= self.threads <= _core.max_threads:
            raise ValueError(
                f"threads must lie in 1..{_core.max_threads}, got {self.threads}; None follows torch.get_num_threads()"
            )
        if self.engine not in ENGINES:
            raise ValueError(f"unknown engine {self.engine!r}; accepted: {', '.join(map(repr, ENGINES))}")
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"unknown sampling {self.sampling!r}; accepted: {', '.join(map(repr, SAMPLINGS))}")

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
        """Outcome probabilities and final memory, or what shots tell of them.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians.
            memory: (B, 2^m, 2^m) complex64 or complex128, or None for |0...0>. With shots each one starts in one of its
                eigenvectors.
            shots: samples per sequence; None for exact probabilities.
            seed: where all random numbers of this call start; without shots none are drawn.
            sequence_ids: (B,) int64, 0 <= id < 2^32; None for the rows. What a sequence draws is decided by the seed
                and its id.

        Returns:
            Probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m); with shots the frequencies of the outcomes, and
            the memory averaged over the shots.

        Raises:
            ValueError: a wrong shape, a memory that is no density matrix, or a circuit that needs too much memory.
            TypeError: the dtypes do not fit together.
        """
        if (device := gpu.device_of(angles)) is not None:
            if shots is not None and self.sampling == "trajectories":
                return gpu.run_shots(device, circuit, angles, memory, shots, seed, sequence_ids)
            exact, last = gpu.run(device, self.engine, circuit, angles, memory)
            if shots is None:
                return exact, last
            there = gpu.ids_on(angles.device, sequence_ids, len(angles))
            return marginal_frequencies(device, exact, there, seed=seed, shots=shots), last
        if shots is not None and self.sampling == "trajectories":
            ids, plan = _ids(sequence_ids, len(angles)), _compile_sampling(circuit.to_string())
            states, weights = _initial(memory)
            frequencies, final = _core.sample(
                plan, _array(angles), states, weights, ids, seed, shots, self._n_threads(), averages=True
            )
            return torch.from_numpy(frequencies), _memory(final)
        compiled = _compile(circuit.to_string(), self.engine)
        probs, final = _core.forward(compiled.plan, _array(angles), _pairs(memory), self._n_threads())
        told = confuse(torch.from_numpy(probs), compiled.confusions)
        if shots is not None:
            ids = _ids(sequence_ids, len(angles))
            told = torch.from_numpy(
                _core.sample_steps(_array(told), ids, seed, shots, self._n_threads(), averages=True)
            )
        return told, _memory(final)

    def refusal(self, circuit: Circuit, shots: int | None) -> str:
        """Why there is no room for a sequence of this circuit on one thread; empty where there is."""
        text, no_steps = circuit.to_string(), np.zeros((1, 0, circuit.n_angles))
        try:
            if shots is not None and self.sampling == "trajectories":
                ids = np.zeros(1, np.uint32)
                _core.sample(_compile_sampling(text), no_steps, None, None, ids, 0, shots, 1, averages=True)
            else:
                _core.forward(_compile(text, self.engine).plan, no_steps, None, 1)
        except ValueError as error:
            return str(error)
        return ""

    def sample(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        *,
        shots: int,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
    ) -> Tensor:
        """The outcomes whose frequencies `run` tells: (B, shots, T) int32; arguments and errors as there.

        Raises:
            ValueError: moreover, an angle that is not finite.
        """
        if not angles.isfinite().all():
            raise ValueError("outcomes cannot be drawn: an angle is not finite")
        if (device := gpu.device_of(angles)) is not None:
            if self.sampling == "trajectories":
                return gpu.sample_shots(device, circuit, angles, memory, shots, seed, sequence_ids)
            probs, _ = gpu.run(device, self.engine, circuit, angles, memory)
            ids = gpu.ids_on(angles.device, sequence_ids, len(angles))
            return marginal_outcomes(device, probs, ids, seed=seed, shots=shots)
        ids = _ids(sequence_ids, len(angles))
        if self.sampling == "trajectories":
            plan, (states, weights) = _compile_sampling(circuit.to_string()), _initial(memory)
            return torch.from_numpy(
                _core.sample(plan, _array(angles), states, weights, ids, seed, shots, self._n_threads(), averages=False)
            )
        probs, _ = self.run(circuit, angles, memory)
        return torch.from_numpy(_core.sample_steps(_array(probs), ids, seed, shots, self._n_threads(), averages=False))

    def vjp(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        grad_probs: Tensor,
        grad_memory: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Vector-Jacobian product of `run` by the adjoint method.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians.
            memory: as handed to `run`.
            grad_probs: (B, T, 2^r), gradient of a real function of the outputs by the probabilities.
            grad_memory: (B, 2^m, 2^m) complex, its gradient by the final memory (d/dRe + i d/dIm); None for zero.

        Returns:
            Its gradients by the angles (B, T, A) and, where one is given, by the initial memory (B, 2^m, 2^m).
        """
        if (device := gpu.device_of(angles)) is not None:
            return gpu.vjp(device, self.engine, circuit, angles, memory, grad_probs, grad_memory)
        compiled = _compile(circuit.to_string(), self.engine)
        grad_angles, grad_initial = _core.backward(
            compiled.plan,
            _array(angles),
            _pairs(memory),
            _array(confuse(grad_probs, compiled.confusions, transposed=True)),
            _pairs(grad_memory),
            self._n_threads(),
        )
        return torch.from_numpy(grad_angles), None if memory is None else _memory(grad_initial)

    def _n_threads(self) -> int:
        return torch.get_num_threads() if self.threads is None else self.threads


class _Compiled(NamedTuple):
    plan: _core.Plan
    confusions: list[Confusion]


@lru_cache(maxsize=128)
def _compile(text: str, engine: str) -> _Compiled:
    circuit = Circuit.from_string(text)
    return _Compiled(_core.Plan(circuit._core, engine), confusions(circuit))


@lru_cache(maxsize=128)
def _compile_sampling(text: str) -> _core.TrajectoryPlan:
    return _core.TrajectoryPlan(Circuit.from_string(text)._core)


def _initial(memory: Tensor | None) -> tuple[Any, Any]:
    """Eigenstates as (real, imaginary) pairs and cumulative weights; None and None for |0...0>."""
    if memory is None:
        return None, None
    check_memory(memory)
    states, weights = eigenstates(memory)
    return _pairs(states), _array(weights)


def _ids(sequence_ids: Tensor | None, n: int) -> Any:
    return np.arange(n, dtype=np.uint32) if sequence_ids is None else sequence_ids.numpy().astype(np.uint32)


# These are called for every short sequence: they make as few calls of torch as will do.
def _array(tensor: Tensor) -> Any:
    if torch.is_grad_enabled() and tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.contiguous().numpy()


def _pairs(memory: Tensor | None) -> Any:
    return None if memory is None else _array(torch.view_as_real(memory.resolve_conj()))


def _memory(pairs: Any) -> Tensor:
    return torch.from_numpy(pairs.view(_COMPLEX[pairs.dtype.char])[..., 0])
