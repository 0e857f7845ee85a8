"""GradientTape: TensorFlow's tape as TensorFlow documents it, on every backend."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Literal

from unikeras import backends
from unikeras.backends._base import Tape
from unikeras.errors import ArgumentError, TapeError

logger = logging.getLogger("unikeras")


class GradientTape:
    """Record what is computed inside the `with` block, to differentiate it afterwards.

    Trainable Keras variables are watched when they are read; other tensors when `watch` names them.
    Values inside the block are what they are outside: on JAX too they are concrete in eager code, so that
    `float(loss)` and a debugger work.

    Args:
        persistent: allow more than one call of `gradient`; the recording lives as long as the tape.
        watch_accessed_variables: watch trainable variables when they are read.

    Source:
        tf.GradientTape (tensorflow/python/eager/backprop.py), whose documentation is the specification.

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.convert_to_tensor([1.0, 3.0])
        >>> with uk.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = keras.ops.sum(x * x)
        >>> keras.ops.convert_to_numpy(tape.gradient(y, x)).tolist()
        [2.0, 6.0]
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._engine: Tape | None = None
        self._recording = False

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise TapeError("this tape records already; a block inside its own block needs a second tape")
        if self._engine is None:
            self._engine = backends.current().tape(self._persistent, self._watch_accessed)
        self._engine.start()
        self._recording = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._recording and self._engine is not None:
            self._recording = False
            self._engine.stop()

    def watch(self, tensor: Any) -> None:
        """Record what is computed from these tensors from here on.

        Args:
            tensor: a floating or complex tensor of any shape, a Keras variable, or a nested structure of
                them. Integer tensors have no gradient: they are left out, with a warning in the log.

        Raises:
            TapeError: the tape is not recording.
            ArgumentError: a leaf is neither a tensor nor a Keras variable.
        """
        from keras import tree

        if not self._recording or self._engine is None:
            raise TapeError("watch() belongs inside the tape's `with` block, before the computation")
        for leaf in tree.flatten(tensor):
            _check_tensor("watch(tensor)", leaf)
            if _is_differentiable(leaf):
                self._engine.watch(leaf)
            else:
                logger.warning(
                    "a tensor of dtype %s cannot be watched: gradients exist for floating and complex "
                    "dtypes only",
                    _dtype(leaf),
                )

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Literal["none", "zero"] = "none",
    ) -> Any:
        """Return the gradient of a target with respect to sources.

        Args:
            target: a tensor, or a nested structure of tensors, computed inside the block. What is not a
                scalar is summed.
            sources: a nested structure of Keras variables, watched tensors and intermediate results.
            output_gradients: as `target`; the gradients of something further on with respect to the
                target, by which it is weighted. Ones where it is None.
            unconnected_gradients: `"none"` answers None where a source does not influence the target,
                `"zero"` zeros of the source's shape.

        Returns:
            Tensors of the sources' shapes and dtypes, in the sources' structure.

        Raises:
            TapeError: nothing was recorded, or the tape is not persistent and has answered already.
            ArgumentError: a target or source is not a tensor, or the output gradients do not fit the target.
        """
        from keras import tree

        engine = self._answering()
        targets = _flatten("target", target)
        wanted = _flatten("sources", sources)
        weights = _weights(output_gradients, len(targets))
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(f"unconnected_gradients must be 'none' or 'zero', not {unconnected_gradients!r}")
        if not self._persistent:
            self._stop()
            self._engine = None
        gradients = engine.gradient(targets, wanted, weights)
        if not self._persistent:
            engine.release()
        if unconnected_gradients == "zero":
            gradients = [_or_zeros(g, source) for g, source in zip(gradients, wanted, strict=True)]
        return tree.pack_sequence_as(sources, gradients)

    def _answering(self) -> Tape:
        if self._engine is None:
            raise TapeError(
                "this tape holds no recording: it was never entered, or it has answered once already; "
                "uk.GradientTape(persistent=True) answers any number of times"
            )
        return self._engine


def _flatten(argument: str, structure: Any) -> list[Any]:
    from keras import tree

    leaves = tree.flatten(structure)
    for leaf in leaves:
        _check_tensor(argument, leaf)
    return leaves


def _weights(output_gradients: Any, count: int) -> list[Any]:
    from keras import ops, tree

    if output_gradients is None:
        return [None] * count
    weights = tree.flatten(output_gradients)
    if len(weights) != count:
        raise ArgumentError(
            f"output_gradients has {len(weights)} tensors, target has {count}; pass one for each target"
        )
    return [None if weight is None else ops.convert_to_tensor(weight) for weight in weights]


def _check_tensor(argument: str, leaf: Any) -> None:
    import keras

    if not (isinstance(leaf, keras.Variable) or backends.current().is_tensor(leaf)):
        raise ArgumentError(
            f"{argument} holds a {type(leaf).__name__}; it must be a {backends.current().name} tensor or a "
            "keras.Variable (keras.ops.convert_to_tensor makes one)"
        )


def _dtype(tensor: Any) -> str:
    import keras

    return str(keras.backend.standardize_dtype(tensor.dtype))


def _is_differentiable(tensor: Any) -> bool:
    return _dtype(tensor).startswith(("float", "bfloat", "complex"))


def _or_zeros(gradient: Any, source: Any) -> Any:
    from keras import ops

    return ops.zeros_like(ops.convert_to_tensor(source)) if gradient is None else gradient
