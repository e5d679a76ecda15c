"""Settings of the documentation's site; `make docs` builds it into build/docs."""

import importlib.metadata
import logging
from typing import Any

project = "qrnn_fast"
author = "the qrnn_fast contributors"
version = release = importlib.metadata.version("qrnn_fast")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
source_suffix = {".md": "markdown"}
highlight_language = "none"  # of blocks that name none

# Docstrings name arguments, shapes and values in single backticks: code, and no references.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False  # what stands before a colon there is a shape as often as a type

# A package of furo's lets every logger of the process speak.
logging.getLogger("qiskit").setLevel(logging.WARNING)

# References that lead to other packages' documentation, which a build without a network cannot look up.
nitpick_ignore_regex = [("py:.*", r"(collections|numpy|os|pathlib|qiskit|torch)\..*|QuantumCircuit|Parameter|Kraus")]

myst_heading_anchors = 3

html_theme = "furo"
html_title = f"qrnn_fast {version}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


def escape_bars(app: object, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    """Let the bars of |0> be bars: outside code, reStructuredText takes them for substitutions."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[i] = "`".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_bars)
