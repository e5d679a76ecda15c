"""From inputs to angles: an encoder, and perturbed copies of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qrnn_fast.estimators.base import copies_at_once
from qrnn_fast.packing import Steps


def encode(encoder: nn.Module, x: Tensor, n_angles: int) -> Tensor:
    """Angles (..., A) of an input (..., input), checked."""
    angles = encoder(x)
    if not isinstance(angles, Tensor) or angles.shape != (*x.shape[:-1], n_angles):
        given = tuple(angles.shape) if isinstance(angles, Tensor) else type(angles).__name__
        raise ValueError(f"the encoder must map {tuple(x.shape)} to {(*x.shape[:-1], n_angles)}, got {given}")
    return angles


class Encoding(NamedTuple):
    """An encoder, and copies of those of its parameters that are perturbed.

    Copies see the dropout masks of the forward pass, and what they write to buffers is dropped.

    Attributes:
        encoder: maps (..., input) to (..., A).
        names: of the parameters that are perturbed, in the order in which they are handed over.
        n_angles: A.
        rng_state: torch's before the encoder ran in the forward pass; None where it draws nothing.
    """

    encoder: nn.Module
    names: tuple[str, ...]
    n_angles: int
    rng_state: Tensor | None

    def angles(self, x: Tensor) -> Tensor:
        """Angles (..., A) for the parameters as they are."""
        return encode(self.encoder, x, self.n_angles)

    def copies(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Angles (N, ..., A) for N copies of the parameters, each stacked to (N, ...)."""
        if self.is_linear:
            n = len(parameters[0])
            inputs = x.reshape(-1, x.shape[-1]).expand(n, -1, -1)
            return self._product(inputs, parameters).view(n, *x.shape[:-1], self.n_angles)
        return self._map(lambda copy: self._call(copy, x), parameters)

    def own_copies(self, x: Tensor, steps: Steps, parameters: Sequence[Tensor]) -> Tensor:
        """Angles of sequences with copies of their own, for an encoder that maps every sequence by itself.

        Args:
            x: the batch (B, T, input), or packed data (S, input).
            steps: of the sequences.
            parameters: each stacked to (N, n, ...).

        Returns:
            (N, n, T, A).
        """
        n_copies, n = parameters[0].shape[:2]
        stacked = [p.flatten(0, 1) for p in parameters]
        inputs = x[steps].repeat(n_copies, 1, 1)
        if self.is_linear:
            angles = self._product(inputs, stacked)
        else:
            # A sequence has as many dimensions as the batch has in the forward pass.
            angles = self._map(self._call, stacked, inputs if x.dim() == 2 else inputs.unsqueeze(1))
        return angles.view(n_copies, n, -1, self.n_angles)

    def own_copies_in_batch(self, x: Tensor, steps: Steps, parameters: Sequence[Tensor], limit: int) -> Tensor:
        """The same for any encoder: for each sequence it is run on the whole batch, of which that sequence is taken.

        Args:
            x: the batch (B, T, input), or packed data (S, input).
            steps: of the sequences.
            parameters: each stacked to (N, n, ...).
            limit: bytes that the angles of whole batches may take at a time.

        Returns:
            (N, n, T, A).
        """
        n_copies, n = parameters[0].shape[:2]
        n_steps = x.shape[:-1].numel()
        places = torch.arange(n_steps, device="cpu").view(x.shape[:-1])[steps]
        angles = self._map(
            lambda copy, own: self._call(copy, x).flatten(0, -2)[own],
            [p.flatten(0, 1) for p in parameters],
            places.repeat(n_copies, 1),
            at_once=copies_at_once(limit, n_steps * self.n_angles * parameters[0].itemsize),
        )
        return angles.view(n_copies, n, -1, self.n_angles)

    @property
    def is_linear(self) -> bool:
        """Whether it is the default encoder, whose copies are one batched product, without vmap's quarter of a ms."""
        encoder = self.encoder
        return type(encoder) is nn.Linear and not encoder._forward_hooks and not encoder._forward_pre_hooks

    def _product(self, inputs: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """(M, K, A) for inputs (M, K, input) and parameters (M, ...) of the default encoder."""
        stacked, encoder = dict(zip(self.names, parameters, strict=True)), self.encoder
        assert isinstance(encoder, nn.Linear)
        weight = stacked["weight"] if "weight" in stacked else encoder.weight.expand(len(inputs), -1, -1)
        if encoder.bias is None:
            return torch.bmm(inputs, weight.mT)
        bias = stacked["bias"].unsqueeze(1) if "bias" in stacked else encoder.bias
        return torch.baddbmm(bias, inputs, weight.mT)

    def _call(self, copy: dict[str, Tensor], x: Tensor) -> Tensor:
        angles: Tensor = torch.func.functional_call(self.encoder, copy, (x,), tie_weights=False)
        return angles

    def _map(
        self,
        function: Callable[..., Tensor],
        parameters: Sequence[Tensor],
        *others: Tensor,
        at_once: int | None = None,
    ) -> Tensor:
        """`function` of every copy of the parameters, each stacked to (M, ...), and its part of other tensors."""
        held = dict(self.encoder.named_parameters())
        copies: dict[Tensor, Tensor] = {held[name]: p for name, p in zip(self.names, parameters, strict=True)}
        for buffer in self.encoder.buffers():
            # Copied too: in training mode an encoder may write to them (the running mean of BatchNorm).
            copies[buffer] = buffer.expand(len(parameters[0]), *buffer.shape).clone()
        names = _names(self.encoder)
        stacked = {name: copy for tensor, copy in copies.items() for name in names[tensor]}
        with torch.random.fork_rng(devices=[]) if self.rng_state is not None else nullcontext():
            if self.rng_state is not None:
                torch.set_rng_state(self.rng_state)
            mapped: Tensor = torch.vmap(function, randomness="same", chunk_size=at_once)(stacked, *others)
            return mapped


def _names(encoder: nn.Module) -> dict[Tensor, list[str]]:
    """Parameters and buffers, each with a name for every module that holds it.

    A module that has several names itself counts once: under all of them, torch.func.functional_call would put back one
    of the copies instead of what was there before.
    """
    names: dict[Tensor, list[str]] = {}
    for path, module in encoder.named_modules():
        parameters = module.named_parameters(path, recurse=False, remove_duplicate=False)
        for name, tensor in (*parameters, *module.named_buffers(path, recurse=False, remove_duplicate=False)):
            names.setdefault(tensor, []).append(name)
    return names
