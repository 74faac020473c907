"""Builds the documentation: `sphinx-build -W docs docs/_build`."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import memo_tf  # noqa: E402

project = "memo_tf"
author = "The memo_tf authors"
version = release = memo_tf.__version__

extensions = [
  "myst_nb",  # Markdown and notebooks
  "sphinx.ext.autodoc",
  "sphinx.ext.doctest",
  "sphinx.ext.napoleon",
]
# Notebooks are committed with their outputs; tests execute them.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "memo_tf"
html_static_path: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes and ranges
autodoc_inherit_docstrings = False
napoleon_use_ivar = True  # the fields of dataclasses are documented once
# Docstrings are plain text: a single backquote marks code.
default_role = "code"
