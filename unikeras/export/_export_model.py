"""`export_model`: check the call before any work, make each artifact, report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from unikeras import backends
from unikeras.errors import ArgumentError, ArgumentValueError, ExportError
from unikeras.export._export_task import ExportTask, make_artifact, refuses_sizes
from unikeras.export._offers import usable_writers
from unikeras.export._report import ArtifactReport, ExportReport
from unikeras.export.reference import ArtifactState, StepLike, artifact_state_of, reference_of
from unikeras.export.request.format_table import find_format
from unikeras.export.request.options import (
    ROUNDED,
    TAKEN_BY,
    check_known,
    check_opset,
    check_quantize,
    sort_by_format,
    tolerances,
)
from unikeras.export.request.targets import Target, check_free, targets
from unikeras.export.writers import WRITERS, Writer


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    format: str | Sequence[str] | None = None,
    *,
    signature: Mapping[str, Any] | None = None,
    verify: bool = True,
    overwrite: bool = False,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    opset: int | None = None,
    endpoints: Mapping[str, Any] | None = None,
    quantize: str | None = None,
    samples: Any = None,
    **exporter: Any,
) -> ExportReport:
    """Write a Keras model, from any backend, as an artifact that computes what the model computes.

    The format's toolchains are tried in order, where needed in a process of their own under another
    backend. Each result is loaded in the format's own runtime and compared with the model in inference
    mode on seeded inputs at batch 1, 3 and 8 (a fixed batch size: at that one) and, where other axes are
    dynamic, at three lengths; the first that is equal stays. A file or folder is written atomically.

    Args:
        model: a built `keras.Model`, or what `uk.stateful(model)` returns: its artifacts take states as
            inputs `state/<layer>/<name>`, return them as `state_out/<layer>/<name>`, have
            `load_artifact(path).step(x, state)`, and are also compared over a sequence in chunks; LiteRT's
            take one step at a time. Other layers that carry state from batch to batch are refused.
        path: the artifact's path; where `format` is a list, the folder that gets
            `<model name><suffix>` for each format.
        format: `"saved_model"` (a folder), `"torchscript"` (.pt), `"onnx"` (.onnx), `"pt2"` (.pt2),
            `"litert"` (.tflite), `"openvino"` (.xml, with a .bin beside it), or several of them; None
            takes the one that the suffix means, and a SavedModel where there is no suffix.
        signature: a `keras.InputSpec(shape, dtype)` for any input by name, to replace the model's own;
            None in a shape is a dynamic axis.
        verify: False skips the verification; metadata and report say so.
        overwrite: True replaces an earlier file, or an earlier SavedModel export.
        rtol: relative tolerance of the verification, on floating-point outputs; at least 1e-2 where a layer
            computes in float16, and 5e-2 in bfloat16.
        atol: absolute tolerance of the verification, on floating-point outputs; at least 5e-3 where a layer
            computes in float16, and 5e-2 in bfloat16.
        opset: ONNX's operator set, from 7 on; None for the toolchain's own choice. An exporter that
            writes another one is skipped.
        endpoints: more functions for a SavedModel: `{name: (function, [keras.InputSpec, ...])}`, each
            called with the model and its inputs.
        quantize: `"float16"` or `"int8"`, for LiteRT; then verified within `1e-2 * |value| + 5e-3`, or
            `0.1 * |value| + 0.1`, of the model.
        samples: inputs as the model will see them, as for `predict`, for `quantize="int8"`; the verification
            runs on them then.
        **exporter: keyword arguments for the toolchain's own function; with one format at a time. An
            exporter that does not take them is skipped, and one that none takes is refused.

    Returns:
        A report: per artifact its path, size in bytes, exporter, largest error, and the exporters that were
        skipped and why. It prints as a table.

    Raises:
        ArgumentError: the model, path or format is not of a kind that can be exported.
        UnknownFormat: there is no such format, or the path's suffix contradicts it.
        MissingDependency: no toolchain of a format is installed; nothing was started.
        SignatureError: `signature`, or `samples`, does not fit the model.
        OutputError: the path is taken, cannot be written to, or the disk is full.
        ExportMismatch: artifacts were written and none was equal to the model.
        ExportError: the model cannot be exported, or one of several formats failed; those that
            succeeded stay. `.report` holds what was tried.

    Example:
        >>> import keras, tempfile, unikeras as uk
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> formats = [row.format for row in uk.export_formats() if row.available]
        >>> reports = [export_model(model, tempfile.mkdtemp(), [format]) for format in formats]
        >>> all(report.artifacts[0].verified_at == [1, 3, 8] for report in reports)
        True
    """
    backend = backends.current_name()
    name, model, artifact_state = _unwrap(model)
    _check_model(model)
    _check_tolerances(rtol=rtol, atol=atol)
    wanted = targets(name, path, _drop_duplicates(format))
    formats = [target.format.name for target in wanted]
    check_known(exporter, _keywords(formats), _OWN)
    options = sort_by_format(
        formats, {"opset": opset, "endpoints": endpoints, "quantize": quantize}, exporter
    )
    check_quantize(quantize, samples)
    plan = [(target, usable_writers(target.format.name, backend, verify)) for target in wanted]
    check_opset(opset)
    for target in wanted:
        check_free(target, overwrite)
    reference = reference_of(model, signature, artifact_state, in_chunks=verify)
    rtol, atol = tolerances(model, None, rtol, atol)
    if reference.rounds_integers:
        rtol, atol = max(rtol, ROUNDED[0]), max(atol, ROUNDED[1])
    task = ExportTask(reference, verify, rtol, atol)
    report = ExportReport(name, backend)
    failures = []
    for target, writers in plan:
        asked = _with_options(task, target.format.name, options[target.format.name], samples)
        artifact, failure = make_artifact(asked, target, writers)
        if failure and refuses_sizes(artifact):
            artifact, failure = _make_for_fewer_sizes(asked, target, writers)
        report.artifacts.append(artifact)
        failures += [failure] if failure else []
    if failures:
        raise _one_error(failures, report, is_list=not isinstance(format, str | None))
    return report


# How often an export is tried anew where all that its artifact refuses are short sequences.
MOST_RETRIES = 3

# The options of `export_model` that a typo may have meant.
_OWN = ("format", "signature", "verify", "overwrite", "rtol", "atol", *TAKEN_BY, "samples")


def _keywords(formats: Sequence[str]) -> set[str]:
    """Return the keywords that toolchains of these formats take beyond the options of `export_model`."""
    named = {name for writer in WRITERS if set(formats) & set(writer.formats) for name in writer.options}
    return named - set(_OWN)


def _drop_duplicates(format: Any) -> Any:
    """Return what was asked for without a second name of the same format."""
    if isinstance(format, list | tuple) and all(isinstance(one, str) for one in format):
        return list(dict.fromkeys(find_format(one).name for one in format))
    return format


def _with_options(task: ExportTask, format: str, options: dict[str, Any], samples: Any) -> ExportTask:
    """Return the task of one format: its options, and what they mean for its verification."""
    if format == "litert":
        task = dataclasses.replace(task, reference=task.reference.in_one_step())
    quantize = options.get("quantize")
    if quantize is None:
        return dataclasses.replace(task, options=options)
    reference = task.reference
    rtol, atol = tolerances(reference.model, quantize, task.rtol, task.atol)
    if samples is not None:
        reference = reference.with_samples(samples)
        options = {**options, "samples": reference.batches[-1].inputs}
    if quantize == "int8":
        # Rounded to the range of the samples, a state strays further with every step than a tolerance can say.
        reference = dataclasses.replace(reference, sequence=None)
    return dataclasses.replace(task, reference=reference, options=options, rtol=rtol, atol=atol)


def _make_for_fewer_sizes(
    task: ExportTask, target: Target, writers: Sequence[Writer]
) -> tuple[ArtifactReport, Exception | None]:
    """Make an artifact whose guards refused sizes: without torch's assumptions, then for longer sequences."""
    artifact, failure = make_artifact(dataclasses.replace(task, any_size=True), target, writers)
    for _ in range(MOST_RETRIES):
        if failure is None or not task.reference.shortest:
            break
        task = dataclasses.replace(task, reference=task.reference.with_longer_sequences())
        artifact, failure = make_artifact(task, target, writers)
        if not refuses_sizes(artifact):
            break
    return artifact, failure


