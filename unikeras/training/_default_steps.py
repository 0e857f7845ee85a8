"""The steps of a model that brings none of its own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from unikeras.autodiff import GradientTape, gradients_to_apply
from unikeras.training._loop import Loop


class DefaultSteps(Loop):
    """What `keras.Model` does with a batch, written once; made to stand before `keras.Model` among the bases.

    Source: keras/src/backend/tensorflow/trainer.py.
    """

    _chooses_jit_compile = True  # whether compile() left the choice to the backend
    _was_asked_to_choose = False

    @property
    def jit_compile(self: Any) -> Any:
        """Whether steps are compiled, as `keras.Model` has it."""
        return keras.Model.jit_compile.fget(self)

    @jit_compile.setter
    def jit_compile(self: Any, value: Any) -> None:
        keras.Model.jit_compile.fset(self, value)
        self._chooses_jit_compile, self._was_asked_to_choose = self._was_asked_to_choose, False

    def _resolve_auto_jit_compile(self: Any) -> Any:
        self._was_asked_to_choose = True
        return super()._resolve_auto_jit_compile()  # type: ignore[misc]

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """Train on one batch.

        Args:
            data: what the data source gives: x, (x, y) or (x, y, sample_weight).

        Returns:
            Scalars by name.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self._predict(x, training=True)
            loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        if self.trainable_variables:
            gradients = gradients_to_apply(tape, scaled, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
        else:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return dict(self.compute_metrics(x, y, y_pred, sample_weight=sample_weight))

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """Evaluate one batch.

        Args:
            data: as for `train_step`.

        Returns:
            Scalars by name.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self._predict(x, training=False)
        loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return dict(self.compute_metrics(x, y, y_pred, sample_weight=sample_weight))

    def predict_step(self: Any, data: Any) -> Any:
        """Return the model's outputs for one batch.

        Args:
            data: as for `train_step`; y and sample_weight are not looked at.
        """
        return self._predict(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)

    def compute_loss(
        self: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        with _weighing(self._compile_loss, y_pred):
            return super().compute_loss(x, y, y_pred, sample_weight, training)  # type: ignore[misc]

    def compiled_loss(
        self: Any, y: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> Any:
        """Return the loss as models of Keras 2 did, which Keras 3 knows on TensorFlow alone; use `compute_loss`.

        Args:
            y: the targets.
            y_pred: what the model returned.
            sample_weight: the weights of the examples.
            regularization_losses: not looked at; the model's own are added.
        """
        warnings.warn(
            "model.compiled_loss(y, y_pred) is deprecated; use model.compute_loss(x, y, y_pred, sample_weight)",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.compute_loss(x=None, y=y, y_pred=y_pred, sample_weight=sample_weight)

    def _predict(self: Any, x: Any, training: bool) -> Any:
        return self(x, training=training) if self._call_has_training_arg else self(x)

    def _builds_itself(self: Any) -> bool:
        # A model of models has its own steps and often no call(); its first step builds it.
        return not any(_is_overridden(self, step) for step in ("train_step", "test_step"))


def _batch_size(x: Any) -> Any:
    return keras.ops.shape(next(leaf for leaf in keras.tree.flatten(x) if leaf is not None))[0]


@contextlib.contextmanager
def _weighing(loss: Any, y_pred: Any) -> Iterator[None]:
    """Let each output's loss weigh as many rows as a batch has, where the program is one for batches of any size.

    Keras looks for the number in the shape, and lets the batch count as one row if it is not there.
    """
    first = next(iter(keras.tree.flatten(y_pred)), None)
    trackers = list(loss.metrics) if loss is not None and getattr(first, "shape", ())[:1] == (None,) else []
    for tracker in trackers:
        vars(tracker)["update_state"] = _weight_update(tracker, keras.ops.shape(first)[0])
    try:
        yield
    finally:
        for tracker in trackers:
            del vars(tracker)["update_state"]


def _weight_update(tracker: Any, rows: Any) -> Any:
    update = tracker.update_state

    def update_state(value: Any, sample_weight: Any = None) -> Any:
        return update(value, sample_weight=rows if sample_weight is None else sample_weight)

    return update_state


def _is_overridden(model: Any, step: str) -> bool:
    return getattr(type(model), step) is not getattr(DefaultSteps, step)


DefaultSteps.compute_loss.__doc__ = keras.Model.compute_loss.__doc__
