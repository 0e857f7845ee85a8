"""What is not installed, as one sentence with the pip line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unikeras._base.optional import is_installed, pip_line


def describe_missing(purpose: str, needs: Mapping[str, Sequence[str]]) -> str | None:
    """Say which modules are absent and which command brings them, or None where all are there.

    Args:
        purpose: what they are needed for, as the subject of the sentence.
        needs: for each extra of the package, the top-level modules of it that are needed.

    Example:
        >>> describe_missing("reading", {"demo": ["json"]}) is None
        True
        >>> describe_missing("flying", {"torch": ["no_such_module"]})
        'flying needs no_such_module, not installed here: pip install no_such_module'
    """
    absent = [name for modules in needs.values() for name in modules if not is_installed(name)]
    if not absent:
        return None
    return f"{purpose} needs {', '.join(absent)}, not installed here: {pip_line(*absent)}"
