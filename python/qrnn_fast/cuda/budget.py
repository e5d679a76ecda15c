"""How much of a batch runs at once on a device."""

from __future__ import annotations

from qrnn_fast.cuda.device import Device


def groups_at_once(device: Device, bytes_of_group: int, n_steps: int) -> int:
    """How many groups of sequences the device's memory holds.

    Args:
        device: whose budget it is.
        bytes_of_group: device memory that one of them takes.
        n_steps: of a sequence.

    Raises:
        ValueError: not a single one.
    """
    if bytes_of_group > device.memory_budget:
        raise ValueError(
            f"the work of a sequence of {n_steps} steps needs {bytes_of_group / 1e9:.1f} GB on the GPU, where "
            f"{device.memory_budget / 1e9:.1f} GB are granted; cut the sequence into pieces and hand the memory on, or "
            "use float32"
        )
    return device.memory_budget // max(1, bytes_of_group)
