"""The quantum long short-term memory: an LSTM whose gates are variational circuits."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Angle, Circuit
from qrnn_fast.estimators import Estimator, resolve
from qrnn_fast.evolve import check_shots, evolve
from qrnn_fast.fallback import Noise, settle
from qrnn_fast.nn import check_dimensions, check_steps, how_it_runs, z_signs

State = tuple[Tensor, Tensor]


def variational_circuit(n_qubits: int, n_read: int, depth: int) -> Circuit:
    """The variational circuit of Chen et al. (arXiv:2009.01783), one step without memory.

    On every qubit H, RY(a[k]), RZ(a[n+k]); then `depth` times CNOT from k to k + 1, CNOT from k to k + 2, both for all
    k and modulo n, and Rot = RZ RY RZ on every qubit. A CNOT from a qubit to itself is left out.

    Args:
        n_qubits: n, at least 1.
        n_read: number of qubits that are measured, the first ones, 1 to n.
        depth: number of layers, at least 1.

    Returns:
        A circuit of 2 n + 3 n depth angles: those of the encoding, then those of each layer, qubit by qubit.
    """
    circuit = Circuit(n_qubits, 2 * n_qubits)
    for k in range(n_qubits):
        circuit.h(k).ry(Angle(k), k).rz(Angle(n_qubits + k), k)
    for _ in range(depth):
        for offset in (1, 2):
            for k in range(n_qubits if offset % n_qubits else 0):
                circuit.cx(k, (k + offset) % n_qubits)
        for k in range(n_qubits):
            circuit.rz(circuit.angle(), k).ry(circuit.angle(), k).rz(circuit.angle(), k)
    return circuit.measure(range(n_read)).reset(range(n_qubits))


class QLSTM(nn.Module):
    """The quantum long short-term memory of Chen et al. (arXiv:2009.01783), called as torch.nn.LSTM is.

    The recurrence is classical; nothing is measured in the middle of a circuit. With v = (h, x), the hidden state
    before a step and the step's input, and the circuits' expectations of Z::

        f = sigmoid(C1(v))    i = sigmoid(C2(v))    g = tanh(C3(v))    o = sigmoid(C4(v))
        c' = f c + i g        h' = C5(o tanh(c'))   output = C6(o tanh(c'))

    All six circuits of the paper are there, as `variational_circuit` draws them; v_k is taken by RY(arctan v_k) and
    RZ(arctan v_k^2). C1 to C4 have hidden_size + input_size qubits, of which the first hidden_size are read, C5 and C6
    hidden_size qubits, all of which are read, so that h, c and the output are of one size. The output is C6's: other
    than in torch.nn.LSTM, the last one is not h_n. The classical layer that the paper puts behind it is left to you.
    In every step C1 to C4 of the whole batch are one call of `evolve`, C5 and C6 another one.

    Args:
        input_size: number of features per step.
        hidden_size: size of h, c and the output.
        depth: layers of each circuit.
        batch_first: whether batched input and output are (B, T, ...) instead of (T, B, ...).
        gradient: "adjoint", "parameter-shift", "spsa", "fdsa" or an estimator object; all of them work on angles.
        shots: number of samples per circuit; None for exact expectations. The adjoint refuses them.
        noise: of the circuits, a `qf.NoiseModel` or Qiskit Aer's; None for none. A copy is kept.
        backend: "auto", "native" or a backend object such as `qf.backends.Aer()`; see `evolve`.
        generator: source of seeds where something is drawn; None for torch's default generator.
        device: of the weights.
        dtype: of the weights; torch.float32 or torch.float64.

    Raises:
        ValueError: a size below 1, an unknown gradient or backend, or an estimator over weights.
        TypeError: an argument of the wrong type, half precision included.

    Attributes:
        gate_weights: angles of C1 to C4, (4, depth, hidden_size + input_size, 3), radians.
        output_weights: angles of C5 and C6, (2, depth, hidden_size, 3), radians.
    """

    signs: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int = 1,
        batch_first: bool = False,
        gradient: str | Estimator = "adjoint",
        shots: int | None = None,
        noise: Noise = None,
        backend: str | Backend = "auto",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        dtype = dtype or torch.get_default_dtype()
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        if resolve(gradient, "angles").over_weights:
            raise ValueError(f"{gradient} perturbs an encoder's weights, and a QLSTM has none; set wrt='angles'")
        check_shots(shots)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.depth = depth
        self.batch_first = batch_first
        self.gradient = gradient
        self.shots = shots
        self.noise = copy.deepcopy(noise)
        self.backend = backend
        self.generator = generator
        n_qubits = hidden_size + input_size
        self.gate_circuit = variational_circuit(n_qubits, hidden_size, depth)
        self.output_circuit = variational_circuit(hidden_size, hidden_size, depth)
        for circuit in (self.gate_circuit, self.output_circuit):
            settle(circuit, self.noise, backend, shots)  # raises where they do not fit
        self.gate_weights = nn.Parameter(torch.empty(4, depth, n_qubits, 3, device=device, dtype=dtype))
        self.output_weights = nn.Parameter(torch.empty(2, depth, hidden_size, 3, device=device, dtype=dtype))
        self.register_buffer("signs", z_signs(hidden_size, device, dtype), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, from U(-pi, pi). What a layer made on the meta device lacks is there afterwards."""
        self.signs.copy_(z_signs(self.hidden_size, self.signs.device, self.signs.dtype))
        nn.init.uniform_(self.gate_weights, -math.pi, math.pi)
        nn.init.uniform_(self.output_weights, -math.pi, math.pi)

    @overload
    def forward(self, x: Tensor, hx: State | None = None) -> tuple[Tensor, State]: ...
    @overload
    def forward(self, x: PackedSequence, hx: State | None = None) -> tuple[PackedSequence, State]: ...

    def forward(self, x: Tensor | PackedSequence, hx: State | None = None) -> tuple[Tensor | PackedSequence, State]:
        """Run the layer.

        Args:
            x: (T, B, input), or (B, T, input) where `batch_first`, or unbatched (T, input), or a PackedSequence.
            hx: (h, c) before the first step, each (1, B, hidden), or (1, hidden) where x is unbatched; None for zeros.

        Returns:
            The output, with the leading dimensions of x and hidden_size features, packed where x is; and (h, c) after
            each sequence's last step, of the shapes of `hx`.

        Raises:
            ValueError: a wrong shape.
            TypeError: a wrong dtype or type.
            RuntimeError: no step at all, as in torch.nn.LSTM.
        """
        if isinstance(x, PackedSequence):
            initial = self._initial(hx, (1, int(x.batch_sizes[0]), self.hidden_size), x.data)
            if x.sorted_indices is not None:
                initial = initial[0][x.sorted_indices], initial[1][x.sorted_indices]
            output, final = self._run(x.data, x.batch_sizes.tolist(), initial)
            if x.unsorted_indices is not None:
                final = final[0][x.unsorted_indices], final[1][x.unsorted_indices]
            packed = PackedSequence(output, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
            return packed, (final[0].unsqueeze(0), final[1].unsqueeze(0))
        check_dimensions(x)
        steps = x.unsqueeze(1) if x.dim() == 2 else x.transpose(0, 1) if self.batch_first else x  # (T, B, input)
        check_steps(len(steps))
        n_rows = steps.shape[1]
        shape = (1, self.hidden_size) if x.dim() == 2 else (1, n_rows, self.hidden_size)
        output, (h, c) = self._run(steps.flatten(0, 1), [n_rows] * len(steps), self._initial(hx, shape, x))
        output = output.view(*steps.shape[:2], self.hidden_size)
        if x.dim() == 2:
            return output.squeeze(1), (h, c)
        return output.transpose(0, 1) if self.batch_first else output, (h.unsqueeze(0), c.unsqueeze(0))

    def _initial(self, hx: State | None, shape: tuple[int, ...], x: Tensor) -> State:
        """The initial h and c, (B, hidden) each, after a check of `hx` and of the input's features and dtype."""
        if x.shape[-1] != self.input_size:
            raise ValueError(f"the input must have {self.input_size} features, got the shape {tuple(x.shape)}")
        weights = self.gate_weights
        if x.dtype != weights.dtype:
            raise TypeError(
                f"the input is {x.dtype}, the weights are {weights.dtype}; convert one by input.to(...) or "
                "model.to(...), to float32 or float64"
            )
        if hx is None:
            zeros = weights.new_zeros(shape[-2] if len(shape) == 3 else 1, self.hidden_size)
            return zeros, zeros
        if not isinstance(hx, tuple) or len(hx) != 2 or not all(isinstance(part, Tensor) for part in hx):
            raise TypeError(f"hx must be a tuple (h, c) of two tensors or None, got {type(hx).__name__}")
        for name, part in zip("hc", hx, strict=True):
            if part.shape != shape:
                raise ValueError(f"{name} of hx must have the shape {shape} for this input, got {tuple(part.shape)}")
            if part.dtype != weights.dtype:
                raise TypeError(f"{name} of hx must be {weights.dtype} as the weights are, got {part.dtype}")
        return (hx[0].squeeze(0), hx[1].squeeze(0)) if len(shape) == 3 else hx

    def _run(self, x: Tensor, batch_sizes: Sequence[int], state: State) -> tuple[Tensor, State]:
        """All steps of sequences that lie side by side, the longest first.

        Args:
            x: (S, input), step after step the inputs of the sequences that are not yet over.
            batch_sizes: their number in each step, descending.
            state: h and c before the first step, (B, hidden) each.

        Returns:
            The outputs (S, hidden), and h and c after each sequence's last step.
        """
        outputs, finals = [], []
        for inputs in torch.split(x, list(batch_sizes)):
            n = len(inputs)
            if n < len(state[0]):
                finals.append((state[0][n:], state[1][n:]))
                state = state[0][:n], state[1][:n]
            output, state = self._step(inputs, state)
            outputs.append(output)
        finals.append(state)
        h, c = (torch.cat(parts[::-1]) for parts in zip(*finals, strict=True))
        return torch.cat(outputs), (h, c)

    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Output, h and c (B, hidden) behind a step that reads x (B, input)."""
        h, c = state
        gates = self._expectations(self.gate_circuit, torch.cat([h, x], -1), self.gate_weights)
        forget, update, out = gates[[0, 1, 3]].sigmoid()
        c = forget * c + update * gates[2].tanh()
        h, output = self._expectations(self.output_circuit, out * c.tanh(), self.output_weights)
        return output, (h, c)

    def _expectations(self, circuit: Circuit, v: Tensor, weights: Tensor) -> Tensor:
        """Expectations of Z (G, B, hidden) of G circuits with weights (G, depth, n, 3) of their own, for v (B, n)."""
        n_circuits, n_rows = len(weights), len(v)
        encoded = torch.cat([v.arctan(), v.square().arctan()], -1).expand(n_circuits, -1, -1)
        angles = torch.cat([encoded, weights.flatten(1)[:, None].expand(-1, n_rows, -1)], -1)
        probs, _ = evolve(
            circuit,
            angles.flatten(0, 1).unsqueeze(1),
            gradient=self.gradient,
            shots=self.shots,
            noise=self.noise,
            generator=self.generator,
            backend=self.backend,
        )
        return (probs.squeeze(1) @ self.signs.to(probs.dtype)).view(n_circuits, n_rows, self.hidden_size)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, depth={self.depth}, {how_it_runs(self)}"
