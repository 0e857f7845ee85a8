"""Keras as it was before unikeras was used."""

from __future__ import annotations


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
