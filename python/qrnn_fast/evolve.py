"""evolve: a circuit's outcome probabilities over time as a differentiable torch operation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qrnn_fast import operators
from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators import Adjoint, Estimator, Evaluation, resolve
from qrnn_fast.fallback import Noise, settle

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def evolve(
    circuit: Circuit,
    angles: Tensor,
    memory: Tensor | None = None,
    *,
    gradient: str | Estimator = "adjoint",
    shots: int | None = None,
    noise: Noise = None,
    generator: torch.Generator | None = None,
    backend: str | Backend = "auto",
    sequence_ids: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Apply a circuit step after step and return the outcome probabilities of every step.

    Differentiable once, by angles and, with the adjoint, by the initial memory; second derivatives raise. Works under
    `torch.vmap` and `torch.compile`. Non-finite angles make that sequence's outputs non-finite from that step on.

    Args:
        circuit: one time step.
        angles: (B, T, A) or (T, A), float32 or float64, radians, on the CPU or on a CUDA GPU, where the results will
            be; A is `circuit.n_angles`.
        memory: density matrix of the qubits `circuit.memory` before the first step, (B, 2^m, 2^m), or (2^m, 2^m)
            where `angles` is (T, A); complex64 for float32, complex128 for float64. Bit i of an index is qubit
            `circuit.memory[i]`. None means |0...0>. The map is linear in its Hermitian part. It must be finite,
            Hermitian and of trace 1; whether it is positive is for `check_memory` to tell, and on a GPU, where looking
            at its numbers would mean to wait for them, the rest as well.
        gradient: "adjoint", "parameter-shift", "spsa", "fdsa" (the last two over angles) or an estimator object.
        shots: number of samples per sequence, for backends that sample; None for exact probabilities.
        noise: of the circuit: what runs is `noise.apply(circuit)`. A qf.NoiseModel, or Qiskit Aer's, which is taken
            over by `NoiseModel.from_qiskit`. None for none.
        generator: source of the seed where something is drawn; None for torch's default generator.
        backend: "native" (the compiled engines), "auto" (the same, or Qiskit Aer with a warning where there is no room
            for the circuit or its noise is not known here), or a backend object, such as `qf.backends.Aer()`.
        sequence_ids: where something is drawn, (B,) int64, 0 <= id < 2^32, or without dimensions where `angles` is
            (T, A): what a sequence draws, its shots and SPSA's directions, is decided by the seed and its id, whatever
            else is in the batch. None for the row numbers.

    Returns:
        Probabilities (B, T, 2^r), bit i of an outcome's index being qubit `circuit.readout[i]`, and the memory after
        the last step, None where the backend cannot tell it; both without B where `angles` is (T, A).

    Raises:
        ValueError: a wrong shape or device, a memory that is no density matrix, an unknown gradient or backend, shots
            where the backend has none, noise that does not fit the circuit, ids where nothing is drawn, or a gradient
            that the estimator cannot give.
        TypeError: a wrong dtype or type of an argument.
    """
    check_tensors(circuit, angles, memory)
    check_shots(shots)
    call = _call(circuit, noise, backend, shots, gradient)
    if sequence_ids is not None:
        if not (call.is_sampled or call.estimator.draws):
            raise ValueError(
                "sequence_ids are for shots and for gradient='spsa', and this call draws nothing; leave them out"
            )
        check_ids(sequence_ids, angles.shape[:-2])
    if not torch.compiler.is_compiling():
        operators.refuse_other_derivatives(angles, memory)
    needs_gradient = torch.is_grad_enabled() and (angles.requires_grad or (memory is not None and memory.requires_grad))
    if needs_gradient:
        _check_gradient(call, memory)
    draws = call.is_sampled or (needs_gradient and call.estimator.draws)
    seed = draw_seed(generator) if draws else None
    if angles.dim() == 3:
        return operators.run(angles, memory, seed, sequence_ids, call.problem, needs_gradient)
    initial = None if memory is None else memory.unsqueeze(0)
    ids = None if sequence_ids is None else sequence_ids.unsqueeze(0)
    probs, final = operators.run(angles.unsqueeze(0), initial, seed, ids, call.problem, needs_gradient)
    return probs.squeeze(0), None if final is None else final.squeeze(0)


class _Call(NamedTuple):
    """What the arguments but the tensors mean."""

    problem: str
    estimator: Estimator
    evaluation: Evaluation
    is_sampled: bool


