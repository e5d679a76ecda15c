"""Outcomes, shot by shot."""

from __future__ import annotations

import torch
from torch import Tensor

from qrnn_fast.backends.base import Backend
from qrnn_fast.backends.native import Native
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators.base import check_id_range
from qrnn_fast.evolve import check_ids, check_shots, check_tensors, draw_seed
from qrnn_fast.fallback import Noise, settle


def sample(
    circuit: Circuit,
    angles: Tensor,
    shots: int,
    memory: Tensor | None = None,
    *,
    noise: Noise = None,
    generator: torch.Generator | None = None,
    sequence_ids: Tensor | None = None,
    backend: str | Backend = "auto",
) -> Tensor:
    """Draw outcomes as hardware would: every shot goes through all steps, measured and reset in each.

    `evolve` with shots returns the frequencies of what this draws from the same generator state. Nothing here is
    differentiable.

    Args:
        circuit: one time step.
        angles: (B, T, A) or (T, A), float32 or float64, radians, finite.
        shots: number of samples per sequence.
        memory: density matrix before the first step, as of `evolve`; each shot starts in one of its eigenvectors.
        noise: of the circuit, as of `evolve`; None for none.
        generator: source of the seed; None for torch's default generator.
        sequence_ids: (B,) int64, 0 <= id < 2^32, or without dimensions where `angles` is (T, A): what a sequence draws
            is decided by the seed and its id. None for the row numbers.
        backend: "auto", "native" or a `qf.backends.Native`.

    Returns:
        (B, shots, T) int32, or (shots, T): outcomes, of which bit i is qubit `circuit.readout[i]`.

    Raises:
        ValueError: a wrong shape, an angle that is not finite, a memory that is no density matrix, or a backend that
            tells frequencies alone.
        TypeError: a wrong dtype or type of an argument.
    """
    check_tensors(circuit, angles, memory)
    check_shots(shots)
    if shots is None:
        raise TypeError("shots must be an integer, got None")
    # Aer would not tell single shots: where there is no room, the native backend says so.
    circuit, engine, _ = settle(circuit, noise, "native" if backend == "auto" else backend, shots)
    if not isinstance(engine, Native):
        raise ValueError(
            f"backend {engine.name!r} tells frequencies alone; use backend='native', or qf.evolve with shots"
        )
    if sequence_ids is not None:
        check_ids(sequence_ids, angles.shape[:-2])
        check_id_range(sequence_ids)
    seed = int(draw_seed(generator))
    single = angles.dim() == 2
    if single:
        angles = angles.unsqueeze(0)
        memory = None if memory is None else memory.unsqueeze(0)
        sequence_ids = None if sequence_ids is None else sequence_ids.unsqueeze(0)
    outcomes = engine.sample(circuit, angles.detach(), memory, shots=shots, seed=seed, sequence_ids=sequence_ids)
    return outcomes.squeeze(0) if single else outcomes
