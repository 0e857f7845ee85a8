"""How Keras models travel: as the bytes of a .keras file, with the custom code that it names."""

from __future__ import annotations

import gc
import inspect
import io
import json
import sys
import warnings
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from unikeras._keras.without_tensorflow import without_tensorflow


def is_saveable(value: Any) -> bool:
    """Say whether Keras saves this kind of object: a model, a layer, an optimizer, a metric."""
    from unikeras._keras.saving import KerasSaveable

    return isinstance(value, KerasSaveable)


def pack(saveable: Any) -> tuple[bytes, dict[str, Any]]:
    """Return the two arguments of `unpack` that make this object again."""
    from unikeras._keras.saving import KerasSaveable

    # Keras pickles by writing a .keras file to memory, but leaves custom code behind.
    with _distinct_names(saveable):
        with without_tensorflow():
            _, (archive,) = KerasSaveable.__reduce__(saveable)
        with zipfile.ZipFile(archive) as opened:
            config = json.loads(opened.read("config.json"))
        custom = _custom_objects(saveable, config)
    fitted = _fitted(config, custom)
    return _with_config(archive, fitted) if fitted != config else archive.getvalue(), custom


def unpack(archive: bytes, custom_objects: dict[str, Any]) -> Any:
    """Make the object under the backend of this process."""
    from unikeras._keras.saving import load_model

    with warnings.catch_warnings():
        # A key may hold a slash, as those of states do, and a layer's name may not.
        warnings.filterwarnings("ignore", "When providing `inputs` as a dict, all keys")
        # An optimizer that was not used yet has no slots to load.
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        return load_model(io.BytesIO(archive), custom_objects=custom_objects, safe_mode=False)


def _fitted(config: Any, custom: dict[str, Any]) -> Any:
    """Return a saved config without what the constructors of custom classes do not take.

    Keras records name, dtype and whether it trains for every layer, and passes them to `__init__` when it
    loads; a subclass whose `__init__` takes no keywords would not load.
    """
    if isinstance(config, list):
        return [_fitted(item, custom) for item in config]
    if not isinstance(config, dict):
        return config
    kind = custom.get(str(config.get("registered_name") or config.get("class_name")))
    fitted = {key: _fitted(value, custom) for key, value in config.items()}
    if isinstance(kind, type) and isinstance(config.get("config"), dict):
        unknown = _unknown_to(kind)
        fitted["config"] = {
            key: value
            for key, value in fitted["config"].items()
            if key not in unknown or (key == "dtype" and "float32" not in _policy(value))
        }
    return fitted


def _policy(dtype: Any) -> tuple[Any, ...]:
    """Return the names of a saved dtype policy."""
    return (dtype["config"].get("name"),) if isinstance(dtype, dict) else (dtype,)


def _unknown_to(kind: type) -> set[str]:
    """Return those of the keywords of every layer that a class's constructor does not take."""
    import keras

    parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    own_config = kind.get_config not in (keras.Model.get_config, keras.layers.Layer.get_config)  # type: ignore[attr-defined]
    if own_config or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return set()
    return {"name", "trainable", "dtype"} - set(parameters)


def _with_config(archive: io.BytesIO, config: Any) -> bytes:
    """Return a .keras file with another config."""
    written = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(written, "w") as new:
        for entry in old.infolist():
            content = json.dumps(config) if entry.filename == "config.json" else old.read(entry)
            new.writestr(entry, content)
    return written.getvalue()


def _custom_objects(saveable: Any, config: Any) -> dict[str, Any]:
    """Return the classes and functions that a saved config names, by the names that Keras looks for."""
    import keras

    found, missing = {}, {}
    for name, module, attribute in _named(config):
        if module.startswith("keras."):
            found[name] = getattr(keras.optimizers, attribute, None)
        else:
            missing[name] = module, attribute
    # What the object refers to comes first: a class made inside a function is in no module.
    found |= _reachable(saveable, set(missing))
    for name in missing.keys() - found.keys():
        module, attribute = missing[name]
        registered = keras.saving.get_registered_object(name)
        found[name] = registered or getattr(sys.modules.get(module), attribute, None)
    return {name: value for name, value in found.items() if value is not None}


def _named(config: Any) -> Iterator[tuple[str, str, str]]:
    """Yield name, module and attribute of each class or function that is not public in Keras."""
    if isinstance(config, list):
        for item in config:
            yield from _named(item)
    elif isinstance(config, dict):
        module = config.get("module") or "__main__"  # Keras writes null for it
        name = str(config.get("class_name"))
        if name == "function":
            yield config["config"], "", config["config"]  # of functions it keeps no module
        elif "registered_name" in config and _is_private(module):
            yield config["registered_name"] or name, module, name
        for value in config.values():
            yield from _named(value)


def _is_private(module: str) -> bool:
    # Under torch Keras 3.15 saves its optimizers as classes that no other backend can run.
    return not module.startswith("keras.") or module.startswith("keras.src.backend.")


@contextmanager
def _distinct_names(saveable: Any) -> Iterator[None]:
    """Give lambdas, and functions that share a name, names of their own, by which Keras saves them.

    Keras saves a lambda as bytecode, which loses the globals and the cells that it names, and of any other
    function the name alone. Under a name of its own each of them travels as a custom object, by value.
    """
    functions = [value for value in _walk(saveable) if isinstance(value, FunctionType)]
    own = [function for function in functions if not _is_of_keras(function)]
    taken: dict[str, FunctionType] = {}
    renamed = []
    for function in own:
        first = taken.setdefault(function.__name__, function)
        if function.__name__ == "<lambda>" or first is not function:
            renamed.append((function, function.__name__))
    try:
        for number, (function, name) in enumerate(renamed):
            function.__name__ = f"{name.strip('<>')}_unikeras_{number}"
        yield
    finally:
        for function, name in renamed:
            function.__name__ = name


def _is_of_keras(function: FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] == "keras"


def _reachable(root: Any, names: set[str]) -> dict[str, Any]:
    """Return those of the named functions, and classes of instances, that an object refers to."""
    import keras

    found: dict[str, Any] = {}
    for value in _walk(root):
        if not names - found.keys():
            break
        candidate = value if isinstance(value, FunctionType) else type(value)
        name = keras.saving.get_registered_name(candidate)
        if name in names:
            found.setdefault(name, candidate)
    return found


def _walk(root: Any) -> Iterator[Any]:
    """Yield each object that an object refers to, the nearest first."""
    seen, queue = {id(root)}, deque([root])
    while queue:
        value = queue.popleft()
        yield value
        # Through these leads a way to everything that was ever imported.
        if not isinstance(value, FunctionType | ModuleType | type):
            fresh = [inner for inner in gc.get_referents(value) if id(inner) not in seen]
            seen.update(map(id, fresh))
            queue.extend(fresh)
