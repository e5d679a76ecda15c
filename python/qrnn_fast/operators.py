"""The torch operations behind `evolve`.

Two ops stand in torch's registry, `qrnn_fast::evolve` and `qrnn_fast::evolve_backward`, for torch.compile, torch.vmap
and whatever else needs to see one. Their arguments are tensors and one string that says what is computed: shots,
gradient, backend and circuit, a line each. Memories are (real, imaginary) pairs in there. An op cannot return None: an
empty tensor of one dimension says that there is no memory. The ops are registered by `torch.library.define`, not
`custom_op`: its first call imports the compiler, which takes seconds.

Plain eager calls go past the registry, whose dispatch takes longer than a short sequence: both ways end in the same two
functions, `_outputs` and `_gradients`.
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
from qrnn_fast.estimators import Adjoint, Estimator, Evaluation, parse
from qrnn_fast.estimators.prefetch import run_ahead, runs_ahead

NATIVE = Native()

# Backend objects by the token that stands for them in the ops' strings. Never removed: a compiled graph may hold the
# token for as long as the process lives. Backends that compare equal share one.
_TOKENS: dict[Backend, str] = {NATIVE: "native"}
_BACKENDS: dict[str, Backend] = {"native": NATIVE}

_PLAIN = (Tensor, torch.nn.Parameter)


def run(
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    sequence_ids: Tensor | None,
    problem: str,
    needs_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """Probabilities (B, T, 2^r) and final memory (B, 2^m, 2^m) or None, differentiable where that is needed.

    Args:
        angles: (B, T, A).
        memory: (B, 2^m, 2^m) complex or None.
        seed: int64 without dimensions, or None where nothing is drawn.
        sequence_ids: (B,) int64, or None for the rows.
        problem: what is computed; see `describe`.
        needs_gradient: whether a derivative will be asked for.
    """
    if _is_traced(angles, memory):
        pairs = None if memory is None else torch.view_as_real(memory.resolve_conj())
        probs, final = _EVOLVE(angles, pairs, seed, sequence_ids, problem)
        return probs, _complex(final)
    if needs_gradient:
        outputs: tuple[Tensor, Tensor | None] = _Direct.apply(  # type: ignore[no-untyped-call]
            angles, memory, (seed, sequence_ids, problem)
        )
        return outputs
    return _outputs(_problem(problem), angles, memory, seed, sequence_ids)


def describe(evaluation: Evaluation, estimator: Estimator) -> str:
    """The string that stands for a computation in the ops."""
    circuit, backend, shots = evaluation
    token = _settle(circuit, backend) if torch.compiler.is_compiling() else _token(backend)
    return f"{shots}\n{estimator.text}\n{token}\n{circuit.to_string()}"


def refuse_other_derivatives(*tensors: Tensor | None) -> None:
    """Raise where a tensor carries a derivative of torch.func or of forward mode, which would be lost."""
    if not is_transformed() and forward_ad._current_level < 0:
        return
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


def is_transformed() -> bool:
    """Whether a transform of torch.func is at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _is_traced(*tensors: Tensor | None) -> bool:
    """Whether torch must see the registered op: under torch.compile, torch.vmap, torch.jit.trace, fake tensors."""
    if torch.compiler.is_compiling() or is_transformed():
        return True
    if torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None:
        return True
    legacy_batched = torch._C._functorch.is_legacy_batchedtensor  # what is_grads_batched=True hands to a backward pass
    return any(t is not None and (type(t) not in _PLAIN or legacy_batched(t)) for t in tensors)


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
    tells_memory: bool  # whether a final memory is returned; fake tensors must know without a run
    runs_ahead: bool  # whether one call serves both passes


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
    backend = evaluation.backend
    return _Problem(
        evaluation,
        parse(gradient),
        2 ** len(circuit.readout),
        2 ** len(circuit.memory),
        tells_memory=isinstance(backend, Native) or not evaluation.is_sampled,
        runs_ahead=runs_ahead(backend),
    )


def _complex(pairs: Tensor | None) -> Tensor | None:
    """The memory that pairs stand for, None for None and for the empty tensor of one dimension."""
    return None if pairs is None or pairs.dim() == 1 else torch.view_as_complex(pairs)


