"""evolve: a circuit's outcome probabilities over time as a differentiable torch operation.

Two ops stand in torch's registry, `qrnn_fast::evolve` and `qrnn_fast::evolve_backward`. Their arguments are tensors and
one string that says what is computed: shots, gradient, backend and circuit, a line each. Memories are (real, imaginary)
pairs in there. An op cannot return None: an empty tensor of one dimension says that there is no memory. The ops are
registered by `torch.library.define`, not `custom_op`: its first call imports the compiler, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from qrnn_fast.backends.base import Backend
from qrnn_fast.backends.native import Native
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators import Adjoint, Estimator, Evaluation, parse, resolve

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
_NATIVE = Native()

# Backend objects by the token that stands for them in the ops' strings. Never removed: a compiled graph may hold the
# token for as long as the process lives. Backends that compare equal share one.
_TOKENS: dict[Backend, str] = {_NATIVE: "native"}
_BACKENDS: dict[str, Backend] = {"native": _NATIVE}


def evolve(
    circuit: Circuit,
    angles: Tensor,
    memory: Tensor | None = None,
    *,
    gradient: str | Estimator = "adjoint",
    shots: int | None = None,
    noise: None = None,
    generator: torch.Generator | None = None,
    backend: str | Backend = "auto",
) -> tuple[Tensor, Tensor | None]:
    """Apply a circuit step after step and return the outcome probabilities of every step.

    Differentiable once, by angles and, with the adjoint, by the initial memory; second derivatives raise. Works under
    `torch.vmap` and `torch.compile`. Non-finite angles make that sequence's outputs non-finite from that step on.

    Args:
        circuit: one time step.
        angles: (B, T, A) or (T, A), float32 or float64, radians, on the CPU; A is `circuit.n_angles`.
        memory: density matrix of the qubits `circuit.memory` before the first step, (B, 2^m, 2^m), or (2^m, 2^m)
            where `angles` is (T, A); complex64 for float32, complex128 for float64. Bit i of an index is qubit
            `circuit.memory[i]`. None means |0...0>. The map is linear in its Hermitian part. It must be finite,
            Hermitian and of trace 1; whether it is positive is for `check_memory` to tell.
        gradient: "adjoint", "parameter-shift", "spsa", "fdsa" (the last two over angles) or an estimator object.
        shots: number of samples per sequence, for backends that sample; None for exact probabilities.
        noise: no backend takes noise; must be None.
        generator: source of the seed where something is drawn; None for torch's default generator.
        backend: "auto" or "native" (the compiled engines), or a backend object, such as `qf.backends.Aer()`.

    Returns:
        Probabilities (B, T, 2^r), bit i of an outcome's index being qubit `circuit.readout[i]`, and the memory after
        the last step, None where the backend cannot tell it; both without B where `angles` is (T, A).

    Raises:
        ValueError: a wrong shape or device, a memory that is no density matrix, an unknown gradient or backend, shots
            or noise where the backend has none, or a gradient that the estimator cannot give.
        TypeError: a wrong dtype or type of an argument.
    """
    check_tensors(circuit, angles, memory)
    if noise is not None:
        raise ValueError(f"noise must be None, got {noise!r}: no backend of this version takes noise")
    estimator = resolve(gradient, "angles")
    if estimator.over_weights:
        raise ValueError(
            f"{estimator} perturbs an encoder's weights, which evolve does not know; use it in qf.QRNN, or set "
            "wrt='angles'"
        )
    engine = resolve_backend(backend)
    if torch.compiler.is_compiling():
        token = _settle(circuit, engine)
    else:
        token = _token(engine)
        refuse_other_derivatives(angles, memory)
    evaluation = Evaluation(circuit, engine, shots)
    check_shots(shots)
    needs_gradient = torch.is_grad_enabled() and (angles.requires_grad or (memory is not None and memory.requires_grad))
    if needs_gradient:
        _check_gradient(estimator, evaluation, memory)
    seed = draw_seed(generator) if evaluation.is_sampled or (needs_gradient and estimator.draws) else None
    text = f"{shots}\n{estimator.text}\n{token}\n{circuit.to_string()}"
    pairs = None if memory is None else torch.view_as_real(memory.resolve_conj())
    if angles.dim() == 3:
        probs, final_pairs = _EVOLVE(angles, pairs, seed, text)
        return probs, _complex(final_pairs)
    probs, final_pairs = _EVOLVE(angles.unsqueeze(0), None if pairs is None else pairs.unsqueeze(0), seed, text)
    final = _complex(final_pairs)
    return probs.squeeze(0), None if final is None else final.squeeze(0)


def check_memory(memory: Tensor) -> None:
    """Raise ValueError unless every matrix of `memory` is a density matrix, positive semidefinite included.

    `evolve` itself checks all but positivity, which takes an eigendecomposition.

    Args:
        memory: (..., d, d) complex64 or complex128.

    Raises:
        ValueError: not square, not finite, not Hermitian, of a trace other than 1, or with a negative eigenvalue; to
            1e-4 for complex64 and 1e-6 for complex128.
        TypeError: not a complex tensor.
    """
    if not isinstance(memory, Tensor) or memory.dtype not in _COMPLEX.values():
        raise TypeError(f"memory must be a complex64 or complex128 tensor, got {_kind(memory)}")
    if memory.dim() < 2 or memory.shape[-1] != memory.shape[-2]:
        raise ValueError(f"memory must have the shape (..., d, d), got {tuple(memory.shape)}")
    tolerance = 1e-6 if memory.dtype == torch.complex128 else 1e-4
    rho = memory.detach()
    if not torch.view_as_real(rho.resolve_conj()).isfinite().all():
        raise ValueError("memory is not a density matrix: it holds a number that is not finite")
    if (rho - rho.mH).abs().amax(dim=(-2, -1)).gt(tolerance).any():
        raise ValueError("memory is not a density matrix: it is not Hermitian")
    traces = rho.diagonal(dim1=-2, dim2=-1).sum(-1).real
    if (traces - 1).abs().gt(tolerance).any():
        raise ValueError(f"memory is not a density matrix: its trace is {traces.flatten().tolist()}, not 1")
    smallest = torch.linalg.eigvalsh(rho).amin().item() if rho.numel() else 0.0
    if smallest < -tolerance:
        raise ValueError(f"memory is not a density matrix: its smallest eigenvalue is {smallest}, below 0")


def draw_seed(generator: torch.Generator | None) -> Tensor:
    """One int64 drawn from `generator` or, where None, from torch's default generator; a tensor without dimensions."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {_kind(generator)}")
    return torch.randint(2**63 - 1, (), generator=generator)


