"""The rules of the house, read from source with ast: each rule yields the lines that break it.

A `House` is made of file names, relative to the package, and their source. Lazy imports and those for type checkers
count.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

# The rooms from top to bottom: a room imports only rooms below it. docs/internals.md has the same table.
ROOMS = {
    "cli": "one file a command",
    "chat": "the public name of `apps.chat`",
    "apps": "the demo and the chat, written on public names only",
    "testing": "contract suites for backends and stores",
    "serve": "inference servers over artifacts and models",
    "drawing": "one neutral graph of what a backend runs",
    "interop": "weights and modules of PyTorch, to and from Keras",
    "compare": "parity and speed of backends and artifacts",
    "memory": "sessions and their stores",
    "export": "request, reference, writers, readers, verification",
    "lowering": "a Keras graph as a torch module",
    "callbacks": "`TensorBoard`, `HistoryFile`, `Checkpoint` for `fit`; `SummaryWriter`",
    "training": "`Model`, the loop, the steps, truncated backpropagation",
    "streaming": "`stateful` and its steps; the states of layers",
    "distribute": "processes and collectives",
    "data": "sources, transforms, sampling",
    "layers": "`LSTM`, `GRU`, `accelerate`",
    "functions": "`function` and `debug`",
    "autodiff": "the tape and the transforms",
    "random": "the same numbers on every backend",
    "workers": "a function under another backend, in a process of its own",
    "backends": "one contract and its implementation for each framework",
    "_keras": "all that relies on Keras' private parts",
    "_specs": "pure values that several rooms share",
    "_base": "files, locks, text, optional imports: neither Keras nor a framework",
    "errors": "one tree of errors",
}
ORDER = list(ROOMS)
# These have no door: other rooms import their modules.
GROUND_FLOOR = {"_keras", "_specs", "_base", "errors"}
# `variable_reads` imports Keras, which the door of `backends` must not.
OPEN_MODULES = {"backends.variable_reads"}
# Rooms that use the package as a user does, through `unikeras` itself.
USERS = {"cli", "apps", "testing"}
FRAMEWORKS = {"tensorflow", "torch", "jax"}
# The folders that hold the same parts of backends.
BACKENDS = FRAMEWORKS | {"_contract"}
MAY_IMPORT_FRAMEWORKS = ("lowering/", "export/writers/", "export/readers/")


class Import(NamedTuple):
    """One imported name: of the module `target`, `name` in it or "" for the module itself, bound as `bound`."""

    line: int
    target: str
    name: str
    bound: str


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def dotted(self) -> str:
        return ".".join(Path(self.path).with_suffix("").parts).removesuffix("__init__").rstrip(".")

    @property
    def room(self) -> str:
        return room_of(self.dotted)

    def foreign_imports(self) -> Iterator[tuple[int, str]]:
        """Yield (line, dotted name) of each name imported from outside the package."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(dotted: str) -> str:
    """Return the room of a module; the demo and the chat are rooms of their own, `""` is the package itself."""
    parts = dotted.split(".")
    if parts[0] == "__main__":
        return ""
    return ".".join(parts[:2]) if parts[0] == "apps" else parts[0]


