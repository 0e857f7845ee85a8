"""What a training loop needs: batches in, outputs out, and variables that survive a failing step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unikeras.backends._contract.modules import NativeModule


@dataclass(frozen=True)
class KeptValue:
    """A snapshot of a variable's value.

    Attributes:
        restore: puts the value back into the variable.
        release: says that the value is no longer needed.
    """

    restore: Callable[[], None]
    release: Callable[[], None] = lambda: None


class Trainer(ABC):
    """How a framework feeds, runs and guards a training loop."""

    @abstractmethod
    def batches(self, adapter: Any) -> Iterable[Any]:
        """Return the batches of a Keras data adapter in the form that is fastest for steps on this backend.

        Args:
            adapter: a `keras.src.trainers.data_adapters.DataAdapter`.

        Returns:
            Nested structures of numpy arrays or native tensors, each of shape (batch, ...), in the order that the
            adapter has for numpy where it can.
        """

    def concatenate(self, outputs: Sequence[Any]) -> Any:
        """Join a model's outputs for several batches along the first axis.

        Args:
            outputs: at least one native tensor or numpy array, each of shape (batch, ...).

        Returns:
            A numpy array. Where other axes differ in size, or outputs are sparse, what the framework has for such.
        """
        import numpy as np
        from keras import ops

        arrays = [np.asarray(ops.convert_to_numpy(output)) for output in outputs]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    @abstractmethod
    def set_training(self, model: Any, training: bool) -> None:
        """Tell the framework's own modules inside a Keras model whether the model is being trained.

        Args:
            model: a Keras model.
            training: True for training, False for inference.
        """

    def move(self, variable: Any, device: str) -> None:  # noqa: B027 - most frameworks mix devices in a step
        """Bring a variable to a device, where the framework does not compute with variables on different ones.

        Args:
            variable: a Keras variable of any shape and dtype.
            device: one of `devices()`.
        """

    @abstractmethod
    def snapshot(self, variable: Any) -> KeptValue:
        """Keep the value of a variable that is about to change.

        Args:
            variable: a Keras variable, or an object with a native tensor as `_value`, of any shape and dtype. It may
                be assigned to, or change in place.

        Returns:
            The value, which can be restored.
        """

    def on_native_write(  # noqa: B027 - most frameworks have no modules of their own in Keras
        self, hook: Callable[[list[Any]], None]
    ) -> None:
        """Report state of the framework's own modules, such as buffers, before it changes in place.

        Args:
            hook: called with a list of what `snapshot` takes.
        """

    def native_variables(self, model: Any) -> list[Any]:
        """Return the state of the framework's own modules that no Keras variable holds, such as buffers.

        Args:
            model: a Keras model or layer.

        Returns:
            Objects with `path`, `value` (a native tensor) and `assign(value)`, as Keras variables have them.
        """
        return []

    def wrap_module(self, module: Any) -> NativeModule | None:
        """Return a module of this framework as something that a Keras layer runs.

        Args:
            module: a module of any framework.

        Returns:
            The module with its weights as Keras variables; None where it is of another framework.

        Raises:
            ArgumentValueError: the module has weights without values.
        """
        return None

    def generator_state(self) -> dict[str, Any]:
        """Return the state of the framework's own generators, which draws without a seed use.

        Returns:
            Numpy arrays and numbers by name; none where the framework has no such generators.
        """
        return {}

    def restore_generator_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - see above
        """Put back what `generator_state` returned.

        Args:
            state: what it returned; the states of devices that are not here are skipped.
        """

    @abstractmethod
    def profile(self, folder: Path) -> AbstractContextManager[None]:
        """Record what the framework runs inside the block.

        Args:
            folder: of a TensorBoard run; the record goes to `plugins/profile/<time>/` in it, in the framework's own
                format for TensorBoard's profile plugin, for Perfetto, or both.

        Returns:
            A context manager; at its end the record is written.
        """

    @abstractmethod
    def profiled_step(self, name: str, number: int) -> AbstractContextManager[Any]:
        """Mark a training step in the record.

        Args:
            name: what is shown.
            number: of the step.

        Returns:
            A context manager around the step.
        """

    def plain_step(
        self, model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Any], Any] | None:
        """Return a train step as the framework's own guides write it, to measure unikeras against.

        Args:
            model: a Keras model with one output.
            optimizer: a Keras optimizer.
            loss_fn: called with targets and outputs, each of shape (batch, ...); returns the loss of each example or
                its mean.

        Returns:
            A function of numpy arrays (x, y), each of shape (batch, ...), that trains the model and returns its loss;
            None where no such step is known.
        """
        return None

    def plain_prediction(self, model: Any) -> Callable[[Any], Any] | None:
        """Return a prediction as the framework's own guides write it, to measure unikeras against.

        Args:
            model: a Keras model.

        Returns:
            A function of x, a nested structure of numpy arrays of shape (batch, ...), that returns numpy; None where
            no such prediction is known.
        """
        return None