def check_tensors(circuit: Circuit, angles: Tensor, memory: Tensor | None) -> None:
    """Raise unless types, dtypes, devices and numbers of dimensions fit; what is left is for the backend to check."""
    if not isinstance(circuit, Circuit):
        raise TypeError(f"circuit must be a qf.Circuit, got {_kind(circuit)}")
    if not isinstance(angles, Tensor) or angles.dtype not in _COMPLEX:
        hint = " (inside torch.autocast, convert them with .float())" if isinstance(angles, Tensor) else ""
        raise TypeError(f"angles must be a float32 or float64 tensor{hint}, got {_kind(angles)}")
    if angles.device.type != "cpu":
        raise ValueError(f"angles must be on the CPU, got {angles.device}; use angles.cpu()")
    if angles.dim() not in (2, 3):
        raise ValueError(f"angles must have the shape (B, T, A) or (T, A), got {tuple(angles.shape)}")
    if memory is None:
        return
    if not isinstance(memory, Tensor) or memory.dtype != _COMPLEX[angles.dtype]:
        raise TypeError(
            f"memory must be a {_COMPLEX[angles.dtype]} tensor for {angles.dtype} angles, got {_kind(memory)}"
        )
    if memory.device.type != "cpu":
        raise ValueError(f"memory must be on the CPU, got {memory.device}; use memory.cpu()")
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


def _check_gradient(estimator: Estimator, evaluation: Evaluation, memory: Tensor | None) -> None:
    if isinstance(estimator, Adjoint):
        estimator.check(evaluation)
    elif memory is not None and memory.requires_grad:
        raise ValueError(
            f"the initial memory requires a gradient, which {estimator.method!r} does not give; use gradient='adjoint' "
            "or memory.detach()"
        )


