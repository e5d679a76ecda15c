"""Sequences of different lengths in one batch."""

from __future__ import annotations

import pytest
import torch
from layers import GRADIENTS, inputs, layer, memory, parameter_gradients, value_of
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence


@pytest.mark.parametrize("gradient", GRADIENTS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_sequences_of_their_own(gradient: object, batch_first: bool) -> None:
    lengths = [3, 6, 1, 3]
    model, rho = layer(gradient=gradient, batch_first=batch_first), memory(4)
    x = inputs(4, 6) if batch_first else inputs(4, 6).transpose(0, 1)
    rows = list(x if batch_first else x.transpose(0, 1))
    padded = x.clone()
    for i, n in enumerate(lengths):
        (padded[i, n:] if batch_first else padded[n:, i]).fill_(float("nan"))  # nobody looks there
    output, h_n = model(padded, rho, lengths=lengths)
    found = parameter_gradients(model, value_of(output, h_n))
    alone = [model(row[:n], rho[:, i]) for i, (row, n) in enumerate(zip(rows, lengths, strict=True))]
    expected = parameter_gradients(model, sum(value_of(*o) for o in alone))
    for i, n in enumerate(lengths):
        row = output[i] if batch_first else output[:, i]
        torch.testing.assert_close(row[:n], alone[i][0], rtol=0, atol=1e-12)
        assert torch.equal(row[n:], torch.zeros_like(row[n:]))
        torch.testing.assert_close(h_n[:, i], alone[i][1], rtol=0, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sort", [True, False])
def test_packed_sequences_as_in_gru(sort: bool) -> None:
    lengths = [5, 3, 3, 1] if sort else [3, 1, 5, 3]
    x, rho = inputs(4, 5), memory(4)
    packed = pack_sequence([row[:n] for row, n in zip(x, lengths, strict=True)], enforce_sorted=sort)
    model, gru = layer(), nn.GRU(3, 4, dtype=torch.float64)
    output, h_n = model(packed, rho)
    like, _ = gru(packed)
    assert torch.equal(output.batch_sizes, like.batch_sizes)
    for ours, theirs in (
        (output.sorted_indices, like.sorted_indices),
        (output.unsorted_indices, like.unsorted_indices),
    ):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)
    padded, expected = model(x.transpose(0, 1), rho, lengths=lengths)
    torch.testing.assert_close(pad_packed_sequence(output)[0], padded)
    torch.testing.assert_close(h_n, expected)


def test_wrong_lengths() -> None:
    model, x = layer(), inputs(5, 2)
    for lengths, kind, match in (
        ([5], ValueError, r"shape \(2,\)"),
        ([5, 0], ValueError, "between 1 and 5"),
        ([6, 1], ValueError, "between 1 and 5"),
        ([1.0, 2.0], TypeError, "integers"),
    ):
        with pytest.raises(kind, match=match):
            model(x, lengths=lengths)
    with pytest.raises(ValueError, match="batched"):
        model(x[:, 0], lengths=[5])
    with pytest.raises(ValueError, match="PackedSequence"):
        model(pack_padded_sequence(x, torch.tensor([5, 2])), lengths=[5, 2])
    output, h_n = model(x[:, :0], lengths=[])
    assert output.shape == (5, 0, 4)
    assert h_n.shape == (1, 0, 4, 4)
