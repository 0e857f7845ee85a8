"""A module that its own source makes: what runs in this process is what a file of it runs."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from unikeras._base.files import written_atomically
from unikeras.errors import ArgumentValueError, CannotLower, OutputError
from unikeras.lowering.sources._class_text import ClassText, class_text

# How a class is made of its source, wherever a module of it is unpickled: Keras and unikeras may be missing there.
_REBUILD = """
def rebuild(source, room, name):
    import linecache, sys, types

    found = sys.modules.get(room)
    if found is None:
        found = types.ModuleType(room)
        found.__file__ = f"<{room}>"
        lines = source.splitlines(True)
        linecache.cache[found.__file__] = (len(source), None, lines, found.__file__)
        sys.modules[room] = found
        exec(compile(source, found.__file__, "exec"), vars(found))
        for one in list(vars(found).values()):
            if isinstance(one, type) and one.__module__ == room:
                one.__reduce_ex__ = reduced(source, room, one.__name__)
    made = getattr(found, name)
    return made.__new__(made)


def reduced(source, room, name):
    def __reduce_ex__(self, protocol):
        kept = self.__getstate__() if hasattr(self, "__getstate__") else vars(self)
        return eval, (call, {"rebuilding": rebuilding, "arguments": (source, room, name)}), kept

    return __reduce_ex__
"""
_CALL = """(lambda room: (
    room.update(rebuilding=rebuilding, call=rebuilding[1]),
    exec(rebuilding[0], room),
    room["rebuild"](*arguments),
)[-1])({})"""
_REBUILDING = (_REBUILD, _CALL)


class WrittenModule(nn.Module):
    """What `to_torch` returns: a module of the class that its source has, which can write that source to a file."""

    __jit_unused_properties__ = ("source",)

    @property
    def source(self) -> str:
        """The class as Python source, which imports only torch."""
        return str(vars(type(self))["_written"].text)

    def save_source(
        self, path: str | os.PathLike[str], *, weights: str = "pt", overwrite: bool = False
    ) -> Path:
        """Write the module as Python source, with its weights in a second file beside it.

        The file imports torch alone. Its `load()` returns the module with the weights.

        Args:
            path: of the source, such as `"net.py"`.
            weights: `"pt"`, a state_dict that torch reads by itself, or `"safetensors"`.
            overwrite: whether existing files may be replaced.

        Returns:
            The path of the source.

        Raises:
            OutputError: a file is there already, or cannot be written.
            CannotLower: the module holds modules whose source is not known; they are named.
            ArgumentValueError: the path does not end in `.py`, `weights` is none of these, or the module was changed
                since it was made, so that its source no longer fits.

        Source: the file's class is an ordinary `torch.nn.Module`.

        Example:
            >>> import keras, tempfile
            >>> import unikeras as uk
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
            >>> path = uk.interop.to_torch(model).save_source(tempfile.mkdtemp() + "/net.py")
            >>> sorted(file.name for file in path.parent.iterdir())
            ['net.pt', 'net.py']
        """
        found: ClassText = vars(type(self))["_written"]
        path = Path(path)
        if path.suffix != ".py":
            raise ArgumentValueError(f"source is written to a .py file; received {path.name!r}")
        if weights not in ("pt", "safetensors"):
            raise ArgumentValueError(f"weights is {weights!r}; it can be 'pt' or 'safetensors'")
        if found.unknown:
            lines = [f"  {name}: a {kind}" for name, kind in found.unknown.items()]
            raise CannotLower(
                "\n".join(["these modules have no source that a file could hold:", *lines]), found.unknown
            )
        beside = path.with_suffix(f".{weights}")
        existing = [one for one in (path, beside) if one.exists()]
        if existing and not overwrite:
            raise OutputError(f"{existing[0]} exists; pass overwrite=True to replace it")
        state = self._fitting_state()
        with written_atomically(path, beside=beside.suffix) as temporary:
            temporary.write_text(_file_text(found, weights), encoding="utf-8")
            _save(state, temporary.with_suffix(beside.suffix))
        return path

    def _fitting_state(self) -> dict[str, torch.Tensor]:
        state = {name: value.detach().cpu() for name, value in self.state_dict().items()}
        with torch.device("meta"):
            expected = type(self)().state_dict()
        differing = sorted(
            name
            for name in {*state, *expected}
            if name not in state or name not in expected or state[name].shape != expected[name].shape
        )
        if differing:
            raise ArgumentValueError(
                f"the module was changed since it was made, and its source no longer fits: {', '.join(differing)}"
            )
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> WrittenModule:
        other: WrittenModule = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other


def written(lowered: fx.GraphModule, model_name: str, about: list[str]) -> WrittenModule:
    """Return the module that the source of a lowered module makes, with the same tensors.

    Args:
        lowered: the lowered module, in training mode but for what is frozen.
        model_name: the name of the Keras model.
        about: the lines of the class' docstring.
    """
    text = class_text(lowered, model_name, about)
    room = f"written_{text.name.lower()}_{hashlib.sha256(text.text.encode()).hexdigest()[:12]}"
    scope: dict[str, Any] = {"rebuilding": _REBUILDING, "call": _CALL}
    exec(_REBUILD, scope)
    plain = type(scope["rebuild"](text.text, room, text.name))
    kind = type(text.name, (WrittenModule, plain), {"_written": text, "__module__": room})
    with torch.device("meta"):
        module: WrittenModule = kind()
    for path in text.unknown:
        holder, _, name = path.rpartition(".")
        setattr(module.get_submodule(holder), name, lowered.get_submodule(path))
    _fill(module, lowered)
    return module


def _fill(module: nn.Module, lowered: nn.Module) -> None:
    for path, holder in lowered.named_modules():
        target = module.get_submodule(path)
        for name, parameter in holder.named_parameters(recurse=False):
            setattr(target, name, parameter)
        for name, buffer in holder.named_buffers(recurse=False):
            setattr(target, name, buffer)


def _save(state: Mapping[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".pt":
        torch.save(dict(state), path)
        return
    from safetensors.torch import save_file

    save_file({name: value.contiguous().clone() for name, value in state.items()}, path)


_LOADS = {
    "pt": ("", "torch.load(path, weights_only=True)"),
    "safetensors": ("    from safetensors.torch import load_file\n\n", "load_file(path)"),
}
_LOAD = """

def load(weights: str | Path | None = None) -> {name}:
    \"\"\"Return the module with its weights, in evaluation mode.\"\"\"
{imports}    path = weights or Path(__file__).with_suffix(".{suffix}")
    net = {name}()
    net.load_state_dict({loads})
    return net.eval()
"""


def _file_text(found: ClassText, weights: str) -> str:
    head = '"""A module of PyTorch; load() returns it with its weights."""\n\n'
    standard = "from typing import Any\n"
    if found.text.startswith(standard):
        text = "from pathlib import Path\n" + found.text
    else:
        text = "from pathlib import Path\n\n" + found.text
    imports, loads = _LOADS[weights]
    return head + text + _LOAD.format(name=found.name, imports=imports, suffix=weights, loads=loads)