def resolve_backend(backend: str | Backend) -> Backend:
    """The backend that a name or an object stands for."""
    if isinstance(backend, str):
        if backend not in ("auto", "native"):
            raise ValueError(
                f"unknown backend {backend!r}; accepted: 'auto', 'native' or a backend object such as qf.backends.Aer()"
            )
        return _NATIVE
    if not (hasattr(backend, "run") and hasattr(backend, "name")):
        raise TypeError(f"backend must be 'auto', 'native' or a backend object, got {_kind(backend)}")
    return backend


def _kind(value: object) -> str:
    return f"{value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def _token(backend: Backend) -> str:
    token = _TOKENS.get(backend)
    if token is None:
        token = _TOKENS.setdefault(backend, f"{backend.name}#{len(_TOKENS)}")
        _BACKENDS[token] = backend
    return token


def _settle(circuit: Circuit, backend: Backend) -> str:
    """What is done once, for real, while torch.compile traces: the circuit's string and the backend's token.

    The compiled code is valid for these two objects and as long as the circuit keeps its string.
    """
    circuit.to_string()
    return _token(backend)


# What torch.compiler.assume_constant_result does; calling that would import the compiler here.
_settle._dynamo_marked_constant = True  # type: ignore[attr-defined]


class _Problem(NamedTuple):
    evaluation: Evaluation
    estimator: Estimator
    n_outcomes: int
    dim: int  # 2^m

    @property
    def tells_memory(self) -> bool:
        """Whether a final memory is returned; fake tensors must know without a run."""
        return isinstance(self.evaluation.backend, Native) or not self.evaluation.is_sampled


@lru_cache(maxsize=1024)
def _problem(text: str) -> _Problem:
    shots, gradient, token, circuit_text = text.split("\n", 3)
    if token not in _BACKENDS:
        raise RuntimeError(
            f"backend {token!r} is an object of the process in which this graph was made; call qf.evolve there, or use "
            "backend='native'"
        )
    circuit = Circuit.from_string(circuit_text)
    evaluation = Evaluation(circuit, _BACKENDS[token], None if shots == "None" else int(shots))
    return _Problem(evaluation, parse(gradient), 2 ** len(circuit.readout), 2 ** len(circuit.memory))


def _complex(pairs: Tensor | None) -> Tensor | None:
    """The memory that pairs stand for, None for None and for the empty tensor of one dimension."""
    return None if pairs is None or pairs.dim() == 1 else torch.view_as_complex(pairs)


def _forward(angles: Tensor, memory: Tensor | None, seed: Tensor | None, problem: str) -> tuple[Tensor, Tensor]:
    p = _problem(problem)
    memory = None if memory is None else _complex(memory.contiguous())
    probs, final = p.evaluation.run(angles, memory, 0 if seed is None else int(seed))
    if (final is not None) != p.tells_memory:
        rule = "return the final memory, since it does not sample" if final is None else "return None for the memory"
        raise RuntimeError(f"backend {p.evaluation.backend.name!r} must {rule}")
    return probs, angles.new_empty(0) if final is None else torch.view_as_real(final)


def _forward_fake(angles: Tensor, memory: Tensor | None, seed: Tensor | None, problem: str) -> tuple[Tensor, Tensor]:
    p = _problem(problem)
    n_rows, n_steps = angles.shape[:2]
    probs = angles.new_empty(n_rows, n_steps, p.n_outcomes)
    return probs, angles.new_empty((n_rows, p.dim, p.dim, 2) if p.tells_memory else 0)


def _backward(
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
    problem: str,
) -> tuple[Tensor, Tensor]:
    p = _problem(problem)
    initial = None if memory is None else _complex(memory.contiguous())
    grad_final = None if grad_memory is None else _complex(grad_memory.contiguous())
    grad_angles, grad_initial = p.estimator.vjp(
        p.evaluation, angles, initial, grad_probs, grad_final, 0 if seed is None else int(seed)
    )
    if memory is None or grad_initial is None:
        return grad_angles, angles.new_empty(0)
    return grad_angles, torch.view_as_real(grad_initial)


