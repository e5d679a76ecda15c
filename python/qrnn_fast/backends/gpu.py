"""What the native backend does where the angles are on a GPU."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from qrnn_fast import _core
from qrnn_fast.backends.base import plain
from qrnn_fast.circuit import Circuit
from qrnn_fast.cuda.device import Device
from qrnn_fast.cuda.exact import ExactEngine
from qrnn_fast.cuda.factor import FactorEngine
from qrnn_fast.cuda.pauli import PauliEngine
from qrnn_fast.cuda.trajectory import TrajectoryEngine
from qrnn_fast.memory import eigenstates
from qrnn_fast.readout import Confusion, confuse, confusions


def device_of(angles: Tensor) -> Device | None:
    """The GPU that a tensor is on, None for the CPU."""
    if not angles.is_cuda:
        return None
    from qrnn_fast.cuda.driver import gpu

    return gpu(angles.device.index)


def run(device: Device, engine: str, circuit: Circuit, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
    """Exact probabilities and final memory; as `Native.run` without shots.

    Nothing is copied to the host, and nothing waits for the device. So of a memory the shape alone is checked: whether
    it is a density matrix is for `check_memory` to tell.
    """
    _check("angles", angles, (None, None, circuit.n_angles))
    probs, final = _exact_engine(circuit.to_string(), engine, device).run(
        _plain(angles), _pairs(circuit, angles, "memory", memory)
    )
    return confuse(probs, _confusions(circuit.to_string(), probs.device)), torch.view_as_complex(final)


def run_shots(
    device: Device,
    circuit: Circuit,
    angles: Tensor,
    memory: Tensor | None,
    shots: int,
    seed: int,
    sequence_ids: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Frequencies and final memory of trajectories; as `Native.run` with shots.

    Shots begin in eigenvectors of an initial memory, for which torch waits for the device once; whether it is a density
    matrix is for `check_memory` to tell, as in `run`.
    """
    engine, arguments = _trajectories(device, circuit, angles, memory, sequence_ids)
    frequencies, final = engine.run(*arguments, seed=seed, shots=shots)
    return frequencies, torch.view_as_complex(final)


def sample_shots(
    device: Device,
    circuit: Circuit,
    angles: Tensor,
    memory: Tensor | None,
    shots: int,
    seed: int,
    sequence_ids: Tensor | None,
) -> Tensor:
    """Outcomes of trajectories; as `Native.sample`."""
    engine, arguments = _trajectories(device, circuit, angles, memory, sequence_ids)
    return engine.sample(*arguments, seed=seed, shots=shots)


def ids_on(device: torch.device, sequence_ids: Tensor | None, n_sequences: int) -> Tensor:
    """(B,) int64 on the device; the rows' numbers where None."""
    return torch.arange(n_sequences, device=device) if sequence_ids is None else sequence_ids.to(device).contiguous()


def vjp(
    device: Device,
    engine: str,
    circuit: Circuit,
    angles: Tensor,
    memory: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Vector-Jacobian product of `run`; as `Native.vjp`."""
    _check("grad_probs", grad_probs, (*angles.shape[:2], 2 ** len(circuit.readout)))
    grad_angles, grad_initial = _exact_engine(circuit.to_string(), engine, device).vjp(
        _plain(angles),
        _pairs(circuit, angles, "memory", memory),
        _plain(confuse(grad_probs, _confusions(circuit.to_string(), grad_probs.device), transposed=True)),
        _pairs(circuit, angles, "grad_memory", grad_memory),
    )
    return grad_angles, torch.view_as_complex(grad_initial)


def _trajectories(
    device: Device, circuit: Circuit, angles: Tensor, memory: Tensor | None, sequence_ids: Tensor | None
) -> tuple[TrajectoryEngine, tuple[Tensor, Tensor | None, Tensor | None, Tensor]]:
    _check("angles", angles, (None, None, circuit.n_angles))
    initial = weights = None
    if memory is not None:
        _pairs(circuit, angles, "memory", memory)
        states, weights = eigenstates(memory)
        initial = _plain(torch.view_as_real(states.resolve_conj()))
    ids = ids_on(angles.device, sequence_ids, len(angles))
    return _trajectory_engine(circuit.to_string(), device), (_plain(angles), initial, weights, ids)


@lru_cache(maxsize=128)
def _trajectory_engine(text: str, device: Device) -> TrajectoryEngine:
    return TrajectoryEngine(Circuit.from_string(text), device)


@lru_cache(maxsize=128)
def _exact_engine(text: str, engine: str, device: Device) -> ExactEngine:
    circuit = Circuit.from_string(text)
    chosen = _core.Plan(circuit._core, engine).engine
    return PauliEngine(circuit, device) if chosen == "pauli" else FactorEngine(circuit, device)


@lru_cache(maxsize=128)
def _confusions(text: str, device: torch.device) -> list[Confusion]:
    """The readout errors, on the device: to copy them there in every call would wait for it."""
    return [(bits, matrix.to(device)) for bits, matrix in confusions(Circuit.from_string(text))]


def _plain(tensor: Tensor) -> Tensor:
    """A tensor as kernels read it, which stays as it is whatever the caller does to theirs."""
    return plain(tensor.detach())


def _pairs(circuit: Circuit, angles: Tensor, name: str, memory: Tensor | None) -> Tensor | None:
    if memory is None:
        return None
    dim = 2 ** len(circuit.memory)
    _check(name, memory, (len(angles), dim, dim))
    return _plain(torch.view_as_real(memory.resolve_conj()))


def _check(name: str, tensor: Tensor, expected: tuple[int | None, ...]) -> None:
    fits = len(expected) == tensor.dim() and all(
        n in (None, given) for n, given in zip(expected, tensor.shape, strict=True)
    )
    if not fits:
        letters = iter("BT")
        shape = ", ".join(next(letters) if n is None else str(n) for n in expected)
        raise ValueError(f"{name} must have the shape ({shape}), got {tuple(tensor.shape)}")
