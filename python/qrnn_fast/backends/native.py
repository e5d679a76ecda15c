"""The native backend: exact probabilities and gradients, or samples, from the compiled engines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.backends import gpu
from qrnn_fast.backends.base import plain
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.trajectory import marginal_frequencies, marginal_outcomes
from qrnn_fast.memory import check_memory, eigenstates
from qrnn_fast.readout import Confusion, confuse, confusions

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
            return _core.sample(
                *_sampling(circuit, angles, memory, sequence_ids), seed, shots, self._n_threads(), averages=True
            )
        text = circuit.to_string()
        probs, final = _core.forward(_plan(text, self.engine), plain(angles), plain(memory), self._n_threads())
        told = confuse(probs, _confusions(text))
        if shots is not None:
            drawn_by = plain(sequence_ids), seed, shots, self._n_threads()
            told = _core.sample_steps(plain(told), *drawn_by, averages=True)
        return told, final

    def refusal(self, circuit: Circuit, shots: int | None) -> str:
        """Why there is no room for a sequence of this circuit on one thread; empty where there is."""
        # Without tensors: this is also asked under transforms of torch.func, where a new one would be wrapped.
        try:
            if shots is not None and self.sampling == "trajectories":
                _sampling_plan(circuit.to_string()).check_room(shots)
            else:
                _plan(circuit.to_string(), self.engine).check_room()
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
        if self.sampling == "trajectories":
            return _core.sample(
                *_sampling(circuit, angles, memory, sequence_ids), seed, shots, self._n_threads(), averages=False
            )
        probs, _ = self.run(circuit, angles, memory)
        drawn_by = plain(sequence_ids), seed, shots, self._n_threads()
        return _core.sample_steps(plain(probs), *drawn_by, averages=False)

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
        text = circuit.to_string()
        grad_angles, grad_initial = _core.backward(
            _plan(text, self.engine),
            plain(angles),
            plain(memory),
            plain(confuse(grad_probs, _confusions(text), transposed=True)),
            plain(grad_memory),
            self._n_threads(),
        )
        return grad_angles, None if memory is None else grad_initial

    def _n_threads(self) -> int:
        return torch.get_num_threads() if self.threads is None else self.threads


@lru_cache(maxsize=128)
def _plan(text: str, engine: str) -> _core.Plan:
    return _core.Plan(Circuit.from_string(text)._core, engine)


@lru_cache(maxsize=128)
def _confusions(text: str) -> list[Confusion]:
    return confusions(Circuit.from_string(text))


@lru_cache(maxsize=128)
def _sampling_plan(text: str) -> _core.TrajectoryPlan:
    return _core.TrajectoryPlan(Circuit.from_string(text)._core)


def _sampling(
    circuit: Circuit, angles: Tensor, memory: Tensor | None, sequence_ids: Tensor | None
) -> tuple[_core.TrajectoryPlan, Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """What `_core.sample` takes first: plan, angles, initial states with their cumulative weights, ids."""
    states = weights = None
    if memory is not None:
        check_memory(memory)
        states, weights = map(plain, eigenstates(memory))
    return _sampling_plan(circuit.to_string()), plain(angles), states, weights, plain(sequence_ids)
