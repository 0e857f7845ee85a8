"""The site: `tox run -e docs` writes it to docs/_build/html."""

import os
import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

import keras  # noqa: E402

project = "unikeras"
author = "The unikeras developers"
copyright = author
version = release = installed("unikeras")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "api_reference",
    "framework_tabs",
    "markdown_texts",
    "notebook_downloads",
]
exclude_patterns = ["_build", "_extensions"]
root_doc = "index"

# Pages that begin with `file_format: mystnb` are notebooks, executed at every build; a cell that fails stops it.
nb_execution_mode = os.environ.get("UNIKERAS_DOCS_EXECUTION", "force")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
# What frameworks log at import is not the page's.
nb_output_stderr = "remove"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {"backend": keras.backend.backend()}

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "references_style"), "Files"]

html_theme = "furo"
html_title = f"unikeras {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
nitpicky = False
linkcheck_anchors = False
