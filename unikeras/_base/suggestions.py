"""What somebody may have meant by a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known names closest to an unknown one, or nothing where none is close.

    Args:
        name: what came.
        known: what exists.

    Example:
        >>> did_you_mean("GradientTap", ["GradientTape", "grad", "jvp"])
        "Did you mean 'GradientTape'?"
        >>> did_you_mean("nonsense", ["grad"])
        ''
    """
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.7)
    return f"Did you mean {' or '.join(repr(by_lower[each]) for each in close)}?" if close else ""


def missing_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module does not have.

    Example:
        >>> str(missing_attribute("unikeras", "grd", ["grad"]))
        "module 'unikeras' has no attribute 'grd'. Did you mean 'grad'?"
    """
    message = f"module {module!r} has no attribute {name!r}"
    suggestion = did_you_mean(name, known)
    return AttributeError(f"{message}. {suggestion}" if suggestion else message, name=name)
