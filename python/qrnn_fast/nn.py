"""Quantum recurrent layers with the conventions of torch.nn."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol, overload

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from qrnn_fast import cells
from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.encoding import encode
from qrnn_fast.estimators import Estimator, Evaluation, Perturbation, resolve
from qrnn_fast.evolve import check_ids, check_shots, draw_seed, evolve, fork
from qrnn_fast.fallback import Noise, settle
from qrnn_fast.packing import Packing
from qrnn_fast.weights import over_weights

Output = Literal["probabilities", "z"]


class QRNN(nn.Module):
    """A quantum recurrent layer: an encoder turns each input into angles, a circuit carries a memory over the steps.

    Called as torch.nn.GRU is: ``output, h_n = model(x, hx)``. `output` holds the outcome probabilities of the readout
    qubits, or their expectations of Z, at every step; there is no head behind them. `h_n` is the density matrix of the
    memory qubits after each sequence's last step.

    By default gradients are exact and reach the encoder, the input and `hx`. With SPSA and FDSA over weights, which is
    what "spsa" and "fdsa" mean here, copies of the encoder's parameters are perturbed: the encoder's trainable
    parameters get gradients, and an input that requires one is refused. The encoder must then work under
    `torch.vmap`; in training mode the copies see the forward pass's dropout masks, and what they write to buffers,
    such as BatchNorm's running mean, is dropped. With `qf.SPSA(per_sequence=True)` every sequence of the batch has
    copies of its own.

    Args:
        input_size: number of features per step.
        circuit: one time step; None for `cells.crx_chain(n_qubits=8)`. A copy is kept.
        encoder: maps (..., input_size) to (..., A) angles in radians; None for an nn.Linear, see `reset_parameters`.
        batch_first: whether batched input and output are (B, T, ...) instead of (T, B, ...).
        gradient: "adjoint", "parameter-shift", "spsa", "fdsa" or an estimator object.
        shots: number of samples per sequence, for backends that sample; None for exact probabilities. With shots, every
            forward pass draws a seed, and what a sequence draws is decided by that seed and its number in the batch, or
            its id (see `forward`). The adjoint refuses them where a gradient is wanted.
        noise: of the circuit, a `qf.NoiseModel` or Qiskit Aer's; None for none. A copy is kept.
        output: "probabilities" (2^r features, bit i of the index being qubit `circuit.readout[i]`) or "z" (r features,
            the expectations of Z of the readout qubits: +1 for |0>, -1 for |1>).
        backend: "auto", "native" or a backend object such as `qf.backends.Aer()`; see `evolve`.
        generator: source of seeds where something is drawn; None for torch's default generator.
        num_layers: must be 1; stack layers by nn.Module composition instead.
        dropout: must be 0; put nn.Dropout between layers instead.
        bidirectional: must be False; run a second layer on the reversed input instead.
        device: of the default encoder.
        dtype: of the default encoder; torch.float32 or torch.float64.

    Raises:
        ValueError: a value out of range, an unknown gradient, output or backend, or one of the three that must not be.
        TypeError: an argument of the wrong type, half precision included.
    """

    signs: Tensor

    def __init__(
        self,
        input_size: int,
        circuit: Circuit | None = None,
        *,
        encoder: nn.Module | None = None,
        batch_first: bool = False,
        gradient: str | Estimator = "adjoint",
        shots: int | None = None,
        noise: Noise = None,
        output: Output = "probabilities",
        backend: str | Backend = "auto",
        generator: torch.Generator | None = None,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if isinstance(input_size, bool) or not isinstance(input_size, int):
            raise TypeError(f"input_size must be an integer, got {input_size!r}")
        if input_size < 1:
            raise ValueError(f"input_size must be at least 1, got {input_size}")
        if circuit is not None and not isinstance(circuit, Circuit):
            raise TypeError(f"circuit must be a qf.Circuit, such as qf.cells.crx_chain(8), or None, got {circuit!r}")
        if circuit is not None and not circuit.readout:
            raise ValueError("the circuit measures nothing; call measure([...]) on at least one qubit")
        if num_layers != 1 or dropout or bidirectional:
            raise ValueError(
                f"a QRNN is one layer in one direction, got num_layers={num_layers}, dropout={dropout}, "
                f"bidirectional={bidirectional}; stack layers by feeding one's output to the next, with nn.Dropout in "
                "between, and run a second one on the reversed input for the other direction"
            )
        if output not in ("probabilities", "z"):
            raise ValueError(f"output must be 'probabilities' or 'z', got {output!r}")
        if encoder is not None and (device is not None or dtype is not None):
            raise ValueError("device and dtype are those of the default encoder; move your own with encoder.to(...)")
        if (dtype or torch.get_default_dtype()) not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype or torch.get_default_dtype()}")
        resolve(gradient, "weights")
        check_shots(shots)
        self.input_size = input_size
        self.circuit = copy.deepcopy(circuit) if circuit is not None else cells.crx_chain(n_qubits=8)
        self.batch_first = batch_first
        self.gradient = gradient
        self.shots = shots
        self.noise = copy.deepcopy(noise)
        self.output = output
        self.backend = backend
        self._evaluation()  # raises where circuit, noise and backend do not fit
        self.generator = generator
        self._n_angles, self._dim = self.circuit.n_angles, 2 ** len(self.circuit.memory)
        signs = z_signs(len(self.circuit.readout), device, dtype or torch.get_default_dtype())
        self.register_buffer("signs", signs, persistent=False)
        if encoder is None:
            self.encoder: nn.Module = nn.Linear(input_size, self._n_angles, device=device, dtype=dtype)
            self.reset_parameters()
        else:
            self.encoder = encoder

    @property
    def output_size(self) -> int:
        """Number of output features per step."""
        return self.signs.shape[0 if self.output == "probabilities" else 1]

    @property
    def backend_used(self) -> str:
        """Name of the backend that runs the layer; where `backend` is "auto", of what that means for this circuit."""
        return self._evaluation().backend.name

    def _evaluation(self) -> Evaluation:
        return settle(self.circuit, self.noise, self.backend, self.shots)

    def reset_parameters(self) -> None:
        """Draw the encoder's parameters anew.

        The default encoder: weights U(-s, s) with s = pi / (input_size r), biases U(-pi / (2 r), s / (2 r)), where r is
        the largest number of times that the circuit uses one angle: its repeats (Connerty and Stewart, 2025). Others
        by their own `reset_parameters`. What a layer made on the meta device lacks is there afterwards.
        """
        self.signs.copy_(z_signs(len(self.circuit.readout), self.signs.device, self.signs.dtype))
        if type(self.encoder) is nn.Linear:
            uses = Counter(a.slot for op in self.circuit.operations for a in op.angles if isinstance(a, Angle))
            repeats = max(uses.values(), default=1)
            bound = math.pi / (self.input_size * repeats)
            nn.init.uniform_(self.encoder.weight, -bound, bound)
            if self.encoder.bias is not None:
                nn.init.uniform_(self.encoder.bias, -math.pi / (2 * repeats), bound / (2 * repeats))
        else:
            for module in self.encoder.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()

    @overload
    def forward(
        self,
        x: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]: ...
    @overload
    def forward(
        self, x: PackedSequence, hx: Tensor | None = None, *, sequence_ids: Tensor | None = None
    ) -> tuple[PackedSequence, Tensor | None]: ...

    def forward(
        self,
        x: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | None]:
        """Run the layer.

        Args:
            x: (T, B, input), or (B, T, input) where `batch_first`, or unbatched (T, input), or a PackedSequence.
            hx: memory before the first step, (1, B, 2^m, 2^m), or (1, 2^m, 2^m) where x is unbatched; complex64 for
                float32, complex128 for float64. None means |0...0>. See `evolve`.
            lengths: (B,) number of steps of each sequence, for x padded behind; outputs past the end are zero.
            sequence_ids: (B,) int64, 0 <= id < 2^32, or without dimensions where x is unbatched: what a sequence draws,
                its shots and SPSA's directions of its own, is decided by the seed and its id. With its number in a
                whole batch, a part of that batch draws what it does in the whole. None for the numbers in this batch.
                Where nothing is drawn they have no effect.

        Returns:
            The output, with the leading dimensions of x and `output_size` features, packed where x is; and h_n, the
            memory after each sequence's last step, of the shape of `hx`, None where the backend cannot tell it.

        Raises:
            ValueError: a wrong shape, lengths out of range, or a gradient that the estimator cannot give.
            TypeError: a wrong dtype.
            RuntimeError: no step at all, as in torch.nn.GRU.
        """
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths are for padded input; a PackedSequence has its own")
            return self._forward_packed(x, hx, sequence_ids)
        batch, time = (0, 1) if self.batch_first else (1, 0)
        check_dimensions(x)
        self._check_features(x)
        if x.dim() == 2:
            if lengths is not None:
                raise ValueError("lengths are for batched input; cut an unbatched sequence where it ends")
            check_steps(len(x))
            ids = _ids(sequence_ids, ())
            output, final = self._run(x.unsqueeze(0), self._initial(hx, None), None, ids)
            return output.squeeze(0), final
        check_steps(x.shape[time])
        if lengths is not None:
            lengths = _lengths(lengths, x.shape[batch], x.shape[time])
            if x.shape[batch] > 0:
                packed = pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
                outputs, h_n = self._forward_packed(packed, hx, sequence_ids)
                padded, _ = pad_packed_sequence(outputs, self.batch_first, total_length=x.shape[time])
                return padded, h_n
        ids = _ids(sequence_ids, (x.shape[batch],))
        output, final = self._run(x if batch == 0 else x.transpose(0, 1), self._initial(hx, x.shape[batch]), None, ids)
        return (
            output if batch == 0 else output.transpose(0, 1),
            None if final is None else final.unsqueeze(0),
        )

    def _forward_packed(
        self, x: PackedSequence, hx: Tensor | None, sequence_ids: Tensor | None
    ) -> tuple[PackedSequence, Tensor | None]:
        self._check_features(x.data)
        n_rows = int(x.batch_sizes[0])
        initial = self._initial(hx, n_rows)
        packing = Packing.of(x.batch_sizes, x.sorted_indices, _ids(sequence_ids, (n_rows,)))
        if initial is not None and x.sorted_indices is not None:
            initial = initial[x.sorted_indices]
        output, final = self._run(x.data, initial, packing, None)
        if final is not None:
            final = (final if x.unsorted_indices is None else final[x.unsorted_indices]).unsqueeze(0)
        return PackedSequence(output, x.batch_sizes, x.sorted_indices, x.unsorted_indices), final

    def _initial(self, hx: Tensor | None, n_rows: int | None) -> Tensor | None:
        """The initial memory with the batch in front; `n_rows` is None for unbatched input."""
        if hx is None:
            return None
        shape = (1, self._dim, self._dim) if n_rows is None else (1, n_rows, self._dim, self._dim)
        if not isinstance(hx, Tensor):
            raise TypeError(f"hx must be a complex tensor or None, got {type(hx).__name__}")
        if hx.shape != shape:
            raise ValueError(f"hx must have the shape {shape} for this input, got {tuple(hx.shape)}")
        return hx if n_rows is None else hx.squeeze(0)

    def _check_features(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ValueError(f"the input must have {self.input_size} features, got the shape {tuple(x.shape)}")

    def _run(
        self, x: Tensor, initial: Tensor | None, packing: Packing | None, sequence_ids: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Output features and final memory for x (B, T, input), or for packed data (S, input), with ids of its own."""
        if type(self.encoder) is nn.Linear and x.dtype != self.encoder.weight.dtype:
            raise TypeError(
                f"the input is {x.dtype}, the encoder's weights are {self.encoder.weight.dtype}; convert one by "
                "input.to(...) or model.to(...), to float32 or float64"
            )
        estimator = resolve(self.gradient, "weights")
        if isinstance(estimator, Perturbation) and estimator.over_weights:
            probs, final = over_weights(
                self.encoder, x, initial, packing, sequence_ids, self._evaluation(), estimator, self.generator
            )
        else:
            draws = self._evaluation().is_sampled or (estimator.draws and torch.is_grad_enabled())
            # All groups of a packing draw the same seed, and ids set their sequences apart.
            one_seed = packing is not None and draws

            def run(angles: Tensor, memory: Tensor | None, ids: Tensor | None) -> tuple[Tensor, Tensor | None]:
                return evolve(
                    self.circuit,
                    angles,
                    memory,
                    gradient=estimator,
                    shots=self.shots,
                    noise=self.noise,
                    generator=fork(self.generator) if one_seed else self.generator,
                    backend=self.backend,
                    sequence_ids=ids if draws else None,
                )

            angles = encode(self.encoder, x, self._n_angles)
            probs, final = run(angles, initial, sequence_ids) if packing is None else packing.run(run, angles, initial)
            if one_seed:
                draw_seed(self.generator)  # moves it on to the next seed
        return (probs if self.output == "probabilities" else probs @ self.signs.to(probs.dtype)), final

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.circuit!r}, output={self.output!r}, {how_it_runs(self)}"


