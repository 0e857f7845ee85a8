"""The reference: one page for each package of public names, made from docstrings before Sphinx reads the sources.

A public name without a docstring stops the build. `tests/single/test_reference.py` checks that no package is missing.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGES = [
    "unikeras",
    "unikeras.random",
    "unikeras.layers",
    "unikeras.training",
    "unikeras.callbacks",
    "unikeras.data",
    "unikeras.data.transforms",
    "unikeras.streaming",
    "unikeras.memory",
    "unikeras.chat",
    "unikeras.export",
    "unikeras.lowering",
    "unikeras.interop",
    "unikeras.compare",
    "unikeras.drawing",
    "unikeras.workers",
    "unikeras.backends",
    "unikeras.testing",
    "unikeras.errors",
]
# Rooms whose door also serves other rooms: what of it is public.
CHOSEN = {
    "unikeras.export": ("Artifact", "ArtifactReport", "ExportReport", "Offer", "Signature", "TensorSpec"),
    "unikeras.lowering": ("register",),
    "unikeras.workers": ("shutdown",),
}


def write_pages(app: Sphinx) -> None:
    """Write `reference/<package>.md` and their index; a page whose text is the same is not written again."""
    from sphinx.errors import ExtensionError

    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    modules = {name: importlib.import_module(name) for name in PACKAGES}
    if missing := undocumented():
        raise ExtensionError(f"public names without a docstring: {', '.join(missing)}")
    pages = {f"{name}.md": _page(name, module) for name, module in modules.items()}
    pages["index.md"] = _index(modules)
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a package offers, modules left out: they have pages of their own."""
    names = CHOSEN.get(module.__name__) or getattr(module, "__all__", None)
    names = names or [name for name in vars(module) if not name.startswith("_")]
    return sorted(
        (n for n in names if not inspect.ismodule(getattr(module, n)) and _is_ours(module, n)), key=str.lower
    )


def entries(package: str) -> list[str]:
    """Return the names whose entry is on the page of a package: those that the top level does not offer itself."""
    module, top = importlib.import_module(package), importlib.import_module("unikeras")
    at_top = {id(getattr(top, name)) for name in top.__all__}
    return [
        name
        for name in public_names(module)
        if package == "unikeras" or id(getattr(module, name)) not in at_top
    ]


def undocumented() -> list[str]:
    """Return the public names that have no docstring of their own, as `package.name`."""
    return [
        f"{package}.{name}"
        for package in PACKAGES
        for name in entries(package)
        if not _own_docstring(getattr(importlib.import_module(package), name))
    ]


def _own_docstring(value: Any) -> str:
    """Return what a name says of itself; a class inherits nothing."""
    return str((vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)) or "")


def _is_ours(module: ModuleType, name: str) -> bool:
    home = getattr(getattr(module, name), "__module__", None) or "unikeras"
    return str(home).startswith("unikeras")


def _page(name: str, module: ModuleType) -> str:
    lines = [f"# {name}", "", _summary(module), "", *_names_at_top(name, module)]
    lines += ["```{eval-rst}", f".. currentmodule:: {name}", ""]
    for member in entries(name):
        value = getattr(module, member)
        lines += [f".. auto{_kind(value)}:: {name}.{member}", *_options(value), ""]
    return "\n".join([*lines, "```", ""])


def _names_at_top(package: str, module: ModuleType) -> list[str]:
    """Say which names of a package have their entry on the page of the top level."""
    names = [f"`{name}`" for name in public_names(module) if name not in entries(package)]
    return [f"{', '.join(names)}: see [unikeras](unikeras.md).", ""] if names else []


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) else "data"


def _options(value: Any) -> list[str]:
    return ["   :members:"] if inspect.isclass(value) and not issubclass(value, BaseException) else []


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
