"""Tools for tests of code that uses unikeras."""

from __future__ import annotations

__all__ = ["uninstall_hooks"]


def uninstall_hooks() -> None:
    """Put back every attribute of Keras that unikeras has replaced in this process.

    `unikeras doctor --hooks` lists them. Tapes, functions and models that are made afterwards install what they need
    again; those that were made before must not be used any more, and no other thread may run one meanwhile.

    Example:
        >>> import keras, unikeras as uk
        >>> with uk.GradientTape():
        ...     replaced = keras.Optimizer.apply
        >>> uninstall_hooks()
        >>> keras.Optimizer.apply is replaced
        False
    """
    from unikeras._keras import hooks

    hooks.uninstall()


def __dir__() -> list[str]:
    return sorted(__all__)