def _unwrap(model: Any) -> tuple[str, Any, ArtifactState | None]:
    """Return the name, the Keras model and the memory of what is to be exported."""
    import keras

    if isinstance(model, keras.Model):
        return model.name, model, None
    if isinstance(model, StepLike):
        return model.name, model.model, artifact_state_of(model)
    raise ArgumentError(
        f"export_model takes a keras.Model, or uk.stateful(model); received {type(model).__qualname__}"
    )


def _check_model(model: Any) -> None:
    import keras

    if type(model).call in (keras.Model.call, keras.layers.Layer.call):
        parts = [repr(layer.name) for layer in model.layers if isinstance(layer, keras.Model)]
        way = f"export one of the models that it holds: {', '.join(parts)}" if parts else "define it"
        raise ExportError(f"model {model.name!r} has no call(), so there is nothing that it computes; {way}")
    if not model.built:
        raise ExportError(
            f"model {model.name!r} is not built, so it has no weights yet; call it once on data"
        )
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ExportError(
                f"layer {layer.name!r} of model {model.name!r} is stateful: it carries memory from batch to "
                "batch, which an artifact cannot; export uk.stateful(model), which takes the memory as an input "
                "and returns it as an output, or make the layer with stateful=False and the same weights"
            )


def _check_tolerances(**tolerances: float) -> None:
    for name, value in tolerances.items():
        if not isinstance(value, int | float) or not value >= 0:
            wrong = ArgumentValueError if isinstance(value, int | float) else ArgumentError
            raise wrong(f"{name} has to be a number of 0 or more; received {value!r}")


def _one_error(failures: Sequence[Exception], report: ExportReport, is_list: bool) -> Exception:
    if is_list:
        text = "\n".join(str(failure) for failure in failures)
        return ExportError(f"{len(failures)} of {len(report.artifacts)} formats failed:\n{text}", report)
    failure = failures[0]
    if isinstance(failure, ExportError):
        failure.report = report
    return failure
