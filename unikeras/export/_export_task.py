"""One artifact: written by one writer after the other, until one is equal to the model."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unikeras import workers
from unikeras._base.files import written_atomically
from unikeras._base.text import brief
from unikeras.errors import CorruptArtifact, ExportError, ExportMismatch, OutputError, WorkerDied, WorkerError
from unikeras.export import readers
from unikeras.export._metadata import Provenance, describe
from unikeras.export._report import ArtifactReport, SkippedWriter
from unikeras.export.reference import Reference
from unikeras.export.request.limits import axes_hint, check_can_hold
from unikeras.export.request.targets import Target, size_of
from unikeras.export.verify import known_artifacts, options_read_back
from unikeras.export.verify.comparison import largest_error
from unikeras.export.writers import Writer, WriteRequest

# How an exported program says that the sizes of its inputs are none that it was traced for.
GUARDS = ("Guard failed: ", "Runtime assertion failed for expression")


@dataclass(frozen=True)
class ExportTask:
    """What to make for one format; without options, what all formats of one call share.

    Attributes:
        reference: what the artifact must reproduce.
        verify: whether it is compared.
        rtol: relative tolerance of that comparison.
        atol: absolute tolerance of that comparison.
        options: what the user asks of the toolchain.
        any_size: as in `WriteRequest`.
    """

    reference: Reference
    verify: bool
    rtol: float
    atol: float
    options: Mapping[str, Any] = field(default_factory=dict)
    any_size: bool = False

    @property
    def verified_at(self) -> list[int]:
        """The batch sizes of the comparison; none where there is none."""
        return [batch.batch for batch in self.reference.batches] if self.verify else []


def make_artifact(
    task: ExportTask, target: Target, writers: Sequence[Writer]
) -> tuple[ArtifactReport, Exception | None]:
    """Make one artifact by the first of its writers that writes one equal to the model.

    Returns:
        What happened, and the error to raise where there is no artifact.
    """
    artifact = ArtifactReport(target.format.name, str(target.path))
    start = time.perf_counter()
    failure: Exception | None = None
    try:
        _write_first_equal(task, target, writers, artifact)
    except (ExportError, OutputError) as error:
        failure, artifact.error = error, str(error)
    artifact.seconds = round(time.perf_counter() - start, 3)
    return artifact, failure


def refuses_sizes(artifact: ArtifactReport) -> bool:
    """Say whether a guard on sizes, which `torch.export` writes, is why an artifact failed."""
    return any(guard in passed.reason for passed in artifact.passed_over for guard in GUARDS)


def _write_first_equal(
    task: ExportTask, target: Target, writers: Sequence[Writer], artifact: ArtifactReport
) -> None:
    """Try the writers in order and fill the report in; raise where none of them made the artifact."""
    kind: type[ExportError] = ExportError
    check_can_hold(task.reference.model, task.reference.signature, target.format.name)
    for writer in writers:
        try:
            _write_and_verify(task, target, writer, artifact)
        except ExportError as error:
            kind = type(error) if isinstance(error, ExportMismatch) else kind
            artifact.passed_over.append(SkippedWriter(writer.name, str(error)))
        else:
            artifact.route, artifact.size = writer.name, size_of(target)
            artifact.verified_at, artifact.rtol, artifact.atol = task.verified_at, task.rtol, task.atol
            return
    reasons = "".join(f"\n  {passed.route}: {passed.reason}" for passed in artifact.passed_over)
    hint = axes_hint(task.reference.signature)
    reasons += f"\n  {hint}" if hint else ""
    raise kind(f"model {task.reference.model.name!r} could not be exported as {target.format.name}:{reasons}")


def _write_and_verify(task: ExportTask, target: Target, writer: Writer, artifact: ArtifactReport) -> None:
    format = target.format.name
    reference = task.reference
    provenance = Provenance(format, writer.name, writer.packages, task.verified_at, task.rtol, task.atol)
    note = describe(reference, provenance)
    if unknown := [name for name in task.options if name not in writer.options]:
        raise ExportError(f"does not take {', '.join(f'{name}=' for name in unknown)}")
    with written_atomically(target.path, beside=target.format.beside) as temporary:
        try:
            request = WriteRequest(
                format, reference.signature, note, task.options, reference.state, task.any_size
            )
            remark = writer.write(reference.model, temporary, request)
            options_read_back.check(format, temporary, task.options)
            artifact.max_error = _verify(task, format, temporary) if task.verify else None
            artifact.remarks = [text for text in (remark, *reference.remarks, target.format.advice) if text]
            digest = known_artifacts.digest_of(temporary, target.format.beside)  # before others know the name
        except ExportError:
            raise
        except Exception as error:  # each toolchain has its own ways to fail
            text = brief(error).replace(str(temporary.absolute()), str(target.path))
            if _is_full(error, temporary.parent):
                said = "" if isinstance(error, OSError) else "the disk is full: "
                raise OutputError(f"cannot write {target.path}: {said}{text}") from error
            if _is_the_disk(error):
                raise OutputError(f"cannot write {target.path}: {text}") from error
            raise ExportError(text) from error
    known_artifacts.written.add(digest)
    if task.verify:
        known_artifacts.harmless.add(digest)


def _verify(task: ExportTask, format: str, path: Path) -> float:
    """Return the largest error of an artifact, run in a process of its own: native parsers can crash."""
    reference = task.reference
    inputs, sequence = [batch.inputs for batch in reference.batches], reference.sequence
    worker = readers.READERS[format].worker
    try:
        received, chunked = workers.call(worker, readers.outputs_of, (str(path.absolute()), inputs, sequence))
    except WorkerError as error:
        raise ExportError(_not_running(error, format)) from error
    names, tolerances = reference.signature.output_names, (task.rtol, task.atol)
    errors = [
        largest_error(names, batch.outputs, outputs, *tolerances, f"at batch {batch.batch}")
        for batch, outputs in zip(reference.batches, received, strict=True)
    ]
    if sequence:
        expected = [sequence.outputs[name] for name in names]
        where = f"over {sum(sequence.chunks)} steps in chunks of {', '.join(map(str, sequence.chunks))}"
        errors.append(largest_error(names, expected, [chunked[name] for name in names], *tolerances, where))
    return max(errors)


def _not_running(error: WorkerError, format: str) -> str:
    """Return why an artifact that was just written does not load or run: the writer's fault, not the user's."""
    text = brief(error)
    if isinstance(error, CorruptArtifact):
        return f"wrote a file that its runtime does not load: {text.partition(f'{format} artifact: ')[2] or text}"
    if isinstance(error, WorkerDied):
        return text
    return f"wrote a file that its runtime does not run: {text.partition(' raised ')[2] or text}"


def _is_full(error: Exception, folder: Path) -> bool:
    """Say whether the disk is full; writers in C++ lose the error's number."""
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < 2**16


def _is_the_disk(error: Exception) -> bool:
    """Say whether a write failed for a reason that another toolchain would meet too."""
    numbers = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
    return isinstance(error, OSError) and error.errno in numbers