def z_signs(n_readout: int, device: torch.device | str | None, dtype: torch.dtype) -> Tensor:
    """What Z of each readout qubit is for each outcome, (2^r, r): +1 where its bit is 0, -1 where it is 1."""
    outcomes = torch.arange(2**n_readout, device=device)
    bits = outcomes[:, None] >> torch.arange(n_readout, device=device) & 1
    return (1 - 2 * bits).to(dtype)


class Runs(Protocol):
    """What layers whose circuits run on a backend have in common."""

    gradient: str | Estimator
    shots: int | None
    noise: Noise
    backend: str | Backend
    batch_first: bool


def how_it_runs(layer: Runs) -> str:
    """The gradient method of a layer, and what else is not as by default."""
    parts = [f"gradient={layer.gradient!r}"]
    if layer.shots is not None:
        parts.append(f"shots={layer.shots}")
    if layer.noise is not None:
        parts.append(f"noise={layer.noise!r}")
    if layer.backend != "auto":
        parts.append(f"backend={layer.backend!r}")
    if layer.batch_first:
        parts.append("batch_first=True")
    return ", ".join(parts)


def check_dimensions(x: object) -> None:
    """Raise unless the input is a tensor, batched or not."""
    if not isinstance(x, Tensor):
        raise TypeError(f"the input must be a tensor or a PackedSequence, got {type(x).__name__}")
    if x.dim() not in (2, 3):
        raise ValueError(f"the input must have 2 (unbatched) or 3 dimensions, got the shape {tuple(x.shape)}")


def check_steps(n_steps: int) -> None:
    """Raise unless there is a step, as PyTorch's recurrent layers do."""
    if n_steps == 0:
        raise RuntimeError("the input must hold at least one step, got none")


def _ids(sequence_ids: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """Ids of a batch of this shape, checked, with a dimension at least."""
    if sequence_ids is None:
        return None
    check_ids(sequence_ids, shape)
    return sequence_ids.view(-1)


def _lengths(lengths: Tensor | Sequence[int], n_rows: int, n_steps: int) -> Tensor:
    given = torch.as_tensor(lengths, device="cpu")
    if given.numel() == 0:
        given = given.to(torch.int64)  # an empty list has no dtype of its own
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, got {given.dtype}")
    if given.shape != (n_rows,):
        raise ValueError(f"lengths must have the shape ({n_rows},), got {tuple(given.shape)}")
    if n_rows and not 1 <= given.min() <= given.max() <= n_steps:
        raise ValueError(f"lengths must lie between 1 and {n_steps}, got {given.tolist()}")
    return given.to(torch.int64)
