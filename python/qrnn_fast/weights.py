"""Gradients by an encoder's weights from perturbed copies of the weights.

A copy is shared by all steps, and by all sequences of the batch unless the estimator's `per_sequence` is set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parameter import is_lazy

from qrnn_fast.encoding import Encoding
from qrnn_fast.estimators import Evaluation, Perturbation
from qrnn_fast.estimators.base import contract, copies_seed, copy_ids
from qrnn_fast.estimators.prefetch import run_ahead, runs_ahead
from qrnn_fast.evolve import check_tensors, draw_seed
from qrnn_fast.operators import is_transformed, refuse_other_derivatives
from qrnn_fast.packing import Group, Packing


class EncodedRun(NamedTuple):
    """What a forward pass and its perturbed copies have in common.

    Attributes:
        encoding: the encoder and its perturbed parameters.
        packing: where the input is packed data (S, input); None where it is (B, T, input).
        groups: the sequences of each length.
        evaluation: circuit and backend.
        estimator: SPSA or FDSA.
        seed: where all random numbers of this run start.
        one_by_one: whether the encoder may be run on one sequence at a time, where every one has copies of its own.
    """

    encoding: Encoding
    packing: Packing | None
    groups: Sequence[Group]
    evaluation: Evaluation
    estimator: Perturbation
    seed: int
    one_by_one: bool = True

    def run(self, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Probabilities and final memory."""

        def run(angles: Tensor, memory: Tensor | None, ids: Tensor | None) -> tuple[Tensor, Tensor | None]:
            check_tensors(self.evaluation.circuit, angles, memory)
            return self.evaluation.run(angles, memory, self.seed, ids)

        return (
            run(angles, memory, self.groups[0].ids) if self.packing is None else self.packing.run(run, angles, memory)
        )

    @property
    def n_rows(self) -> int:
        """Number of sequences B."""
        n_rows: int = self.groups[-1].rows.stop
        return n_rows

    @property
    def ids(self) -> Tensor:
        """What sets the sequences' random numbers apart, (B,) int64."""
        return torch.cat([group.ids for group in self.groups])

    def maps_one_by_one(self, x: Tensor, angles: Tensor, parameters: Sequence[Tensor]) -> bool:
        """Whether the encoder gives its angles (..., A) again, but for rounding, when it is run on single sequences.

        It does not where it looks at other sequences (BatchNorm in training mode) or draws numbers (dropout).
        """
        if self.encoding.is_linear:
            return True
        rounding = math.sqrt(torch.finfo(angles.dtype).eps) * (1 + angles.abs().max())
        for group in self.groups:
            forward = angles[group.steps]
            as_they_are = [p.detach().expand(1, len(forward), *p.shape) for p in parameters]
            again = self.encoding.own_copies(x, group.steps, as_they_are).squeeze(0)
            if not ((again - forward).abs() <= rounding).all():
                return False
        return True

    def gradients(
        self,
        x: Tensor,
        memory: Tensor | None,
        parameters: Sequence[Tensor],
        grad_probs: Tensor,
        grad_final: Tensor | None,
    ) -> list[Tensor]:
        """Estimated gradients by the parameters, for the gradients by what `run` returned."""
        sizes = [p.numel() for p in parameters]
        n_rows = self.n_rows
        own = self.estimator.per_sequence and n_rows > 0
        point = torch.cat([p.detach().flatten() for p in parameters]).expand(n_rows if own else 1, -1)
        n_copies = self.estimator.n_copies(point.shape[1])
        seed = copies_seed(self.seed, n_copies) if self.evaluation.is_sampled else self.seed

        def split(points: Tensor) -> list[Tensor]:
            pieces = points.split_with_sizes(sizes, -1)
            return [piece.reshape(*points.shape[:-1], *p.shape) for piece, p in zip(pieces, parameters, strict=True)]

        def values(offsets: Tensor, copies: Sequence[int]) -> Tensor:
            n, points = len(offsets), point + offsets
            shared = self.encoding.copies(x, split(points.squeeze(1))) if points.shape[1] == 1 else None
            terms = torch.empty(n, n_rows, dtype=torch.float64, device=x.device)
            for rows, ids, steps in self.groups:
                if shared is not None:
                    angles = shared[:, steps]
                elif self.one_by_one:
                    angles = self.encoding.own_copies(x, steps, split(points[:, rows]))
                else:
                    limit = self.estimator.memory_limit
                    angles = self.encoding.own_copies_in_batch(x, steps, split(points[:, rows]), limit)
                initial = None if memory is None else memory[rows].repeat(n, 1, 1)
                drawn = copy_ids(copies, n_copies, ids, angles.shape[1]) if self.evaluation.is_sampled else None
                outputs = self.evaluation.run(angles.flatten(0, 1), initial, seed, drawn)
                by_final = None if grad_final is None else grad_final[rows]
                terms[:, rows] = contract(n, *outputs, grad_probs[steps], by_final)
            return terms if own else terms.sum(1, keepdim=True)

        outputs_bytes = self.evaluation.bytes_per_copy(n_rows, x.shape[:-1].numel(), point.dtype)
        estimate = self.estimator.estimate(
            point,
            self.estimator.spread(
                values, len(point), self.evaluation.circuit, x, self.ids, memory, point, grad_probs, grad_final, seed
            ),
            bytes_per_copy=outputs_bytes + 2 * point.numel() * point.itemsize,
            seed=seed,
            ids=self.ids if own else None,
        )
        gradient = estimate.sum(0).to(point.dtype)
        return [g.view(p.shape) for g, p in zip(gradient.split_with_sizes(sizes), parameters, strict=True)]


