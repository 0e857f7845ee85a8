"""`SummaryWriter`: TensorBoard's event files from a loop of one's own."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from unikeras._base.rank import rank
from unikeras.callbacks import _summaries
from unikeras.callbacks._event_file import EventFile, check_address
from unikeras.callbacks._hyperparameters import hyperparameter_summaries
from unikeras.callbacks._model_graph import graph_def
from unikeras.callbacks._projector import write_embedding
from unikeras.errors import ArgumentError, StateError


class SummaryWriter:
    """Writes what TensorBoard shows, with the names of torch.utils.tensorboard, on every backend.

    Values may be numbers, numpy arrays, tensors of the backend or Keras variables. TensorFlow is not needed. Events
    are written every `flush_secs`, at `flush` and at `close`; a disk that fails is a warning, and the loop goes on.
    Only the process of rank 0 writes. Use it as a context manager, or call `close`.

    Args:
        log_dir: the run's folder; by default `runs/<date>_<host><comment>`.
        comment: the end of the default folder's name.
        purge_step: readers drop what the folder has from this global step on: where a resumed run goes on.
        max_queue: events that are kept in memory at most.
        flush_secs: seconds after which what was added is written, with the next event.
        filename_suffix: added to the names of event files.

    Raises:
        MissingDependency: tensorboardX is not installed.
        OutputError: `log_dir` is a file, an address, or cannot be written.

    Source: torch.utils.tensorboard.SummaryWriter.

    Example:
        >>> import pathlib
        >>> with SummaryWriter("logs") as writer:
        ...     for step in range(3):
        ...         writer.add_scalar("loss", 1 / (step + 1), step)
        >>> len(list(pathlib.Path("logs").glob("events.out.tfevents.*")))
        1
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 1000,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if log_dir is None or log_dir == "":
            log_dir = f"runs/{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}"
        self.log_dir = Path(log_dir)
        check_address(self.log_dir)
        self._options: dict[str, Any] = {
            "suffix": filename_suffix,
            "flush_secs": flush_secs,
            "max_queue": max_queue,
        }
        self._folder = self.log_dir.absolute()  # the process may go to another folder
        self._files: dict[Path, EventFile] = {}
        self._is_closed = False
        self._is_silent = rank() != 0
        if not self._is_silent:
            file = self._file()
            if purge_step is not None:
                file.begin_at(purge_step)

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Add one number to a curve.

        Args:
            tag: the curve's name; slashes make groups.
            scalar_value: a number, or a tensor of one.
            global_step: its place on the curve.
            walltime: seconds since 1970; now, where there is none.
        """
        tag = _summaries.clean_tag(tag)
        self._add(global_step, walltime, summary=_summaries.scalar(tag, scalar_value))

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add numbers to several curves of one chart, each in a run of its own.

        Args:
            main_tag: the chart's name.
            tag_scalar_dict: a number for each curve, by its name.
            global_step: the place on the curves.
            walltime: seconds since 1970; now, where there is none.
        """
        main_tag = _summaries.clean_tag(main_tag)
        for name, value in tag_scalar_dict.items():
            folder = (
                self._folder / f"{main_tag.replace('/', '_')}_{_summaries.clean_tag(name).replace('/', '_')}"
            )
            summary = _summaries.scalar(main_tag, value)
            self._add(global_step, walltime, folder, summary=summary)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Add the distribution of a tensor's finite values.

        Args:
            tag: the histogram's name.
            values: real numbers of any shape; none at all are shown as an empty histogram.
            global_step: its place in time.
            bins: `"tensorflow"`, or what `numpy.histogram` takes.
            walltime: seconds since 1970; now, where there is none.
            max_bins: the number of bins at most.
        """
        tag = _summaries.clean_tag(tag)
        self._add(global_step, walltime, summary=_summaries.histogram(tag, values, bins, max_bins))

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Add a picture.

        Args:
            tag: its name.
            img_tensor: 1, 3 or 4 channels, uint8, or floats in 0..1.
            global_step: its place in time.
            walltime: seconds since 1970; now, where there is none.
            dataformats: the axes of the tensor: `"CHW"`, as in torch, `"HWC"` or `"HW"`.
        """
        tag = _summaries.clean_tag(tag)
        self._add(global_step, walltime, summary=_summaries.image(tag, img_tensor, dataformats))

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Add several pictures as one grid.

        Args:
            tag: the name of the grid.
            img_tensor: pictures as in `add_image`, with an axis N.
            global_step: its place in time.
            walltime: seconds since 1970; now, where there is none.
            dataformats: the axes of the tensor: `"NCHW"`, as in torch, or `"NHWC"`.
        """
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Add a text in Markdown.

        Args:
            tag: its name.
            text_string: the text.
            global_step: its place in time.
            walltime: seconds since 1970; now, where there is none.

        Raises:
            ArgumentError: it is no text.
        """
        if not isinstance(text_string, str):
            raise ArgumentError(f"add_text takes a str; received {type(text_string).__name__}")
        self._add(global_step, walltime, summary=_summaries.text(_summaries.clean_tag(tag), text_string))

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False) -> None:
        """Add the graph of a Keras model, a node for each layer.

        Args:
            model: a built `keras.Model`.
            input_to_model: one batch, for a model without a graph of Keras'; it is called once.
            verbose: taken because torch's has it.

        Raises:
            ArgumentError: it is no built `keras.Model`.
        """
        self._add(None, None, graph_def=graph_def(model, input_to_model).SerializeToString())

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Add a run's hyperparameters and results, in a run of its own below this one.

        Args:
            hparam_dict: hyperparameters by name: bool, str or number.
            metric_dict: results by the tag under which they are shown.
            hparam_domain_discrete: taken because torch's has it.
            run_name: the name of that run; by default the time.
            global_step: the place of the results on their curves.
        """
        folder = self._folder / (run_name or str(time.time()))
        for summary in hyperparameter_summaries(hparam_dict, list(metric_dict)):
            self._add(None, None, folder, summary=summary)
        for tag, value in metric_dict.items():
            summary = _summaries.scalar(_summaries.clean_tag(tag), value)
            self._add(global_step, None, folder, summary=summary)

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Add points for TensorBoard's projector.

        Args:
            mat: numbers of shape (points, dimensions).
            metadata: a label for each point, or a row where there is a header.
            label_img: a picture for each point, of shape (points, 1 or 3, size, size).
            global_step: its place in time.
            tag: its name.
            metadata_header: the names of the columns of the metadata.
        """
        self._check_open()
        if not self._is_silent:
            write_embedding(
                self._folder,
                _summaries.clean_tag(tag),
                global_step or 0,
                mat,
                metadata,
                metadata_header,
                label_img,
            )

    def flush(self) -> None:
        """Write all that was added."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Write all that was added and close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._is_closed = True

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, step: Any, walltime: float | None, folder: Path | None = None, **content: Any) -> None:
        self._check_open()
        if not self._is_silent:
            self._file(folder).add(None if step is None else int(step), walltime, **content)

    def _file(self, folder: Path | None = None) -> EventFile:
        folder = folder or self._folder
        if folder not in self._files:
            self._files[folder] = EventFile(folder, **self._options)
        return self._files[folder]

    def _check_open(self) -> None:
        if self._is_closed:
            raise StateError(
                f"the SummaryWriter of {self.log_dir} is closed; make another for the same folder"
            )
