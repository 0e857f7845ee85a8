"""The reference: one page for each package of public names, made from docstrings before Sphinx reads the sources.

A public name without a docstring stops the build.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PACKAGES = [
    "unikeras",
    "unikeras.random",
    "unikeras.layers",
    "unikeras.training",
    "unikeras.callbacks",
    "unikeras.data",
    "unikeras.data.transforms",
    "unikeras.memory",
    "unikeras.interop",
    "unikeras.compare",
    "unikeras.backends",
    "unikeras.testing",
    "unikeras.errors",
]


def write_pages(app: Sphinx) -> None:
    """Write `reference/<package>.md` and their index; a page whose text is the same is not written again."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    modules = {name: importlib.import_module(name) for name in PACKAGES}
    missing = [f"{name}.{member}" for name, module in modules.items() for member in _undocumented(module)]
    if missing:
        raise ExtensionError(f"public names without a docstring: {', '.join(missing)}")
    pages = {f"{name}.md": _page(name, module) for name, module in modules.items()}
    pages["index.md"] = _index(modules)
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a package offers, modules left out: they have pages of their own."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return sorted(
        (n for n in names if not inspect.ismodule(getattr(module, n)) and _is_ours(module, n)), key=str.lower
    )


def _is_ours(module: ModuleType, name: str) -> bool:
    home = getattr(getattr(module, name), "__module__", None) or "unikeras"
    return str(home).startswith("unikeras")


def _undocumented(module: ModuleType) -> list[str]:
    return [name for name in public_names(module) if not inspect.getdoc(getattr(module, name))]


def _page(name: str, module: ModuleType) -> str:
    lines = [f"# {name}", "", "```{eval-rst}", f".. currentmodule:: {name}", ""]
    for member in public_names(module):
        value = getattr(module, member)
        lines += [f".. auto{_kind(value)}:: {name}.{member}", *_options(value), *_elsewhere(name, member), ""]
    return "\n".join([*lines, "```", ""])


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) else "data"


def _options(value: Any) -> list[str]:
    return ["   :members:"] if inspect.isclass(value) and not issubclass(value, BaseException) else []


def _elsewhere(package: str, member: str) -> list[str]:
    """A name of the top level has its entry there; the package's page shows it too."""
    return (
        ["   :no-index:"]
        if package != "unikeras" and member in importlib.import_module("unikeras").__all__
        else []
    )


def _index(modules: dict[str, ModuleType]) -> str:
    rows = [f"| [{name}]({name}.md) | {_summary(module)} |" for name, module in modules.items()]
    tree = ["```{toctree}", ":hidden:", "", *modules, "```"]
    head = ["# Reference", "", "Made from the docstrings; each example there is executed by the tests.", ""]
    return "\n".join([*head, "| package | |", "|---|---|", *rows, "", *tree, ""])


def _summary(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the writer of the pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
