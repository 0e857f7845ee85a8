"""Which backend runs, and why: the environment, keras.json, or the first that is installed."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from unikeras.backends import _registry
from unikeras.errors import BackendUnavailable, UnknownBackend

logger = logging.getLogger("unikeras")


@dataclass(frozen=True)
class Choice:
    """A backend's name (None where none can run) and the reason for it, as a sentence's end."""

    name: str | None
    reason: str


def keras_json() -> Path:
    """Return the path of Keras' configuration file, found as Keras finds it."""
    home = os.environ.get("KERAS_HOME")
    if home:
        return Path(home) / "keras.json"
    user = Path.home()
    return (user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras" / "keras.json"


def _configured() -> str | None:
    try:
        content = json.loads(keras_json().read_text())
    except (OSError, ValueError):
        return None
    return content.get("backend") if isinstance(content, dict) else None


def choose() -> Choice:
    """Say which backend Keras uses, or would use, in this process; imports nothing, changes nothing.

    Example:
        >>> choose().name in {"tensorflow", "jax", "torch", None}
        True
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return Choice(keras.backend.backend(), "keras is imported and runs on it")
    if named := os.environ.get("KERAS_BACKEND"):
        return _CHOSEN if named == _CHOSEN.name else Choice(named, "KERAS_BACKEND names it")
    installed = _registry.available()
    configured = _configured()
    if configured in installed:
        return Choice(configured, f"{keras_json()} names it")
    if not installed:
        lines = ", ".join(_registry.install_line(name) for name in _registry.names())
        return Choice(None, f"no backend is installed; one of these installs one: {lines}")
    order, first = ", ".join(_registry.names()), installed[0]
    reason = f"KERAS_BACKEND is not set; it is the first installed of {order}"
    if first != _registry.names()[0]:  # Keras' own default, with which `import keras` alone would fail
        reason += f"; set KERAS_BACKEND={first} for scripts that import keras before unikeras"
    return Choice(first, reason)


_CHOSEN = Choice(None, "nothing has been chosen yet")


def settle() -> None:
    """Point Keras to an installed backend where its own default would fail.

    Keras falls back to tensorflow, installed or not, and writes that into keras.json by itself. Where
    nobody chose a backend that is installed, the first installed one goes into KERAS_BACKEND, so that an
    `import keras` after `import unikeras` works. Nothing is imported here.
    """
    global _CHOSEN
    if os.environ.get("KERAS_BACKEND") or "keras" in sys.modules:
        return
    choice = choose()
    if choice.name is None or choice.name == (_configured() or _registry.KERAS_DEFAULT):
        return
    _CHOSEN = choice
    os.environ["KERAS_BACKEND"] = str(choice.name)
    logger.info("backend %s: %s", choice.name, choice.reason)


def current_name() -> str:
    """Return the name of the backend in use, importing keras at the first call.

    Returns:
        `"tensorflow"`, `"torch"` or `"jax"`.

    Raises:
        UnknownBackend: KERAS_BACKEND, or Keras itself, names one that unikeras does not run on.
        BackendUnavailable: the one named is not installed, or none is.

    Example:
        >>> current_name() in ("tensorflow", "jax", "torch")
        True
    """
    choice = choose()
    if choice.name is None:
        raise BackendUnavailable(choice.reason)
    try:
        _registry.check(choice.name)
    except (UnknownBackend, BackendUnavailable) as error:
        raise type(error)(f"{error} (it was asked for because {choice.reason})") from None
    import keras

    return str(keras.backend.backend())
