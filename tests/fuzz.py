"""Random op lists and tensors for the binding: whatever it is given, it answers rightly or refuses.

    python tests/fuzz.py 100000 [first]     # that many tries from a number on; on a crash, tells which try it was

A try is decided by its number. Most of what it hands over is right, so that it comes far; the rest is wrong in a type,
a shape, a range or a value.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from qrnn_fast import _core

OPS = _core.op_table()
INTEGERS = [-(2**63), -(2**31), -1, 0, 1, 2**31 - 1, 2**31, 2**32, 2**64]
NUMBERS = [0.0, -0.0, 1e-320, 1e18, 1e308, float("inf"), float("-inf"), float("nan")]
THREADS = [1, 1, 1, 2, 3, 7]
MOST_NUMBERS = 1e6  # of a tensor handed over
COMPLEX = {np.float32: np.complex64, np.float64: np.complex128}
SECONDS = 30  # after which a try hangs


class Fuzz:
    """One try.

    Args:
        number: decides all that is drawn.
        badness: probability that a thing drawn is wrong.
    """

    def __init__(self, number: int, badness: float) -> None:
        self.rng = np.random.default_rng(number)
        self.badness = badness

    def run(self) -> str:
        """Build a circuit, plan it, call an engine; "refused" or the name of what answered."""
        try:
            with np.errstate(all="ignore"):  # numbers that a type has no room for are among those drawn
                circuit = self.circuit()
                call = self.pick([self.exact, self.exact, self.shots, self.marginal])
                return call(circuit)
        except (ValueError, TypeError):
            return "refused"

    def is_bad(self) -> bool:
        return bool(self.rng.random() < self.badness)

    def pick(self, choices: list[Any]) -> Any:
        return choices[self.rng.integers(len(choices))]

    def below(self, n: int) -> int:
        return int(self.rng.integers(n))

    def integer(self, good: int) -> int:
        return self.pick(INTEGERS) if self.is_bad() else good

    def number(self) -> float:
        return self.pick(NUMBERS) if self.is_bad() else float(self.rng.normal())

    # Circuits

    def circuit(self) -> _core.Circuit:
        n = 1 + self.below(5)
        circuit = _core.Circuit(self.integer(n), self.integer(self.below(5)))
        for _ in range(self.below(12)):
            add = self.pick([self.add_op] * 8 + [self.add_channel, self.add_readout_error])
            try:
                add(circuit, n)
            except (ValueError, TypeError):
                continue  # the circuit must be as it was
        if not self.is_bad():
            unread = [q for q in range(min(n, circuit.n_qubits)) if q not in circuit.readout]
            if unread:
                circuit.append("measure", unread[: 1 + self.below(2)], [])
        return circuit

    def qubits(self, n: int, k: int) -> list[int]:
        qubits = [int(q) for q in self.rng.permutation(max(n, k))[:k]]
        if self.is_bad():
            qubits = [self.integer(q) for q in self.rng.integers(0, n, self.below(4))]
        return qubits

    def add_op(self, circuit: _core.Circuit, n: int) -> None:
        op = self.pick(OPS)
        slots = circuit.n_angles
        angles = [
            (self.integer(self.below(slots + 1) - 1), self.number(), self.number())
            for _ in range(self.below(5) if self.is_bad() else op.n_angles)
        ]
        name = self.pick(["", "channel", "rxx\0", "r" * 1000, "é"]) if self.is_bad() else op.name
        circuit.append(name, self.qubits(n, op.n_qubits or 1 + self.below(n)), angles)

    def add_channel(self, circuit: _core.Circuit, n: int) -> None:
        k = 1 + self.below(2)
        dim, n_operators = 2**k, 1 + self.below(4)
        columns = self.rng.normal(size=(n_operators * dim, dim)) + 1j * self.rng.normal(size=(n_operators * dim, dim))
        kraus = np.linalg.qr(columns)[0].reshape(n_operators, dim, dim).tolist()
        if self.is_bad():
            kraus = self.pick([[], [[]], [[[]]], kraus[1:], [[*kraus[0], [1.0]]], kraus * 17, [*kraus, [[1.0]]]])
        elif self.is_bad():
            kraus[0][0][0] = self.pick(NUMBERS)
        circuit.append_channel(self.qubits(n, k), kraus)

    def add_readout_error(self, circuit: _core.Circuit, n: int) -> None:
        read = list(circuit.readout) or [0]
        k = min(len(read), 1 + self.below(2))
        confusion = self.rng.dirichlet(np.ones(2**k), size=2**k).T.ravel().tolist()
        if self.is_bad():
            confusion = [self.number() for _ in range(self.below(17))]
        circuit.add_readout_error(self.qubits(n, k) if self.is_bad() else read[:k], confusion)

    # Tensors

    def tensor(self, shape: tuple[int, ...], dtype: type, values: Callable[[tuple[int, ...]], Any]) -> Any:
        """A tensor of this shape, or one that is wrong in its shape, values, dtype, order, alignment or type."""
        if self.is_bad():
            shape = self.pick([(), (0,), shape[:-1], (*shape, 1), tuple(reversed(shape)), (*shape[:-1], 0)])
        if np.prod(shape, dtype=float) > MOST_NUMBERS:
            shape = tuple(min(n, 9) for n in shape)
        array = np.asarray(values(shape), dtype=dtype)
        if self.is_bad() and array.size:
            array.flat[self.below(array.size)] = array.dtype.type(
                self.pick([-1, 2**31, 2**62]) if array.dtype.kind == "i" else self.pick(NUMBERS)
            )
        tensor = torch.from_numpy(array)
        if not self.is_bad():
            return tensor
        shifted = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        shifted[...] = array
        wrong = [
            None,
            1.0,
            "angles",
            array,
            tensor.tolist() if tensor.numel() else [],
            tensor.to(self.pick([torch.int32, torch.bfloat16, torch.bool])),
            tensor.to("meta"),
            tensor.to_sparse() if tensor.dim() else None,
            torch._efficientzerotensor(shape, dtype=tensor.dtype),  # has a shape, and no numbers
        ]
        unusual = [
            torch.from_numpy(np.asfortranarray(array)),
            tensor.flip(tuple(range(tensor.dim()))),
            tensor[..., :1].expand(shape) if tensor.dim() else tensor,
            torch.cat([tensor, tensor], -1)[..., ::2] if tensor.dim() else tensor,
            torch.from_numpy(shifted),
            tensor.requires_grad_() if tensor.dtype != torch.int64 else tensor,
        ]
        return self.pick(wrong + unusual)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self.rng.normal(scale=self.pick([1.0, 1.0, 1e5]), size=shape)

    def complex_normal(self, shape: tuple[int, ...]) -> NDArray[np.complex128]:
        return self.normal(shape) + 1j * self.normal(shape)

    def density(self, shape: tuple[int, ...]) -> NDArray[np.complex128]:
        """Density matrices (B, dim, dim) where the shape is right."""
        if len(shape) != 3 or shape[1] != shape[2] or 0 in shape or self.is_bad():
            return self.complex_normal(shape)
        root = self.rng.normal(size=shape) + 1j * self.rng.normal(size=shape)
        rho = root @ root.conj().transpose(0, 2, 1)
        return rho / np.trace(rho, axis1=1, axis2=2)[:, None, None]

    def sizes(self, circuit: _core.Circuit) -> tuple[int, int, int, int, int, type]:
        """B, T, A, number of outcomes, dimension of the memory, dtype."""
        b, t = self.pick([0, 1, 1, 2, 3, 9, 17]), self.pick([0, 1, 2, 3, 5, 40])
        if circuit.n_angles == 0 and self.is_bad():
            b, t = self.pick([(2**20, 2**20), (1, 2**40), (2**62, 2**62), (2**31, 0)])
        dtype = self.pick([np.float32, np.float64])
        return b, t, circuit.n_angles, 2 ** len(circuit.readout), 2 ** len(circuit.memory), dtype

    def threads(self) -> int:
        return self.integer(self.pick(THREADS))

    # Calls

    def exact(self, circuit: _core.Circuit) -> str:
        plan = _core.Plan(circuit, "best" if self.is_bad() else self.pick(["auto", "pauli", "factor"]))
        b, t, a, outcomes, dim, dtype = self.sizes(circuit)
        angles = self.tensor((b, t, a), dtype, self.normal)
        memory = self.tensor((b, dim, dim), COMPLEX[dtype], self.density) if self.below(2) else None
        if self.below(2):
            probs, final = _core.forward(plan, angles, memory, self.threads())
            assert probs.shape == (b, t, outcomes)
            assert final.shape == (b, dim, dim)
            if self.badness == 0:
                assert ((probs.sum(-1) - 1).abs() < (1e-3 if dtype == np.float32 else 1e-9)).all()
            return "forward"
        grad_probs = self.tensor((b, t, outcomes), dtype, self.normal)
        grad_memory = self.tensor((b, dim, dim), COMPLEX[dtype], self.complex_normal) if self.below(2) else None
        grads = _core.backward(plan, angles, memory, grad_probs, grad_memory, self.threads())
        assert [g.shape for g in grads] == [(b, t, a), (b, dim, dim)]
        if self.badness == 0:
            assert all(g.isfinite().all() for g in grads)
        return "backward"

    def ids(self, b: int) -> Any:
        return self.tensor((b,), np.int64, lambda shape: self.rng.integers(0, 2**32, shape)) if self.below(2) else None

    def seed_and_shots(self) -> tuple[int, int]:
        shots = self.pick([-(2**31), -1, 0, 2**31, 2**64] if self.is_bad() else [1, 2, 15, 64, 300])
        return self.integer(self.below(2**40)), shots

    def shots(self, circuit: _core.Circuit) -> str:
        plan = _core.TrajectoryPlan(circuit)
        b, t, a, outcomes, dim, dtype = self.sizes(circuit)
        angles = self.tensor((b, t, a), dtype, self.normal)
        initial = weights = None
        if self.below(2):
            k = self.pick([0, 1, 2, dim]) if self.is_bad() else dim
            initial = self.tensor((b, k, dim), COMPLEX[dtype], lambda shape: self.complex_normal(shape) / dim)
            weights = self.tensor((b, k), np.float64, lambda shape: np.linspace(1 / max(k, 1), 1, k) + np.zeros(shape))
            weights = None if self.is_bad() else weights
        seed, shots = self.seed_and_shots()
        averages = bool(self.below(2))
        got = _core.sample(plan, angles, initial, weights, self.ids(b), seed, shots, self.threads(), averages)
        if averages:
            assert [x.shape for x in got] == [(b, t, outcomes), (b, dim, dim)]
            return "frequencies"
        assert got.shape == (b, shots, t)
        assert ((got >= 0) & (got < outcomes)).all()
        return "outcomes"

    def marginal(self, circuit: _core.Circuit) -> str:
        b, t, _, outcomes, _, dtype = self.sizes(circuit)
        probabilities = self.tensor((b, t, self.integer(outcomes)), dtype, self.rng.random)
        seed, shots = self.seed_and_shots()
        averages = bool(self.below(2))
        got = _core.sample_steps(probabilities, self.ids(b), seed, shots, self.threads(), averages)
        b, t, outcomes = probabilities.shape
        assert got.shape == ((b, t, outcomes) if averages else (b, shots, t))
        assert averages or ((got >= 0) & (got < outcomes)).all()
        return "steps"


def run(tries: int, first: int, now: Any) -> None:
    """Run the tries, telling which one is under way; print how many ended how."""
    faulthandler.enable()
    ends: Counter[str] = Counter()
    for number in range(first, first + tries):
        now.value = number
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        ends[Fuzz(number, badness=(0.0, 0.01, 0.05)[number % 3]).run()] += 1
    print(", ".join(f"{n} {end}" for end, n in sorted(ends.items())), flush=True)


def main(tries: int, first: int = 0) -> None:
    context = multiprocessing.get_context("spawn")  # a crash ends a process of its own
    now = context.Value("q", -1)
    process = context.Process(target=run, args=(tries, first, now))
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f"try {now.value} ended the process with {process.exitcode}; python tests/fuzz.py 1 {now.value}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
