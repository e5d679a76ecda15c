"""What every backend can do: angles in, outcome probabilities out."""

from __future__ import annotations

from typing import Protocol, overload, runtime_checkable

from torch import Tensor

from qrnn_fast.circuit import Circuit


@runtime_checkable
class Backend(Protocol):
    """Where and how circuits run. Gradients are not its business.

    A backend with an attribute `one_call_per_update` that is true is called once for an update where that is possible:
    with the forward pass and all perturbed copies of the gradient that will follow. For backends whose calls wait in a
    queue. An attribute `devices`, ("cpu",) where there is none, names the types of torch devices that it computes on.
    """

    @property
    def name(self) -> str:
        """A short name for messages."""

    def run(
        self,
        circuit: Circuit,
        angles: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None,
        seed: int,
        sequence_ids: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Run a batch of sequences.

        Args:
            circuit: one time step.
            angles: (B, T, A) float32 or float64, radians, without a graph.
            memory: (B, 2^m, 2^m) complex64 or complex128 of the qubits `circuit.memory`, or None for |0...0>.
            shots: samples per sequence; None for exact probabilities, or for the backend's own number of shots.
            seed: where all random numbers of this call start.
            sequence_ids: (B,) int64, 0 <= id < 2^32, not necessarily distinct; None for 0, 1, ..., B - 1. What a
                sequence draws is decided by the seed and its id, not by the rest of the batch or its order. Without
                shots they mean nothing.

        Returns:
            Probabilities or frequencies (B, T, 2^r) in the dtype of the angles, and the memory after the last step,
            None where the backend cannot tell it.
        """


@overload
def plain(tensor: Tensor) -> Tensor: ...
@overload
def plain(tensor: None) -> None: ...


def plain(tensor: Tensor | None) -> Tensor | None:
    """A tensor as engines read it, by its address: no gaps, and no marks by which PyTorch conjugates and negates."""
    return None if tensor is None else tensor.resolve_conj().resolve_neg().contiguous()