class House:
    """The modules of a package and what each imports."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.modules = {m.dotted: m for m in (Module(p, s) for p, s in sorted(sources.items()))}

    @classmethod
    def of_folder(cls, folder: Path) -> House:
        paths = [path for path in folder.rglob("*.py") if "templates" not in path.relative_to(folder).parts]
        return cls({path.relative_to(folder).as_posix(): path.read_text() for path in paths})

    def imports(self, module: Module) -> Iterator[Import]:
        """Yield what a module imports from the package."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    head, _, rest = alias.name.partition(".")
                    if head == "unikeras":
                        yield Import(node.lineno, rest, "", alias.asname or alias.name)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unikeras":
                base = (node.module or "").removeprefix("unikeras").removeprefix(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    is_module = inner in self.modules
                    target, name = (inner, "") if is_module else (base, alias.name)
                    yield Import(node.lineno, target, name, alias.asname or alias.name)

    def used_names(self, module: Module) -> Iterator[Import]:
        """Yield what a module imports, and the attributes that it reads from an imported module or room."""
        bound = {}
        for found in self.imports(module):
            yield found
            if not found.name:
                bound[found.bound] = found.target
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in bound
            ):
                target = bound[node.value.id]
                if f"{target}.{node.attr}" in self.modules:
                    yield Import(node.lineno, f"{target}.{node.attr}", "", node.attr)
                else:
                    yield Import(node.lineno, target, node.attr, node.attr)

    def names_in_door(self, room: str) -> set[str]:
        """Return what a room's `__init__` binds."""
        names = set()
        for node in ast.walk(self.modules[room].tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
        return names


def imports_upward(house: House) -> Iterator[str]:
    """A room imports only rooms below it; only users' programs and tests import the package itself."""
    for module in house.modules.values():
        top = module.room.partition(".")[0]
        if not top:
            continue
        if top not in ORDER:
            yield f"{module.path}: the table of rooms has no {top}"
            continue
        for found in house.imports(module):
            target = room_of(found.target).partition(".")[0]
            if not target:
                if top not in USERS:
                    yield f"{module.path}:{found.line} imports the package itself"
            elif target not in ORDER:
                yield f"{module.path}:{found.line} imports {target}, which the table of rooms does not have"
            elif ORDER.index(target) < ORDER.index(top):
                yield f"{module.path}:{found.line} imports {target}, which is above {top}"


def imports_past_a_door(house: House) -> Iterator[str]:
    """Other rooms import only what a room's `__init__` binds."""
    for module in house.modules.values():
        for found in house.used_names(module):
            room = room_of(found.target)
            if room in ("", module.room) or room in GROUND_FLOOR or found.target in OPEN_MODULES:
                continue
            if found.target != room:
                yield f"{module.path}:{found.line} imports {found.target} past the door of {room}"
            elif found.name and found.name not in house.names_in_door(room):
                yield f"{module.path}:{found.line} uses {found.name}, which the door of {room} does not have"


def private_names_of_others(house: House) -> Iterator[str]:
    """No module uses an underscored name of another module."""
    for module in house.modules.values():
        for found in house.used_names(module):
            if found.name.startswith("_") and not found.name.startswith("__"):
                yield f"{module.path}:{found.line} uses {found.name} of {found.target or 'the package'}"


def circles(house: House) -> Iterator[str]:
    """No module imports itself by way of others."""
    graph = {name: {i.target for i in house.imports(m)} for name, m in house.modules.items() if name}
    reached = {name: _reach(graph, name) for name in graph}
    seen: set[str] = set()
    for name in sorted(graph):
        circle = {name, *(other for other in reached[name] if name in reached.get(other, ()))}
        if name in reached[name] and not circle & seen:
            seen |= circle
            yield " ".join(sorted(circle))


def _reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph.get(waiting.pop(), ()):
            if target and target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def shared_file_names(house: House) -> Iterator[str]:
    """No two files share a name, unless they are the same part of another backend."""
    places = defaultdict(list)
    for module in house.modules.values():
        path = Path(module.path)
        if path.name not in ("__init__.py", "__main__.py"):
            places[path.name].append(module.path)
    for paths in places.values():
        if len({tuple(part for part in p.split("/") if part not in BACKENDS) for p in paths}) > 1:
            yield " ".join(sorted(paths))


def framework_imports_outside(house: House) -> Iterator[str]:
    """Only a backend, the lowering, the writers and the readers import a framework."""
    for module in house.modules.values():
        if not _is_backend(module) and not module.path.startswith(MAY_IMPORT_FRAMEWORKS):
            for line, name in module.foreign_imports():
                if name.partition(".")[0] in FRAMEWORKS:
                    yield f"{module.path}:{line} imports {name}"


def backend_names_compared(house: House) -> Iterator[str]:
    """Only a backend compares something with a backend's name."""
    for module in house.modules.values():
        if not _is_backend(module):
            for line, text in compared_strings(module.tree):
                if text in FRAMEWORKS:
                    yield f"{module.path}:{line} compares with {text!r}"


def _is_backend(module: Module) -> bool:
    return module.path.startswith(tuple(f"backends/{name}/" for name in FRAMEWORKS))


def compared_strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each string in a comparison or a match."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [c for part in (node.left, *node.comparators) for c in ast.walk(part)]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        else:
            continue
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.lineno, part.value


def keras_private_parts(house: House) -> Iterator[str]:
    """Only `_keras` and the backends use `keras.src` or import an underscored name of Keras."""
    for module in house.modules.values():
        if module.room in ("_keras", "backends"):
            continue
        lines = set()
        for line, name in module.foreign_imports():
            head, *rest = name.split(".")
            if head == "keras" and any(part == "src" or part.startswith("_") for part in rest):
                lines.add((line, name))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "keras.src":
                lines.add((node.lineno, "keras.src"))
        yield from (f"{module.path}:{line} uses {name}" for line, name in sorted(lines))