def _backward_fake(
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
    problem: str,
) -> tuple[Tensor, Tensor]:
    grad_angles = angles.new_empty(angles.shape)
    if memory is None or not isinstance(_problem(problem).estimator, Adjoint):
        return grad_angles, angles.new_empty(0)
    return grad_angles, angles.new_empty(memory.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    angles, memory, seed, ctx.problem = inputs
    ctx.save_for_backward(angles, memory, seed)
    ctx.set_materialize_grads(False)  # a None for the final memory saves work


def _autograd(ctx: Any, grad_probs: Tensor | None, grad_memory: Tensor | None) -> tuple[Tensor | None, ...]:
    angles, memory, seed = ctx.saved_tensors
    p = _problem(ctx.problem)
    needs_angles, needs_memory, *_ = ctx.needs_input_grad
    if needs_memory and not isinstance(p.estimator, Adjoint):
        raise ValueError(f"{p.estimator.method!r} gives no gradient by the initial memory; use gradient='adjoint'")
    if grad_probs is None:
        grad_probs = angles.new_zeros(*angles.shape[:2], p.n_outcomes)
    grad_angles, grad_initial = _EVOLVE_BACKWARD(angles, memory, seed, grad_probs, grad_memory, ctx.problem)
    return grad_angles if needs_angles else None, grad_initial if needs_memory else None, None, None


def _no_second_order(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError("qf.evolve: second derivatives are not available; differentiate once, without create_graph=True")


def refuse_other_derivatives(*tensors: Tensor | None) -> None:
    """Raise where a tensor carries a derivative of torch.func or of forward mode, which would be lost."""
    # torch.func's own message would be about an autograd.Function that the user never wrote, forward mode says nothing.
    functorch, dual_level = torch._C._functorch.is_gradtrackingtensor, forward_ad._current_level
    for tensor in tensors:
        if tensor is None:
            continue
        is_dual = dual_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]
        if is_dual or functorch(tensor):
            raise RuntimeError(
                "qf.evolve cannot be differentiated by torch.func (grad, vjp, jvp, jacrev, hessian) nor in forward "
                "mode; use torch.autograd.grad or backward(), which go together with torch.vmap"
            )


def _vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    """Folds the mapped dimension into the batch, for both ops: angles, memory, seed, [gradients], problem."""
    *tensors, problem = args
    refuse_other_derivatives(*tensors)
    n = info.batch_size

    def fold(tensor: Tensor | None, dim: int | None) -> Tensor | None:
        if tensor is None:
            return None
        tensor = tensor.expand(n, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        return tensor.flatten(0, 1)

    seed, seed_dim = tensors[2], in_dims[2]
    if seed_dim is not None:
        seed = seed.select(seed_dim, 0)  # one is enough: rows draw different numbers anyway
    elif info.randomness == "same" and seed is not None:
        raise ValueError("qf.evolve draws numbers; use torch.vmap(randomness='different'), not 'same'")
    folded = [seed if i == 2 else fold(t, d) for i, (t, d) in enumerate(zip(tensors, in_dims, strict=False))]
    outputs = (_EVOLVE if len(tensors) == 3 else _EVOLVE_BACKWARD)(*folded, problem)
    # A result without memory is empty, with nothing to unfold.
    unfolded = tuple(o if o.dim() == 1 else o.unflatten(0, (n, -1)) for o in outputs)
    return unfolded, tuple(None if o.dim() == 1 else 0 for o in outputs)


def _register(name: str, schema: str, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    qualified = f"qrnn_fast::{name}"
    torch.library.define(qualified, schema, tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(qualified, "cpu", kernel)
    torch.library.register_fake(qualified, fake)
    torch.library.register_vmap(qualified, _vmap)
    return getattr(torch.ops.qrnn_fast, name).default


_EVOLVE = _register(
    "evolve",
    "(Tensor angles, Tensor? memory, Tensor? seed, str problem) -> (Tensor, Tensor)",
    _forward,
    _forward_fake,
)
_EVOLVE_BACKWARD = _register(
    "evolve_backward",
    "(Tensor angles, Tensor? memory, Tensor? seed, Tensor grad_probs, Tensor? grad_memory, str problem)"
    " -> (Tensor, Tensor)",
    _backward,
    _backward_fake,
)
torch.library.register_autograd("qrnn_fast::evolve", _autograd, setup_context=_setup_context)
torch.library.register_autograd("qrnn_fast::evolve_backward", _no_second_order)