class _OverWeights(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, encoded: EncodedRun, x: Tensor, memory: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        angles = encoded.encoding.angles(x)
        if encoded.estimator.per_sequence and encoded.n_rows > 1:
            encoded = encoded._replace(one_by_one=encoded.maps_one_by_one(x, angles, parameters))
        forward, backward = encoded.evaluation, encoded.evaluation
        if runs_ahead(encoded.evaluation.backend) and memory is None:
            zeros = angles.new_zeros(*angles.shape[:-1], 2 ** len(encoded.evaluation.circuit.readout))
            forward, backward = run_ahead(
                encoded.evaluation,
                encoded.seed,
                [
                    lambda evaluation: encoded._replace(evaluation=evaluation).run(angles, None),
                    lambda evaluation: encoded._replace(evaluation=evaluation).gradients(
                        x, None, parameters, zeros, None
                    ),
                ],
            )
        probs, final = encoded._replace(evaluation=forward).run(angles, memory)
        ctx.encoded, ctx.shape, ctx.dtype = encoded._replace(evaluation=backward), probs.shape, probs.dtype
        ctx.save_for_backward(x, memory, *parameters)
        ctx.set_materialize_grads(False)
        return probs, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_probs: Tensor | None, grad_final: Tensor | None) -> tuple[Tensor | None, ...]:
        x, memory, *parameters = ctx.saved_tensors
        if grad_probs is None:
            grad_probs = x.new_zeros(ctx.shape, dtype=ctx.dtype)
        return None, None, None, *ctx.encoded.gradients(x, memory, parameters, grad_probs, grad_final)


def over_weights(
    encoder: nn.Module,
    x: Tensor,
    memory: Tensor | None,
    packing: Packing | None,
    sequence_ids: Tensor | None,
    evaluation: Evaluation,
    estimator: Perturbation,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor | None]:
    """Probabilities and final memory of an encoded input, with gradients for the encoder's parameters.

    Parameters that do not require a gradient are not perturbed. The encoder must work under `torch.vmap`. In training
    mode its copies see the forward pass's dropout masks, and what they write to buffers is dropped.

    Where every sequence has copies of its own, the encoder is run on single sequences if that gives the angles of the
    forward pass again; if not (dropout, BatchNorm), each sequence's copies are run on the whole batch, which takes B
    times as long.

    Args:
        encoder: maps (..., input) to (..., A).
        x: (B, T, input), or packed data (S, input).
        memory: (B, 2^m, 2^m) complex, or None.
        packing: of packed data, None otherwise.
        sequence_ids: (B,) int64, what sets the sequences' random numbers apart; None for their numbers, and with a
            packing, which knows them.
        evaluation: circuit and backend.
        estimator: SPSA or FDSA.
        generator: source of the seed.

    Returns:
        (B, T, 2^r) or (S, 2^r), and (B, 2^m, 2^m) or None.

    Raises:
        ValueError: the input or the memory requires a gradient, or the encoder is lazy and has not seen an input yet.
        RuntimeError: a transform of torch.func is at work.
        TypeError: the encoder's trainable parameters have several dtypes.
    """
    refuse_other_derivatives(x, memory)
    if is_transformed():
        raise RuntimeError(
            f"{estimator} does not work under torch.func or torch.vmap; use wrt='angles', or gradient='adjoint'"
        )
    for name, tensor in (("input", x), ("initial memory", memory)):
        if tensor is not None and tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"the {name} requires a gradient, which {estimator} does not give, since it perturbs the encoder's "
                f"weights; use wrt='angles'{' and hx.detach()' if tensor is memory else ''}, or gradient='adjoint'"
            )
    if any(map(is_lazy, encoder.parameters())):
        raise ValueError(
            "the encoder has parameters without a shape yet; call it once, as encoder(x), before the layer"
        )
    trainable = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    if len(dtypes := {p.dtype for p in trainable.values()}) > 1:
        raise TypeError(f"the encoder's trainable parameters must share a dtype, got {sorted(map(str, dtypes))}")
    gradient = bool(trainable) and torch.is_grad_enabled()
    draws = evaluation.is_sampled or (gradient and estimator.draws)
    seed = int(draw_seed(generator)) if draws else 0
    rng_state = torch.get_rng_state() if gradient and encoder.training and type(encoder) is not nn.Linear else None
    encoding = Encoding(encoder, tuple(trainable), evaluation.circuit.n_angles, rng_state)
    if packing is None:
        ids = torch.arange(len(x), device="cpu") if sequence_ids is None else sequence_ids
        groups: tuple[Group, ...] = (Group(slice(0, len(x)), ids, slice(None)),)
    else:
        groups = packing.groups
    encoded = EncodedRun(encoding, packing, groups, evaluation, estimator, seed)
    if not gradient:
        return encoded.run(encoding.angles(x), memory)
    outputs: tuple[Tensor, Tensor | None] = _OverWeights.apply(  # type: ignore[no-untyped-call]
        encoded, x, memory, *trainable.values()
    )
    return outputs
