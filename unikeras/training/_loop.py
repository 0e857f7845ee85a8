"""fit, evaluate and predict, once for all backends.

Keras has a trainer per backend; they differ in how state goes through a step, and in how data comes to it. With steps
that are `uk.function`s the first difference is gone, and a backend's `batches` holds the second. Callbacks see
variables that always hold their values, on JAX too, and may change them after any batch.

Source: the arguments and the order of calls follow keras/src/backend/torch/trainer.py.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import keras
from keras import tree

from unikeras import backends
from unikeras._keras.attached_optimizers import attached_optimizers
from unikeras._keras.trainer_parts import (
    CallbackList,
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
from unikeras.training._batches import Batches
from unikeras.training._decisions import Decisions
from unikeras.training._fit_run import FitRun, SavedFitRun
from unikeras.training._fit_saver import choose_saver, without_savers
from unikeras.training._listeners import Listeners
from unikeras.training._positioned_batches import PositionedBatches
from unikeras.training._run_settings import describe_run

AnyBatches = Batches | PositionedBatches


def _beside_weights(method: Any) -> Any:
    """Let a method of a model run on the device that holds its weights: batches and new state go there."""

    @functools.wraps(method)
    def run(model: Any, *args: Any, **kwargs: Any) -> Any:
        with backends.beside(model.weights) as device:
            if device is not None:
                _bring(model, device)
            return method(model, *args, **kwargs)

    return run


def _bring(model: Any, device: str) -> None:
    """Bring what was made where `compile` was called to the device of the weights."""
    optimizers = [getattr(model, "optimizer", None), *attached_optimizers(model).values()]
    slots = [variable for optimizer in optimizers for variable in getattr(optimizer, "variables", ())]
    for variable in [*model.variables, *model.metrics_variables, *slots]:
        backends.current().move(variable, device)


class Loop:
    """The loops of a `keras.Model`; the model brings `train_step`, `test_step` and `predict_step`."""

    _decisions: Decisions | None = None

    @_beside_weights
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
        resume: Any = None,
    ) -> Any:
        self._assert_compile_called("fit")
        _refuse_strategies(self)
        saver = choose_saver(callbacks, resume)
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
        if saver is not None:
            batches = PositionedBatches(batches)
        validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        self._build_on(batches)
        callbacks = self._callbacks(without_savers(callbacks), verbose, epochs, batches, add_history=True)
        run = FitRun()
        if saver is not None:
            settings = describe_run(self, batches, validation, validation_freq)
            run = SavedFitRun(self, saver, batches, callbacks, settings, resumes=resume is not None)
        self.make_train_function()
        self.stop_training = False
        with run.opened():
            callbacks.on_train_begin()
            training_logs: Any = {}
            for epoch in run.epochs(self._initial_epoch or initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                batches.steps_per_execution = self.steps_per_execution
                training_logs = self._train_epoch(batches, callbacks, run)
                if validation is not None and self._should_eval(epoch, validation_freq):
                    if not run.is_validating:
                        run.end_training(training_logs)
                    validation_logs = self._evaluate(validation, callbacks, run)
                    training_logs |= {f"val_{name}": value for name, value in validation_logs.items()}
                callbacks.on_epoch_end(epoch, training_logs)
                run.end_epoch(epoch, training_logs)
                if self.stop_training:
                    break
            run.finish()
            if isinstance(self.optimizer, keras.Optimizer) and epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            callbacks.on_train_end(logs=training_logs or run.logs or {})
        return self.history

    @_beside_weights
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

    @_beside_weights
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

    @_beside_weights
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

    @_beside_weights
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

    @_beside_weights
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

    def _train_epoch(self: Any, batches: AnyBatches, callbacks: CallbackList, run: FitRun) -> dict[str, Any]:
        """Train on what is left of an epoch, and return its logs."""
        logs = run.begin_epoch()
        if run.is_validating:
            return dict(logs)
        backends.current().set_training(self, True)
        listeners = Listeners(callbacks.callbacks)
        for begin, end, data in () if run.is_stopped else batches:
            if heard := listeners.hear(begin, end):
                callbacks.on_train_batch_begin(begin)
            logs = self._execute(data)
            if heard:
                callbacks.on_train_batch_end(end, logs)
            if run.is_saved:
                run.end_batch(begin, data, logs)
            if self.stop_training:
                break
        backends.current().set_training(self, False)
        return dict(self._get_metrics_result_or_logs(logs))

    def _evaluate(self: Any, batches: Batches, callbacks: CallbackList, run: FitRun | None = None) -> Any:
        run = run or FitRun()
        batches.reset()
        backends.current().set_training(self, False)
        self.make_test_function()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        evaluated, logs = run.begin_validation()
        for begin, end, data in batches:
            data = data[max(evaluated - begin, 0) :]
            if not data:
                continue
            callbacks.on_test_batch_begin(begin)
            self.make_test_function()
            logs = self.test_function(data)
            callbacks.on_test_batch_end(end, logs)
            run.end_validation_batch(data, logs)
            if self.stop_evaluating:
                break
        logs = pythonify_logs(self._get_metrics_result_or_logs(logs))
        callbacks.on_test_end(logs)
        return logs

    def _batches(self: Any, trains: bool = False, **arguments: Any) -> Batches:
        return Batches(**adapted(arguments, trains), steps_per_execution=self.steps_per_execution)

    def _validation(self, data: Any, batch_size: int | None, steps: int | None) -> Batches | None:
        if data is None:
            return None
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        return self._batches(
            x=x, y=y, sample_weight=sample_weight, batch_size=batch_size, steps_per_epoch=steps, shuffle=False
        )

    def _callbacks(
        self: Any, callbacks: Any, verbose: Any, epochs: int, batches: AnyBatches, add_history: bool = False
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

    def _build_on(self: Any, batches: AnyBatches | None = None, data_batch: Any = None) -> None:
        """Build what is not built yet on symbolic data; a model with steps of its own may be built by them."""
        if is_debugging():
            return  # losses and layers must only see concrete values; they build themselves in the first step
        if batches is not None:
            data_batch = batches.look_up()
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


def _cap(epochs: int) -> int:
    """Return at most as many epochs as Keras' configuration allows, for runs that only try things out."""
    most = max_epochs()
    if most and most < epochs:
        warnings.warn(f"Limiting epochs to {most}", stacklevel=5)
        return int(most)
    return epochs


def _refuse_strategies(model: Any) -> None:
    if getattr(model, "_distribute_strategy", None) is not None:
        raise ArgumentValueError(
            f"model {model.name!r} was made under a tf.distribute strategy, which uk.Model does not run; "
            "use keras.Model for it, or make the model outside the strategy's scope"
        )


_RESUME = """
            resume: A folder to go on from, in the middle of an epoch too, and to save checkpoints in; after each epoch,
                unless `callbacks` has a `uk.callbacks.Checkpoint`. A folder that is missing or empty begins the run
                anew. A run that is finished returns at once.
"""


def _with_resume(doc: str) -> str:
    """Return Keras' text on fit, with our argument behind Keras' last one."""
    before, marker, after = doc.partition("\n\n        Unpacking behavior")
    return before + _RESUME.rstrip() + marker + after


for _name in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"):
    getattr(Loop, _name).__doc__ = getattr(keras.Model, _name).__doc__
if Loop.fit.__doc__:
    Loop.fit.__doc__ = _with_resume(Loop.fit.__doc__)
