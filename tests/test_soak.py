"""A long run takes no more memory than a short one; `make soak` makes 100,000 updates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.limits
def test_memory_stays_flat() -> None:
    soak = Path(__file__).parents[1] / "bench" / "soak.py"
    told = subprocess.run([sys.executable, soak, "600"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "adjoint      300 updates" in told.stdout
    assert "spsa         300 updates" in told.stdout
