"""Run one side of a comparison: forward, loss, gradients and training steps, and each layer alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.layer_calls import Part, observed, parts_of, walk
from unikeras._keras.variables import is_differentiable
from unikeras._specs.structure import put_together
from unikeras.autodiff import GradientTape
from unikeras.compare._call_recorder import CallRecorder
from unikeras.compare._call_replays import replay_calls
from unikeras.compare._gaps import Array
from unikeras.compare._matched_calls import match_calls
from unikeras.compare._side_records import LayerCall, Samples, SideRun, StepRecord, VariableRecord
from unikeras.functions import function


def run_side(model: Any, samples: Samples, steps: int, reference: SideRun | None = None) -> SideRun:
    """Run a model and return all that it computed; the model is changed by it.

    Args:
        model: a built and compiled `keras.Model` on this process's backend.
        samples: what to run on.
        steps: how many training steps.
        reference: of the first side, whose layers' inputs the layers are also run on; None on the first side itself.
    """
    return _SideRunner(model, samples, steps).run(reference)


class _SideRunner:
    def __init__(self, model: Any, samples: Samples, steps: int) -> None:
        self._model = model
        self._samples = samples
        self._steps = steps
        self._backend = backends.current()
        self._root = parts_of(model)
        self._variables = [*_variables_of(self._root)]
        self._notes: list[str] = []

    def run(self, reference: SideRun | None) -> SideRun:
        begin = time.perf_counter()
        outputs, calls = self._infer()
        trains = self._can_train()
        initial = self._values()
        training, cotangents, steps = self._train() if trains and self._steps else ([], [], [])
        self._restore(initial)
        own = SideRun({}, [], calls, training, cotangents)
        first = reference or own
        pairs = match_calls(first.calls, calls)
        return SideRun(
            {self._backend.name: self._backend.version(), "keras": _keras_version()},
            outputs,
            calls,
            training,
            cotangents,
            [record for record, _ in self._variables],
            initial,
            steps,
            replay_calls(first, [(first.calls[a], calls[b]) for a, b in pairs], self._root),
            self._notes,
            time.perf_counter() - begin,
        )

    def _infer(self) -> tuple[list[Array], list[LayerCall]]:
        recorder, before = CallRecorder(training=False), self._seeds()
        with observed(self._root, recorder):
            outputs = self._outputs()
        calls, _ = recorder.finish()
        drawn = [name for name, seed in self._seeds().items() if np.any(seed != before[name])]
        # A seed may move without a draw that counts.
        if drawn and any(np.any(a != b) for a, b in zip(outputs, self._outputs(), strict=True)):
            self._notes.append(
                f"{', '.join(drawn)}: random draws in inference too, other ones on each side, so that all that depends "
                "on them differs"
            )
        return outputs, calls

    def _outputs(self) -> list[Array]:
        import keras

        return [self._array(one) for one in keras.tree.flatten(self._call(training=False)) if one is not None]

    def _can_train(self) -> bool:
        return self._samples.targets is not None and bool(self._model.trainable_variables)

    def _train(self) -> tuple[list[LayerCall], list[list[Array | None]], list[StepRecord]]:
        calls, cotangents, first = self._first_step()
        records = [first]
        step = self._later_step()
        for _ in range(self._steps - 1):
            loss, gradients = step()
            records.append(self._record(loss, gradients))
        return calls, cotangents, records

    def _first_step(self) -> tuple[list[LayerCall], list[list[Array | None]], StepRecord]:
        """Run the first step eagerly, with the calls of all layers."""
        with GradientTape() as tape:
            recorder = CallRecorder(training=True, see=tape.watch)
            loss, scaled = self._losses(recorder)
        calls, outputs = recorder.finish()
        variables = self._model.trainable_variables
        flat = [one for row in outputs for one in row if is_differentiable(one)]
        gradients = tape.gradient(scaled, [*variables, *flat])
        numbers = iter(map(self._array, gradients[len(variables) :]))
        cotangents = [[next(numbers) if is_differentiable(one) else None for one in row] for row in outputs]
        own = gradients[: len(variables)]
        arrays = list(map(self._array, own))
        self._apply(own)
        return calls, cotangents, self._record(loss, arrays)

    def _later_step(self) -> Callable[[], tuple[Any, list[Any]]]:
        """Return a training step that does not look into the model.

        It is compiled where there are recurrent layers: JAX compiles an eager loop anew in each step.
        """
        import keras

        def step() -> tuple[Any, list[Any]]:
            with GradientTape() as tape:
                loss, scaled = self._losses(CallRecorder(training=True))
            gradients = tape.gradient(scaled, self._model.trainable_variables)
            self._apply(gradients)
            return loss, gradients

        recurrent = any(isinstance(layer, keras.layers.RNN) for layer in self._model._flatten_layers())
        return function(step) if recurrent else step

    def _losses(self, recorder: CallRecorder) -> tuple[Any, Any]:
        with observed(self._root, recorder):
            predicted = self._call(training=True)
            loss = self._model.compute_loss(x=self._x(), y=self._targets(), y_pred=predicted, training=True)
        return loss, self._model.optimizer.scale_loss(loss)

    def _apply(self, gradients: Sequence[Any]) -> None:
        pairs = zip(gradients, self._model.trainable_variables, strict=True)
        known = [pair for pair in pairs if pair[0] is not None]
        self._model.optimizer.apply([one for one, _ in known], [one for _, one in known])

    def _record(self, loss: Any, gradients: Sequence[Any]) -> StepRecord:
        variables = self._model.trainable_variables
        arrays = {id(one): self._array(value) for one, value in zip(variables, gradients, strict=True)}
        trained = [arrays.get(id(variable)) for record, variable in self._variables if record.trainable]
        return StepRecord(float(self._array(loss)), trained, self._values(), self._slots())

    def _slots(self) -> list[tuple[str, int | None, Array]]:
        """Return the optimizer's variables; a slot's name ends in that of its variable and its own."""
        owners = {
            variable.path.replace("/", "_"): number for number, (_, variable) in enumerate(self._variables)
        }
        found = []
        for slot in self._model.optimizer.variables:
            fitting = [path for path in owners if path in slot.path.replace("/", "_")]
            owner = owners[max(fitting, key=len)] if fitting else None
            name = slot.name if owner is None else slot.name.rpartition("_")[2]
            found.append((name, owner, self._array(slot.value)))
        return found

    def _call(self, training: bool) -> Any:
        return self._model(*put_together(self._samples.arguments, self._inputs()), training=training)

    def _inputs(self) -> list[Any]:
        import keras

        return [
            value if value.dtype == object else keras.ops.convert_to_tensor(value)
            for value in self._samples.inputs
        ]

    def _x(self) -> Any:
        arguments = put_together(self._samples.arguments, self._inputs())
        return arguments[0] if len(arguments) == 1 else arguments

    def _targets(self) -> Any:
        import keras

        return keras.tree.map_structure(keras.ops.convert_to_tensor, self._samples.targets)

    def _values(self) -> list[Array]:
        return [self._array(variable.value) for _, variable in self._variables]

    def _restore(self, values: Sequence[Array]) -> None:
        for (_, variable), value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _seeds(self) -> dict[str, Array]:
        return {
            record.layer: self._array(variable.value)
            for record, variable in self._variables
            if "seed_generator" in record.name
        }

    def _array(self, tensor: Any) -> Any:
        if tensor is None or isinstance(tensor, np.ndarray):
            return tensor
        return np.array(self._backend.to_numpy(tensor))


def _variables_of(root: Part) -> list[tuple[VariableRecord, Any]]:
    """Return a model's variables, each with the innermost part that has it, in the order of the parts."""
    import keras

    found: dict[int, tuple[VariableRecord, Any]] = {}
    for part in walk(root):
        if isinstance(part.operation, keras.Layer):
            for variable in part.operation.variables:
                if id(variable) not in found:
                    name = variable.path.rpartition(f"{part.operation.name}/")[2]
                    record = VariableRecord(part.path, name, bool(variable.trainable))
                    found[id(variable)] = record, variable
    return list(found.values())


def _keras_version() -> str:
    import keras

    return str(keras.__version__)
