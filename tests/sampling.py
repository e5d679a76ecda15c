"""A backend that samples as backends have to: a sequence's draws follow from the seed and its id alone."""

from __future__ import annotations

import numpy as np
import qrnn_fast as qf
import torch
from torch import Tensor


class Sampler:
    """Exact probabilities of every step, sampled: shot by shot a uniform number picks the outcome.

    Close probabilities and the same numbers give nearly the same outcomes, as they do on a simulator of trajectories.
    The memory is the exact one where `tells_memory`, None elsewhere.

    Attributes:
        drawn: the (seed, id) of every sequence of every sampled call.
    """

    name = "sampler"

    def __init__(self, shots: int | None = None, *, tells_memory: bool = False) -> None:
        self.shots, self.tells_memory = shots, tells_memory
        self.drawn: list[list[tuple[int, int]]] = []

    def run(
        self,
        c: qf.Circuit,
        a: Tensor,
        memory: Tensor | None,
        *,
        shots: int | None = None,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
    ):
        probs, final = qf.backends.Native().run(c, a, memory)
        shots = self.shots if shots is None else shots
        if shots is None:
            return probs, final
        ids = range(len(a)) if sequence_ids is None else sequence_ids.tolist()
        self.drawn.append([(seed, i) for i in ids])
        thresholds = probs.double().cumsum(-1).numpy()[..., :-1]
        frequencies = np.zeros(probs.shape)
        for row, i in enumerate(ids):
            uniform = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, i])).random((a.shape[1], shots))
            outcomes = (uniform[:, :, None] > thresholds[row][:, None]).sum(2)
            for t, step in enumerate(outcomes):
                frequencies[row, t] = np.bincount(step, minlength=probs.shape[2]) / shots
        return torch.from_numpy(frequencies).to(a.dtype), final if self.tells_memory else None
