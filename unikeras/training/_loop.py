"""fit, evaluate and predict, once for all backends.

Keras has a trainer per backend; they differ in how state goes through a step, and in how data comes to it. With steps
that are `uk.function`s the first difference is gone, and a backend's `batches` holds the second. Callbacks see
variables that always hold their values, on JAX too, and may change them after any batch.

Source: the arguments and the order of calls follow keras/src/backend/torch/trainer.py.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import tree

from unikeras import backends
from unikeras._keras.trainer_parts import (
    CallbackList,
    EpochIterator,
    class_weight_to_sample_weights,
    filter_traceback,
    max_epochs,
    pythonify_logs,
    train_validation_split,
    unpack_x_y_sample_weight,
)
from unikeras.data import adapted
from unikeras.errors import ArgumentValueError
from unikeras.functions import is_debugging
from unikeras.training import _compiled_steps
from unikeras.training._decisions import Decisions


class _Batches(EpochIterator):
    """Lists of as many batches as one execution takes, from any source that Keras knows."""

    def _get_iterator(self) -> Any:
        return backends.current().batches(self.data_adapter)

    def _enumerate_iterator(self) -> Any:
        if hasattr(self.data_adapter, "hand_out"):
            self._num_batches = self.data_adapter.batches_of_pass
        yield from super()._enumerate_iterator()

    def __next__(self) -> tuple[int, int, list[Any]]:
        begin, end, iterator = next(self._epoch_iterator)
        # The last execution of an epoch may have fewer batches.
        batches = list(itertools.islice(iterator, self.steps_per_execution))
        if not batches:
            with self.catch_stop_iteration():  # which warns, and remembers how many batches there were
                raise StopIteration
            raise StopIteration
        if hasattr(self.data_adapter, "hand_out"):
            self.data_adapter.hand_out(len(batches))
        return begin, end, batches


class Loop:
    """The loops of a `keras.Model`; the model brings `train_step`, `test_step` and `predict_step`."""

    _decisions: Decisions | None = None

    @filter_traceback
    def fit(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        self._assert_compile_called("fit")
        _refuse_strategies(self)
        epochs = _cap(epochs)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split(
                (x, y, sample_weight), validation_split=validation_split
            )
        batches = self._batches(
            x=x,
            y=y,
            sample_weight=sample_weight,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
            trains=True,
        )
        validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        self._build_on(batches)
        callbacks = self._callbacks(callbacks, verbose, epochs, batches, add_history=True)
        self.make_train_function()
        self.stop_training = False
        training_logs: Any = {}
        callbacks.on_train_begin()
        for epoch in range(self._initial_epoch or initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            batches.steps_per_execution = self.steps_per_execution
            logs = self._train_epoch(batches, callbacks)
            training_logs = dict(self._get_metrics_result_or_logs(logs))
            if validation is not None and self._should_eval(epoch, validation_freq):
                validation_logs = self._evaluate(validation, callbacks)
                training_logs |= {f"val_{name}": value for name, value in validation_logs.items()}
            callbacks.on_epoch_end(epoch, training_logs)
            if self.stop_training:
                break
        if isinstance(self.optimizer, keras.Optimizer) and epochs > 0:
            self.optimizer.finalize_variable_values(self.trainable_weights)
        callbacks.on_train_end(logs=training_logs)
        return self.history

    @filter_traceback
    def evaluate(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        self._assert_compile_called("evaluate")
        _refuse_strategies(self)
        batches = self._batches(
            x=x, y=y, sample_weight=sample_weight, batch_size=batch_size, steps_per_epoch=steps, shuffle=False
        )
        self._build_on(batches)
        logs = self._evaluate(batches, self._callbacks(callbacks, verbose, 1, batches))
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    @filter_traceback
    def predict(
        self: Any,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        _refuse_strategies(self)
        batches = self._batches(x=x, batch_size=batch_size, steps_per_epoch=steps, shuffle=False)
        callbacks = self._callbacks(callbacks, verbose, 1, batches)
        backends.current().set_training(self, False)
        self.make_predict_function()
        self.stop_predicting = False
        callbacks.on_predict_begin()
        outputs = []
        for begin, end, data in batches:
            callbacks.on_predict_batch_begin(begin)
            self.make_predict_function()  # a callback may have called compile()
            output = self.predict_function(data)
            outputs.append(output)
            callbacks.on_predict_batch_end(end, {"outputs": output})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        return tree.map_structure(lambda *parts: backends.current().concatenate(parts), *outputs)

    @filter_traceback
    def train_on_batch(
        self: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        self._assert_compile_called("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ArgumentValueError("train_on_batch takes sample_weight or class_weight, not both")
            sample_weight = class_weight_to_sample_weights(y, class_weight)
        data = (x, y, sample_weight)
        self._build_on(data_batch=data)
        self.reset_metrics()
        return self._logs_of(self._execute([data]), return_dict)

    @filter_traceback
    def test_on_batch(
        self: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        self._assert_compile_called("test_on_batch")
        data = (x, y, sample_weight)
        self._build_on(data_batch=data)
        self.make_test_function()
        self.reset_metrics()
        return self._logs_of(self.test_function([data]), return_dict)

    @filter_traceback
    def predict_on_batch(self: Any, x: Any) -> Any:
        self.make_predict_function()
        outputs = self.predict_function([(x,)])
        return tree.map_structure(lambda output: backends.current().concatenate([output]), outputs)

    def make_train_function(self: Any, force: bool = False) -> Any:
        # What is trained is part of the compiled step: what a callback freezes is frozen from the next batch on.
        decisions = self._decisions
        if self.train_function is None or force or decisions is None or not decisions.hold(self):
            self._decisions = Decisions(self)
            self.train_function = _compiled_steps.build_train_function(self)
        return self.train_function

    def make_test_function(self: Any, force: bool = False) -> Any:
        if self.test_function is None or force:
            self.test_function = _compiled_steps.build_test_function(self)
        return self.test_function

    def make_predict_function(self: Any, force: bool = False) -> Any:
        if self.predict_function is None or force:
            self.predict_function = _compiled_steps.build_predict_function(self)
        return self.predict_function

    def _execute(self: Any, data: Any) -> Any:
        """Train on the batches of one execution, with a step for what the model is now."""
        self.make_train_function()
        logs = self.train_function(data)
        if self._decisions is not None and not self._decisions.final:
            self._decisions = Decisions(self, final=True)
        return logs

    def _train_epoch(self: Any, batches: _Batches, callbacks: CallbackList) -> Any:
        backends.current().set_training(self, True)
        logs: Any = {}
        heard = _is_heard(callbacks)
        for begin, end, data in batches:
            if heard:
                callbacks.on_train_batch_begin(begin)
            logs = self._execute(data)
            if heard:
                callbacks.on_train_batch_end(end, logs)
            if self.stop_training:
                break
        backends.current().set_training(self, False)
        return logs

    def _evaluate(self: Any, batches: _Batches, callbacks: CallbackList) -> Any:
        batches.reset()
        backends.current().set_training(self, False)
        self.make_test_function()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        logs: Any = {}
        self.reset_metrics()
        for begin, end, data in batches:
            callbacks.on_test_batch_begin(begin)
            self.make_test_function()
            logs = self.test_function(data)
            callbacks.on_test_batch_end(end, logs)
            if self.stop_evaluating:
                break
        logs = pythonify_logs(self._get_metrics_result_or_logs(logs))
        callbacks.on_test_end(logs)
        return logs

    def _batches(self: Any, trains: bool = False, **arguments: Any) -> _Batches:
        return _Batches(**adapted(arguments, trains), steps_per_execution=self.steps_per_execution)

    def _validation(self, data: Any, batch_size: int | None, steps: int | None) -> _Batches | None:
        if data is None:
            return None
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        return self._batches(
            x=x, y=y, sample_weight=sample_weight, batch_size=batch_size, steps_per_epoch=steps, shuffle=False
        )

    def _callbacks(
        self: Any, callbacks: Any, verbose: Any, epochs: int, batches: _Batches, add_history: bool = False
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=add_history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=batches.num_batches,
            model=self,
        )

    def _build_on(self: Any, batches: _Batches | None = None, data_batch: Any = None) -> None:
        """Build what is not built yet on symbolic data; a model with steps of its own may be built by them."""
        if is_debugging():
            return  # losses and layers must only see concrete values; they build themselves in the first step
        if batches is not None:
            data_batch = _look_up(batches)
        try:
            self._symbolic_build(iterator=batches if data_batch is None else None, data_batch=data_batch)
        except (RuntimeError, ValueError, NotImplementedError):
            if self._builds_itself():
                raise
        if batches is not None:
            batches.reset()

    def _logs_of(self: Any, logs: Any, return_dict: bool) -> Any:
        logs = pythonify_logs(logs)
        return logs if return_dict else self._flatten_metrics_in_order(logs)


def _look_up(batches: _Batches) -> Any:
    """Return a batch of data that to read would change: a source with a position, a PyDataset with workers."""
    adapter = batches.data_adapter
    if hasattr(adapter, "look_up"):
        return adapter.look_up()
    if getattr(adapter, "enqueuer", None) is None:
        return None
    return adapter._standardize_batch(adapter.py_dataset[0])


def _cap(epochs: int) -> int:
    """Return at most as many epochs as Keras' configuration allows, for runs that only try things out."""
    most = max_epochs()
    if most and most < epochs:
        warnings.warn(f"Limiting epochs to {most}", stacklevel=4)
        return int(most)
    return epochs


_BATCH_METHODS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def _is_heard(callbacks: CallbackList) -> bool:
    """Say whether a callback listens to training batches: handing over logs costs as much as a small step."""

    def listens(callback: Any, methods: Sequence[str]) -> bool:
        return any(
            getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name) for name in methods
        )

    return any(
        listens(callback, _BATCH_METHODS) or isinstance(callback, keras.callbacks.LambdaCallback)
        for callback in callbacks.callbacks
    )


def _refuse_strategies(model: Any) -> None:
    if getattr(model, "_distribute_strategy", None) is not None:
        raise ArgumentValueError(
            f"model {model.name!r} was made under a tf.distribute strategy, which uk.Model does not run; "
            "use keras.Model for it, or make the model outside the strategy's scope"
        )


for _name in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"):
    getattr(Loop, _name).__doc__ = getattr(keras.Model, _name).__doc__