# ---- What is computed.
def _outputs(
    p: _Problem, angles: Tensor, memory: Tensor | None, seed: Tensor | None, sequence_ids: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    probs, final = p.evaluation.run(angles, memory, 0 if seed is None else int(seed), sequence_ids)
    if (final is not None) != p.tells_memory:
        rule = "return the final memory, since it does not sample" if final is None else "return None for the memory"
        raise RuntimeError(f"backend {p.evaluation.backend.name!r} must {rule}")
    return probs, final


def _gradients(
    p: _Problem,
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    sequence_ids: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    start = 0 if seed is None else int(seed)
    return p.estimator.vjp(p.evaluation, angles, memory, grad_probs, grad_memory, start, sequence_ids)


def _run_ahead(p: _Problem, angles: Tensor, seed: Tensor | None, sequence_ids: Tensor | None) -> list[Evaluation]:
    """The evaluations of the forward and of the backward pass, run in one call where they can be."""
    zeros = angles.new_zeros(*angles.shape[:2], p.n_outcomes)

    def forward(evaluation: Evaluation) -> object:
        return _outputs(p._replace(evaluation=evaluation), angles, None, seed, sequence_ids)

    def backward(evaluation: Evaluation) -> object:
        return _gradients(p._replace(evaluation=evaluation), angles, None, seed, sequence_ids, zeros, None)

    return run_ahead(p.evaluation, 0 if seed is None else int(seed), [forward, backward])


def _gradient_of(p: _Problem, grad_probs: Tensor | None, angles: Tensor, needs_memory: bool) -> Tensor:
    """The gradient by the probabilities, zero for None; refuses what the estimator cannot give."""
    if needs_memory and not isinstance(p.estimator, Adjoint):
        raise ValueError(f"{p.estimator.method!r} gives no gradient by the initial memory; use gradient='adjoint'")
    return angles.new_zeros(*angles.shape[:2], p.n_outcomes) if grad_probs is None else grad_probs


class _Direct(torch.autograd.Function):
    """Eager mode: memories as they are, complex or None; arguments that take no gradient in one tuple."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor | None]:
        angles, memory, (seed, sequence_ids, ctx.text) = inputs
        ctx.save_for_backward(angles, memory, seed, sequence_ids)
        ctx.set_materialize_grads(False)  # a None for the final memory saves work
        p = ctx.problem = _problem(ctx.text)
        if p.runs_ahead and memory is None:
            forward, backward = _run_ahead(p, angles, seed, sequence_ids)
            p, ctx.problem = p._replace(evaluation=forward), p._replace(evaluation=backward)
        return _outputs(p, angles, memory, seed, sequence_ids)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        angles, memory, seed, sequence_ids = ctx.saved_tensors
        p: _Problem = ctx.problem
        needs_angles, needs_memory, _ = ctx.needs_input_grad
        grad_probs, grad_memory = _gradient_of(p, grads[0], angles, needs_memory), grads[1]
        grad_initial: Tensor | None
        # With create_graph=True the registered op is needed, too: it refuses to be differentiated.
        if torch.is_grad_enabled() or _is_traced(angles, memory, grad_probs, grad_memory):
            pairs = [None if m is None else torch.view_as_real(m.resolve_conj()) for m in (memory, grad_memory)]
            grad_angles, initial_pairs = _EVOLVE_BACKWARD(
                angles, pairs[0], seed, sequence_ids, grad_probs, pairs[1], ctx.text
            )
            grad_initial = _complex(initial_pairs)
        else:
            grad_angles, grad_initial = _gradients(p, angles, memory, seed, sequence_ids, grad_probs, grad_memory)
        return grad_angles if needs_angles else None, grad_initial if needs_memory else None, None


# ---- The registered ops.
def _forward(
    angles: Tensor, memory: Tensor | None, seed: Tensor | None, sequence_ids: Tensor | None, problem: str
) -> tuple[Tensor, Tensor]:
    memory = None if memory is None else _complex(memory.contiguous())
    probs, final = _outputs(_problem(problem), angles, memory, seed, sequence_ids)
    return probs, angles.new_empty(0) if final is None else torch.view_as_real(final)


def _forward_fake(
    angles: Tensor, memory: Tensor | None, seed: Tensor | None, sequence_ids: Tensor | None, problem: str
) -> tuple[Tensor, Tensor]:
    p = _problem(problem)
    n_rows, n_steps = angles.shape[:2]
    probs = angles.new_empty(n_rows, n_steps, p.n_outcomes)
    return probs, angles.new_empty((n_rows, p.dim, p.dim, 2) if p.tells_memory else 0)


def _backward(
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    sequence_ids: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
    problem: str,
) -> tuple[Tensor, Tensor]:
    initial = None if memory is None else _complex(memory.contiguous())
    grad_final = None if grad_memory is None else _complex(grad_memory.contiguous())
    p = _problem(problem)
    grad_angles, grad_initial = _gradients(p, angles, initial, seed, sequence_ids, grad_probs, grad_final)
    if memory is None or grad_initial is None:
        return grad_angles, angles.new_empty(0)
    return grad_angles, torch.view_as_real(grad_initial)


def _backward_fake(
    angles: Tensor,
    memory: Tensor | None,
    seed: Tensor | None,
    sequence_ids: Tensor | None,
    grad_probs: Tensor,
    grad_memory: Tensor | None,
    problem: str,
) -> tuple[Tensor, Tensor]:
    grad_angles = angles.new_empty(angles.shape)
    if memory is None or not isinstance(_problem(problem).estimator, Adjoint):
        return grad_angles, angles.new_empty(0)
    return grad_angles, angles.new_empty(memory.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    angles, memory, seed, sequence_ids, ctx.text = inputs
    ctx.save_for_backward(angles, memory, seed, sequence_ids)
    ctx.set_materialize_grads(False)  # a None for the final memory saves work


def _autograd(ctx: Any, grad_probs: Tensor | None, grad_memory: Tensor | None) -> tuple[Tensor | None, ...]:
    angles, memory, seed, sequence_ids = ctx.saved_tensors
    needs_angles, needs_memory, *_ = ctx.needs_input_grad
    grad_probs = _gradient_of(_problem(ctx.text), grad_probs, angles, needs_memory)
    grad_angles, grad_initial = _EVOLVE_BACKWARD(angles, memory, seed, sequence_ids, grad_probs, grad_memory, ctx.text)
    return grad_angles if needs_angles else None, grad_initial if needs_memory else None, None, None, None


def _no_second_order(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError("qf.evolve: second derivatives are not available; differentiate once, without create_graph=True")


def _vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    """Folds the mapped dimension into the batch, for both ops: angles, memory, seed, ids, [gradients], problem."""
    *tensors, problem = args
    refuse_other_derivatives(*tensors)
    n = info.batch_size

    def fold(tensor: Tensor | None, dim: int | None) -> Tensor | None:
        if tensor is None:
            return None
        tensor = tensor.expand(n, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        return tensor.flatten(0, 1)

    dims, seed, ids = list(in_dims), tensors[2], tensors[3]
    seed_dim = dims[2]
    if seed_dim is not None:
        seed = seed.select(seed_dim, 0)  # one is enough: rows draw different numbers anyway
    elif info.randomness == "same" and seed is not None:
        raise ValueError("qf.evolve draws numbers; use torch.vmap(randomness='different'), not 'same'")
    if ids is not None and dims[3] is None:
        # Ids that are not mapped: every element of the map gets its own, counted on from the largest.
        tensors[3], dims[3] = ids + (ids.max() + 1) * torch.arange(n, device="cpu")[:, None], 0
    folded = [seed if i == 2 else fold(t, d) for i, (t, d) in enumerate(zip(tensors, dims, strict=False))]
    outputs = (_EVOLVE if len(tensors) == 4 else _EVOLVE_BACKWARD)(*folded, problem)
    # A result without memory is empty, with nothing to unfold.
    unfolded = tuple(o if o.dim() == 1 else o.unflatten(0, (n, -1)) for o in outputs)
    return unfolded, tuple(None if o.dim() == 1 else 0 for o in outputs)


def _register(name: str, schema: str, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    qualified = f"qrnn_fast::{name}"
    torch.library.define(qualified, schema, tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(qualified, Native.devices, kernel)
    torch.library.register_fake(qualified, fake)
    torch.library.register_vmap(qualified, _vmap)
    return getattr(torch.ops.qrnn_fast, name).default


_EVOLVE = _register(
    "evolve",
    "(Tensor angles, Tensor? memory, Tensor? seed, Tensor? sequence_ids, str problem) -> (Tensor, Tensor)",
    _forward,
    _forward_fake,
)
_EVOLVE_BACKWARD = _register(
    "evolve_backward",
    "(Tensor angles, Tensor? memory, Tensor? seed, Tensor? sequence_ids, Tensor grad_probs, Tensor? grad_memory,"
    " str problem) -> (Tensor, Tensor)",
    _backward,
    _backward_fake,
)
torch.library.register_autograd("qrnn_fast::evolve", _autograd, setup_context=_setup_context)
torch.library.register_autograd("qrnn_fast::evolve_backward", _no_second_order)
