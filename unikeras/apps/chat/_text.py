"""The text that a model learns from; it ships with Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import re

# A phrase as long as a line that a person types.
_PHRASE = re.compile(r"\b[A-Z][a-z ,']{8,32}(?=[.?!,:;(])")


@functools.cache
def zen() -> tuple[str, ...]:
    """Return the lines of The Zen of Python, by Tim Peters (PEP 20), without its title.

    Example:
        >>> len(zen()), zen()[0]
        (19, 'Beautiful is better than ugly.')
    """
    with contextlib.redirect_stdout(io.StringIO()):  # the module prints itself
        module = importlib.import_module("this")
    text = "".join(module.d.get(letter, letter) for letter in module.s)
    return tuple(line for line in text.splitlines()[1:] if line)


@functools.cache
def phrases() -> tuple[str, ...]:
    """Return phrases of Python's documentation, as `help()` shows it.

    Example:
        >>> len(phrases()) > 100, all(len(phrase) < 40 for phrase in phrases())
        (True, True)
    """
    from pydoc_data.topics import topics

    return tuple(dict.fromkeys(phrase for text in topics.values() for phrase in _PHRASE.findall(text)))
