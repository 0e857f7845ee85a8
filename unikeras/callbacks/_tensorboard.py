"""`TensorBoard`: what keras.callbacks.TensorBoard writes, and more, on every backend."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from unikeras._keras.trainer_parts import pythonify_logs
from unikeras.callbacks._embedding_tables import EmbeddingTables
from unikeras.callbacks._event_file import check_address, tensorboardx
from unikeras.callbacks._histograms import add_activations, add_gradients, add_weights
from unikeras.callbacks._hyperparameters import hyperparameter_summaries
from unikeras.callbacks._learning_rate import learning_rates, steps_done
from unikeras.callbacks._runs import BATCH, Runs
from unikeras.callbacks._step_counter import StepCounter, check_frequency
from unikeras.callbacks._step_profile import StepProfile
from unikeras.callbacks._summary_writer import SummaryWriter
from unikeras.errors import ArgumentError, ArgumentValueError


class TensorBoard(keras.callbacks.Callback):
    """Writes metrics, weights and the graph of a model for TensorBoard, without TensorFlow; works in any `fit`.

    Tags and folders are those of keras.callbacks.TensorBoard: `epoch_loss` in the runs `train` and `validation`, one
    chart with two curves, and with `update_freq` `batch_loss` over the steps. Learning rates and steps per second are
    written beside the metrics. A run that goes on (`fit(initial_epoch=5)`, or after `restore`) takes the place of what
    a killed one wrote from there on. A disk that fails is a warning, and the training goes on. Only the process of rank
    0 writes.

    Args:
        log_dir: the folder; `tensorboard --logdir` takes it, or the one above it.
        histogram_freq: write histograms of all weights each so many epochs; 0 for never.
        write_graph: whether to write the model's graph, a node for each layer, and its summary as a text.
        write_images: whether to write weights as pictures too, their range as black to white, with the histograms.
        write_steps_per_second: whether to write how many batches are trained on in a second.
        update_freq: `"epoch"`, or write metrics each so many batches as well; `"batch"` is 1.
        profile_batch: the batch, or the first and the last one, counted from 1, to record with the backend's profiler
            (`uk.training.profile`); 0 for none.
        embeddings_freq: write the tables of `keras.layers.Embedding` for the projector each so many epochs.
        embeddings_metadata: labels of their rows: a list, or the name of a file with a line for each; or a dict of
            these by the names of layers.
        gradients: whether to write histograms of gradients, with those of weights. They are computed anew on
            `sample`, in training mode; the training itself stays as it was.
        activations: whether to write histograms of what each layer computes for `sample` in inference.
        sample: `(x, y)` or `(x, y, sample_weight)`, a small batch of arrays for gradients and activations.
        hparams: hyperparameters by name, for TensorBoard's table of runs.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: an argument has a value that means nothing, or `sample` is missing.
        MissingDependency: tensorboardX is not installed.
        OutputError: `log_dir` is an address, or, when the training begins, cannot be written.

    Source: keras.callbacks.TensorBoard.

    Example:
        >>> import keras, numpy as np, pathlib
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.zeros((8, 2), "float32")
        >>> _ = model.fit(x, x[:, :1], validation_split=0.5, verbose=0, callbacks=[TensorBoard("logs")])
        >>> sorted(path.name for path in pathlib.Path("logs").iterdir())
        ['train', 'validation']
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = True,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        *,
        gradients: bool = False,
        activations: bool = False,
        sample: Any = None,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        tensorboardx("summary")  # where it is missing, it is said here
        self.log_dir = Path(log_dir)
        check_address(self.log_dir)
        self.histogram_freq = check_frequency("histogram_freq", histogram_freq)
        self.update_freq = _check_update_freq(update_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.gradients, self.activations, self.sample = gradients, activations, sample
        _check_sample(gradients or activations, sample, self.histogram_freq)
        self.hparams = dict(hparams or {})
        hyperparameter_summaries(self.hparams, [])
        self._tables = EmbeddingTables(embeddings_freq, embeddings_metadata, self.log_dir)
        self._profile = StepProfile(profile_batch, self.log_dir.absolute() / "train")
        self._counter = StepCounter()
        self._runs = Runs(self.log_dir.absolute())
        self._in_fit = self._has_begun = self._is_restored = False
        self._heard_at = self._epoch_began = (0, 0.0)

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: how many steps were trained."""
        return {"step": self._counter.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with a run: the next `fit` continues the curves in `log_dir`.

        Args:
            state: what `state` was when the checkpoint was made.
        """
        self._counter.restore(int(state["step"]))
        self._is_restored = True

    @property
    def writer(self) -> SummaryWriter:
        """The writer of the run `train`, for pictures, texts and numbers of one's own; give epochs as steps."""
        return self._runs.writer("train")

    def hears(self, begin: int, end: int) -> bool:
        """Say whether the callback is to be told of a batch; the loop of `uk.Model` asks before each execution.

        Args:
            begin: the first batch of the execution, from 0 in each epoch.
            end: its last batch.

        Returns:
            True for batches that are written or profiled.
        """
        self._counter.begin_batch(begin)
        self._counter.end_batch(end)
        first, last = (self._counter.after(batch) - self._counter.start for batch in (begin, end))
        return self._is_due() or self._profile.wants(first, last)

    def on_train_begin(self, logs: Any = None) -> None:
        self._counter.begin(steps_done(self.model.optimizer), self.params.get("steps"))
        self._in_fit, self._has_begun = True, False
        self._profile.begin()
        self._tables.check(self.model)
        self._runs.check()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._has_begun:
            self._has_begun = True
            if self._is_restored or epoch > 0:
                self._runs.go_on(epoch, self._counter.step)
            elif self.write_graph and self.model.built:
                self._add_graph()
            self._is_restored = False
        self._counter.begin_epoch()
        self._heard_at = self._epoch_began = (self._counter.step, time.perf_counter())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._counter.begin_batch(batch)
        self._profile.begin_batch(self._counter.after(batch) - self._counter.start)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._counter.end_batch(batch)
        self._profile.end_batch(self._counter.after(batch) - self._counter.start)
        if self._is_due():
            values = self._with_rates(pythonify_logs(logs), self._heard_at)
            self._heard_at = (self._counter.step, time.perf_counter())
            self._runs.add_scalars("train", BATCH, values, self._counter.step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = pythonify_logs(logs)
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        training = self._with_rates(training, self._epoch_began)
        self._runs.add_scalars("train", "epoch_", training, epoch)
        self._runs.add_scalars("validation", "epoch_", validation, epoch)
        self._runs.add_to_table(self.hparams, logs, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._add_distributions(epoch)
        self._tables.write(self.writer, self.model, epoch)
        self._runs.flush()

    def on_test_end(self, logs: Any = None) -> None:
        if not self._in_fit:  # `evaluate`; in `fit` these are the `epoch_` values of the run `validation`
            values = {f"{name}_vs_iterations": value for name, value in pythonify_logs(logs).items()}
            self._runs.add_scalars("validation", "evaluation_", values, steps_done(self.model.optimizer))
            self._runs.close()

    def on_train_end(self, logs: Any = None) -> None:
        self._profile.end()
        self._runs.close()
        self._in_fit = False

    def _is_due(self) -> bool:
        return self.update_freq != "epoch" and self._counter.passes(int(self.update_freq))

    def _with_rates(self, values: Mapping[str, Any], since: tuple[int, float]) -> dict[str, Any]:
        """Return metrics with learning rates, and the steps per second since a moment."""
        rates: dict[str, Any] = learning_rates(self.model.optimizer)
        steps, seconds = self._counter.step - since[0], time.perf_counter() - since[1]
        if self.write_steps_per_second and seconds > 0:
            rates["steps_per_second"] = steps / seconds
        return rates | dict(values)

    def _add_graph(self) -> None:
        lines: list[str] = []
        with contextlib.suppress(ValueError):  # Keras cannot fit its table into a narrow terminal
            self.model.summary(print_fn=lambda text, **_: lines.extend(text.splitlines()))
        self.writer.add_text("model", "".join(f"    {line}\n" for line in lines), 0)
        self.writer.add_graph(self.model, None if self.sample is None else self.sample[0])

    def _add_distributions(self, epoch: int) -> None:
        add_weights(self.writer, self.model, epoch, self.write_images)
        if self.gradients:
            add_gradients(self.writer, self.model, self.sample, epoch)
        if self.activations:
            add_activations(self.writer, self.model, self.sample, epoch)


def _check_update_freq(value: Any) -> int | str:
    """Return "epoch", or a number of batches.

    Raises:
        ArgumentValueError: it is another text, or 0.
    """
    if isinstance(value, str):
        if value not in ("epoch", "batch"):
            raise ArgumentValueError(
                f"update_freq must be 'epoch', 'batch' or a number of batches; received {value!r}"
            )
        return "epoch" if value == "epoch" else 1
    if check_frequency("update_freq", value) == 0:
        raise ArgumentValueError(
            "update_freq must be 'epoch', 'batch' or a number of batches from 1; received 0"
        )
    return int(value)


def _check_sample(wanted: bool, sample: Any, histogram_freq: int) -> None:
    if wanted and histogram_freq == 0:
        raise ArgumentValueError(
            "gradients and activations are written with histograms; pass histogram_freq=1 too"
        )
    if wanted and sample is None:
        raise ArgumentValueError(
            "gradients and activations are computed on a batch of yours: pass sample=(x, y), some rows of the data"
        )
    if sample is not None and (not isinstance(sample, tuple | list) or len(sample) not in (2, 3)):
        raise ArgumentError(
            f"sample must be (x, y) or (x, y, sample_weight); received {type(sample).__name__}"
        )
