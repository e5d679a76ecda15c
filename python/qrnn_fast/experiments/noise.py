"""Noise in one line of text, as the option --noise takes it."""

from __future__ import annotations

from typing import NamedTuple

from qrnn_fast import _core, noise

CHANNELS = ("depolarizing", "amplitude_damping", "phase_damping", "bit_flip")
GRAMMAR = (
    f"GATE:CHANNEL=P or readout=P, separated by commas; CHANNEL is {', '.join(CHANNELS[:-1])} or {CHANNELS[-1]}; "
    "readout=P/Q for a P of reading 1 in state 0 and a Q of reading 0 in state 1"
)


class Term(NamedTuple):
    """One source of noise.

    Attributes:
        gate: the gate that it follows; None for readout.
        channel: one of `CHANNELS`, or "readout".
        values: its probability; both of them for readout.
    """

    gate: str | None
    channel: str
    values: tuple[float, ...]


def parse(text: str) -> list[Term]:
    """The terms of a text such as ``crx:depolarizing=0.01,readout=0.02``.

    Raises:
        ValueError: text of another form, an unknown gate or channel, or a number outside of 0 to 1.
    """
    return [_term(part.strip()) for part in text.split(",")]


def make_noise(text: str) -> noise.NoiseModel:
    """The NoiseModel that a text describes.

    Raises:
        ValueError: as of `parse`, or what the channels refuse.
    """
    n_qubits = {op.name: op.n_qubits for op in _core.op_table()}
    model = noise.NoiseModel()
    for gate, channel, values in parse(text):
        if gate is None:
            model.add_readout_error(values)
        elif channel == "depolarizing":
            model.add(noise.depolarizing(values[0], n_qubits[gate]), gate)
        else:
            model.add(getattr(noise, channel)(*values), gate)
    return model


def _term(part: str) -> Term:
    name, separator, value = part.partition("=")
    gate, colon, channel = name.rpartition(":")
    if not separator or bool(colon) == (channel == "readout"):
        raise ValueError(f"noise must be of the form {GRAMMAR}; got {part!r}")
    gates = [op.name for op in _core.op_table() if op.is_gate]
    if colon and gate not in gates:
        raise ValueError(f"noise must name a gate of {', '.join(gates)}; got {gate!r} in {part!r}")
    if colon and channel not in CHANNELS:
        raise ValueError(f"noise must name a channel of {', '.join(CHANNELS)}; got {channel!r} in {part!r}")
    numbers = value.split("/")
    try:
        values = tuple(float(number) for number in numbers)
    except ValueError:
        raise ValueError(f"noise must give a number behind '='; got {part!r}") from None
    if not all(0 <= v <= 1 for v in values) or len(values) > (1 if colon else 2):
        raise ValueError(f"noise must give one probability (readout: one or two) between 0 and 1; got {part!r}")
    return Term(gate, channel, values) if colon else Term(None, channel, (values[0], values[-1]))
