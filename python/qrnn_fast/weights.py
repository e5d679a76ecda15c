"""Gradients by an encoder's weights from perturbed copies of the weights, shared over steps and batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qrnn_fast.estimators import Evaluation, Perturbation
from qrnn_fast.estimators.base import contract, copies_seed, copy_ids
from qrnn_fast.estimators.prefetch import run_ahead, runs_ahead
from qrnn_fast.evolve import check_tensors, draw_seed
from qrnn_fast.operators import refuse_other_derivatives
from qrnn_fast.packing import Packing


def encode(encoder: nn.Module, x: Tensor, n_angles: int) -> Tensor:
    """Angles (..., A) of an input (..., input), checked."""
    angles = encoder(x)
    if not isinstance(angles, Tensor) or angles.shape != (*x.shape[:-1], n_angles):
        given = tuple(angles.shape) if isinstance(angles, Tensor) else type(angles).__name__
        raise ValueError(f"the encoder must map {tuple(x.shape)} to {(*x.shape[:-1], n_angles)}, got {given}")
    return angles


class EncodedRun(NamedTuple):
    """What a forward pass and its perturbed copies have in common.

    Attributes:
        encoder: maps (..., input) to (..., A).
        names: of the parameters that are perturbed, in the order in which they are handed over.
        packing: where the input is packed data (S, input); None where it is (B, T, input).
        sequence_ids: (B,) int64, what sets the sequences' shots apart; None for their numbers, and where a packing
            knows them.
        evaluation: circuit and backend.
        estimator: SPSA or FDSA.
        seed: where all random numbers of this run start.
        rng_state: torch's before the encoder ran, so that copies see the same dropout masks; None where it draws
            nothing.
    """

    encoder: nn.Module
    names: tuple[str, ...]
    packing: Packing | None
    sequence_ids: Tensor | None
    evaluation: Evaluation
    estimator: Perturbation
    seed: int
    rng_state: Tensor | None

    def encode(self, x: Tensor) -> Tensor:
        """Angles for the parameters as they are."""
        return encode(self.encoder, x, self.evaluation.circuit.n_angles)

    def run(self, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Probabilities and final memory."""

        def run(angles: Tensor, memory: Tensor | None, ids: Tensor | None) -> tuple[Tensor, Tensor | None]:
            check_tensors(self.evaluation.circuit, angles, memory)
            return self.evaluation.run(angles, memory, self.seed, ids)

        return run(angles, memory, self.sequence_ids) if self.packing is None else self.packing.run(run, angles, memory)

    def encode_copies(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Angles (N, ..., A) for N copies of the parameters, each stacked to (N, ...)."""
        n = parameters[0].shape[0]
        encoder, stacked = self.encoder, dict(zip(self.names, parameters, strict=True))
        if type(encoder) is nn.Linear and not encoder._forward_hooks and not encoder._forward_pre_hooks:
            # The default encoder as one batched product, without vmap's overhead of a quarter of a millisecond.
            weight = stacked["weight"] if "weight" in stacked else encoder.weight.expand(n, -1, -1)
            inputs = x.reshape(-1, encoder.in_features).expand(n, -1, -1)
            if encoder.bias is None:
                angles = torch.bmm(inputs, weight.mT)
            else:
                bias = stacked["bias"].unsqueeze(1) if "bias" in stacked else encoder.bias
                angles = torch.baddbmm(bias, inputs, weight.mT)
            return angles.view(n, *x.shape[:-1], encoder.out_features)
        for name, buffer in encoder.named_buffers():
            # Copied too: in training mode an encoder may write to them (the running mean of BatchNorm).
            stacked[name] = buffer.expand(n, *buffer.shape).clone()
        with torch.random.fork_rng(devices=[]) if self.rng_state is not None else nullcontext():
            if self.rng_state is not None:
                torch.set_rng_state(self.rng_state)
            call = torch.func.functional_call
            copies: Tensor = torch.vmap(lambda copy: call(encoder, copy, (x,)), randomness="same")(stacked)
            return copies

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
        point = torch.cat([p.detach().flatten() for p in parameters])
        n_rows = x.shape[0] if self.packing is None else self.packing.groups[-1].rows.stop
        n_copies = self.estimator.n_copies(point.numel())
        seed = copies_seed(self.seed, n_copies) if self.evaluation.is_sampled else self.seed

        def values(points: Tensor, copies: Sequence[int]) -> Tensor:
            n = points.shape[0]
            pieces = points.select(1, 0).split_with_sizes(sizes, 1)
            perturbed = [piece.view(n, *p.shape) for piece, p in zip(pieces, parameters, strict=True)]
            angles = self.encode_copies(x, perturbed)

            def value(
                angles: Tensor, initial: Tensor | None, ids: Tensor | None, by_probs: Tensor, by_final: Tensor | None
            ) -> Tensor:
                initial = None if initial is None else initial.repeat(n, 1, 1)
                drawn = copy_ids(copies, n_copies, ids, len(by_probs)) if self.evaluation.is_sampled else None
                outputs = self.evaluation.run(angles.flatten(0, 1), initial, seed, drawn)
                return contract(n, *outputs, by_probs, by_final).sum(1, keepdim=True)

            if self.packing is None:
                return value(angles, memory, self.sequence_ids, grad_probs, grad_final)
            total = torch.zeros(n, 1, dtype=torch.float64)
            for rows, ids, steps in self.packing.groups:
                total += value(
                    angles[:, steps],
                    None if memory is None else memory[rows],
                    ids,
                    grad_probs[steps],
                    None if grad_final is None else grad_final[rows],
                )
            return total

        outputs_bytes = self.evaluation.bytes_per_copy(n_rows, x.shape[:-1].numel(), point.dtype)
        estimate = self.estimator.estimate(
            point.unsqueeze(0),
            values,
            bytes_per_copy=outputs_bytes + 2 * point.nbytes,
            seed=seed,
        )
        gradient = estimate.to(point.dtype).view(-1)
        return [g.view(p.shape) for g, p in zip(gradient.split_with_sizes(sizes), parameters, strict=True)]


class _OverWeights(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, encoded: EncodedRun, x: Tensor, memory: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        angles = encoded.encode(x)
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

    Args:
        encoder: maps (..., input) to (..., A).
        x: (B, T, input), or packed data (S, input).
        memory: (B, 2^m, 2^m) complex, or None.
        packing: of packed data, None otherwise.
        sequence_ids: (B,) int64, what sets the sequences' shots apart; None for their numbers, and with a packing.
        evaluation: circuit and backend.
        estimator: SPSA or FDSA.
        generator: source of the seed.

    Returns:
        (B, T, 2^r) or (S, 2^r), and (B, 2^m, 2^m) or None.

    Raises:
        ValueError: the input or the memory requires a gradient.
        TypeError: the encoder's trainable parameters have several dtypes.
    """
    refuse_other_derivatives(x, memory)
    for name, tensor in (("input", x), ("initial memory", memory)):
        if tensor is not None and tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"the {name} requires a gradient, which {estimator} does not give, since it perturbs the encoder's "
                f"weights; use wrt='angles'{' and hx.detach()' if tensor is memory else ''}, or gradient='adjoint'"
            )
    trainable = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    if len(dtypes := {p.dtype for p in trainable.values()}) > 1:
        raise TypeError(f"the encoder's trainable parameters must share a dtype, got {sorted(map(str, dtypes))}")
    gradient = bool(trainable) and torch.is_grad_enabled()
    draws = evaluation.is_sampled or (gradient and estimator.draws)
    seed = int(draw_seed(generator)) if draws else 0
    rng_state = torch.get_rng_state() if gradient and encoder.training and type(encoder) is not nn.Linear else None
    encoded = EncodedRun(encoder, tuple(trainable), packing, sequence_ids, evaluation, estimator, seed, rng_state)
    if not gradient:
        return encoded.run(encoded.encode(x), memory)
    outputs: tuple[Tensor, Tensor | None] = _OverWeights.apply(  # type: ignore[no-untyped-call]
        encoded, x, memory, *trainable.values()
    )
    return outputs
