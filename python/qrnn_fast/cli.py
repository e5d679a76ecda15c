"""The command line: `qrnn-fast`, or `python -m qrnn_fast`."""

from __future__ import annotations

import sys

_EXTRA = {"markdown_it", "matplotlib", "rich", "scipy", "typer"}


def main() -> None:
    """Run the command line."""
    try:
        from qrnn_fast.experiments.commands import app
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"qrnn-fast needs {error.name}, which is not installed: pip install 'qrnn_fast[experiments]'")
    app()
