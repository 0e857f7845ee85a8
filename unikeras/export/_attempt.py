"""One artifact: written by one route after the other, until one is equal to the model."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unikeras import workers
from unikeras._base.files import written_atomically
from unikeras._base.text import brief
from unikeras._specs.signature import Signature
from unikeras.errors import CorruptArtifact, ExportError, ExportMismatch, OutputError, WorkerDied, WorkerError
from unikeras.export import _metadata
from unikeras.export import readers as runtimes
from unikeras.export._report import ArtifactReport, PassedOver
from unikeras.export.reference.artifact_state import Memory, Stretch
from unikeras.export.reference.probe import Round
from unikeras.export.request.limits import axes_hint, check_can_hold
from unikeras.export.request.targets import Target, size_of
from unikeras.export.verify import known_artifacts as _known
from unikeras.export.verify import options_read_back as _read_back
from unikeras.export.verify.comparison import largest_error
from unikeras.export.writers import Order, Route

# How an exported program says that the sizes of its inputs are none that it was traced for.
GUARDS = ("Guard failed: ", "Runtime assertion failed for expression")


@dataclass(frozen=True)
class Job:
    """What all formats of one call share.

    Attributes:
        memory: what the artifact must carry from step to step; None for a model without.
        stretch: what it has to reproduce in chunks; None where nothing of the kind is to be verified.
        remarks: what the report says of every artifact.
        any_size: as in `Order`.
    """

    model: Any
    signature: Signature
    rounds: list[Round]
    weights: str
    verify: bool
    rtol: float
    atol: float
    options: Mapping[str, Any]
    memory: Memory | None = None
    stretch: Stretch | None = None
    remarks: tuple[str, ...] = ()
    any_size: bool = False


def make(job: Job, target: Target, routes: Sequence[Route]) -> tuple[ArtifactReport, Exception | None]:
    """Make one artifact by the first of its routes that writes one equal to the model.

    Returns:
        What happened, and the error to raise where there is no artifact.
    """
    artifact = ArtifactReport(target.format.name, str(target.path))
    start = time.perf_counter()
    failure: Exception | None = None
    try:
        _first_equal(job, target, routes, artifact)
    except (ExportError, OutputError) as error:
        failure, artifact.error = error, str(error)
    artifact.seconds = round(time.perf_counter() - start, 3)
    return artifact, failure


def refuses_sizes(artifact: ArtifactReport) -> bool:
    """Say whether a guard on sizes, which `torch.export` writes, is why an artifact failed."""
    return any(guard in passed.reason for passed in artifact.passed_over for guard in GUARDS)


def _first_equal(job: Job, target: Target, routes: Sequence[Route], artifact: ArtifactReport) -> None:
    """Try the routes in order and fill the report in; raise where none of them made the artifact."""
    kind: type[ExportError] = ExportError
    check_can_hold(job.model, job.signature, target.format.name)
    for route in routes:
        try:
            _write_and_prove(job, target, route, artifact)
        except ExportError as error:
            kind = type(error) if isinstance(error, ExportMismatch) else kind
            artifact.passed_over.append(PassedOver(route.name, str(error)))
        else:
            artifact.route, artifact.size = route.name, size_of(target)
            artifact.verified_at, artifact.rtol, artifact.atol = _verified_at(job), job.rtol, job.atol
            return
    reasons = "".join(f"\n  {passed.route}: {passed.reason}" for passed in artifact.passed_over)
    hint = axes_hint(job.signature)
    reasons += f"\n  {hint}" if hint else ""
    raise kind(f"model {job.model.name!r} could not be exported as {target.format.name}:{reasons}")


def _verified_at(job: Job) -> list[int]:
    return [run.batch for run in job.rounds] if job.verify else []


def _write_and_prove(job: Job, target: Target, route: Route, artifact: ArtifactReport) -> None:
    format = target.format.name
    note = _metadata.describe(
        job.model,
        format=format,
        route=route.name,
        packages=route.packages,
        signature=job.signature,
        verified_at=_verified_at(job),
        rtol=job.rtol,
        atol=job.atol,
        weights=job.weights,
        memory=job.memory,
    )
    if unknown := [name for name in job.options if name not in route.options]:
        raise ExportError(f"does not take {', '.join(f'{name}=' for name in unknown)}")
    with written_atomically(target.path, beside=target.format.beside) as temporary:
        try:
            remark = route.write(
                job.model,
                temporary,
                Order(format, job.signature, note, job.options, job.memory, job.any_size),
            )
            _read_back.check(format, temporary, job.options)
            artifact.max_error = _prove(job, format, temporary) if job.verify else None
            artifact.remarks = [text for text in (remark, *job.remarks, target.format.advice) if text]
            digest = _known.digest_of(temporary, target.format.beside)  # before others know the name
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
    _known.written.add(digest)
    if job.verify:
        _known.harmless.add(digest)


def _prove(job: Job, format: str, path: Path) -> float:
    """Return the largest error of an artifact, run in a process of its own: native parsers can crash."""
    inputs = [run.inputs for run in job.rounds]
    worker = runtimes.RUNTIMES[format].worker
    try:
        received, chunked = workers.call(
            worker, runtimes.outputs_of, (str(path.absolute()), inputs, job.stretch)
        )
    except WorkerError as error:
        raise ExportError(_not_running(error, format)) from error
    names, tolerances = job.signature.output_names, (job.rtol, job.atol)
    errors = [
        largest_error(names, run.outputs, outputs, *tolerances, f"at batch {run.batch}")
        for run, outputs in zip(job.rounds, received, strict=True)
    ]
    if job.stretch:
        whole = [job.stretch.outputs[name] for name in names]
        where = f"over {sum(job.stretch.chunks)} steps in chunks of {', '.join(map(str, job.stretch.chunks))}"
        errors.append(largest_error(names, whole, [chunked[name] for name in names], *tolerances, where))
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