def _call(
    circuit: Circuit, noise: Noise, backend: str | Backend, shots: int | None, gradient: str | Estimator
) -> _Call:
    # A noise model can change, so that its content would have to be looked at.
    remembers = noise is None and not torch.compiler.is_compiling()
    key = gradient, shots, backend
    try:
        known: _Call | None = circuit.remembered.get(key) if remembers else None
    except TypeError:  # a list, say, which is refused below
        known, remembers = None, False
    if known is not None:
        return known
    estimator = resolve(gradient, "angles")
    if estimator.over_weights:
        raise ValueError(
            f"{estimator} perturbs an encoder's weights, which evolve does not know; use it in qf.QRNN, or set "
            "wrt='angles'"
        )
    evaluation = settle(circuit, noise, backend, shots)
    call = _Call(operators.describe(evaluation, estimator), estimator, evaluation, evaluation.is_sampled)
    if remembers:
        circuit.remembered[key] = call
    return call


def draw_seed(generator: torch.Generator | None) -> Tensor:
    """One int64 drawn from `generator` or, where None, from torch's default generator; a tensor without dimensions."""
    _check_generator(generator)
    return torch.randint(2**63 - 1, (), generator=generator, device="cpu")


def fork(generator: torch.Generator | None) -> torch.Generator:
    """A generator that draws what `generator` or, where None, torch's default generator would; that one stays."""
    _check_generator(generator)
    copy = torch.Generator()
    copy.set_state(torch.get_rng_state() if generator is None else generator.get_state())
    return copy


def _check_generator(generator: torch.Generator | None) -> None:
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {_kind(generator)}")


def check_tensors(circuit: Circuit, angles: Tensor, memory: Tensor | None) -> None:
    """Raise unless types, dtypes, devices and numbers of dimensions fit; what is left is for the backend to check."""
    if not isinstance(circuit, Circuit):
        raise TypeError(f"circuit must be a qf.Circuit, got {_kind(circuit)}")
    if not isinstance(angles, Tensor) or angles.dtype not in _COMPLEX:
        hint = " (inside torch.autocast, convert them with .float())" if isinstance(angles, Tensor) else ""
        raise TypeError(f"angles must be a float32 or float64 tensor{hint}, got {_kind(angles)}")
    if not angles.is_cpu and angles.device.type not in operators.NATIVE.devices:
        raise ValueError(f"angles must be on the CPU or on a CUDA GPU, got {angles.device}; use angles.cpu()")
    if angles.dim() not in (2, 3):
        raise ValueError(f"angles must have the shape (B, T, A) or (T, A), got {tuple(angles.shape)}")
    if memory is None:
        return
    if not isinstance(memory, Tensor) or memory.dtype != _COMPLEX[angles.dtype]:
        raise TypeError(
            f"memory must be a {_COMPLEX[angles.dtype]} tensor for {angles.dtype} angles, got {_kind(memory)}"
        )
    if memory.device != angles.device:
        raise ValueError(
            f"memory must be where the angles are, on {angles.device}, got {memory.device}; use "
            "memory.to(angles.device)"
        )
    if memory.dim() != angles.dim():
        expected = "(2^m, 2^m) for angles (T, A)" if angles.dim() == 2 else "(B, 2^m, 2^m) for angles (B, T, A)"
        raise ValueError(f"memory must have the shape {expected}, got {tuple(memory.shape)}")


def check_shots(shots: int | None) -> None:
    """Raise unless `shots` is None or a positive integer."""
    if shots is None:
        return
    if isinstance(shots, bool) or not isinstance(shots, int):
        raise TypeError(f"shots must be an integer or None, got {shots!r}")
    if shots < 1:
        raise ValueError(f"shots must be at least 1, got {shots}; None asks for exact probabilities")
    if shots >= 2**31:
        raise ValueError(f"shots must be below 2^31, got {shots}; average several calls, or take None, which is exact")


def check_ids(sequence_ids: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless ids have the shape of the batch; their values are for `check_id_range`, once they are known."""
    if not isinstance(sequence_ids, Tensor) or sequence_ids.dtype != torch.int64:
        raise TypeError(f"sequence_ids must be an int64 tensor or None, got {_kind(sequence_ids)}")
    if sequence_ids.shape != shape or sequence_ids.device.type != "cpu":
        raise ValueError(
            f"sequence_ids must have the shape {tuple(shape)} of the batch, on the CPU; got "
            f"{tuple(sequence_ids.shape)} on {sequence_ids.device}"
        )


def _check_gradient(call: _Call, memory: Tensor | None) -> None:
    if isinstance(call.estimator, Adjoint):
        call.estimator.check(call.evaluation)
    elif memory is not None and memory.requires_grad:
        raise ValueError(
            f"the initial memory requires a gradient, which {call.estimator.method!r} does not give; use "
            "gradient='adjoint' or memory.detach()"
        )


def _kind(value: object) -> str:
    return f"{value.dtype}" if isinstance(value, Tensor) else type(value).__name__
