"""Which formats can be written here and now, asked of what is installed, without importing it."""

from __future__ import annotations

from dataclasses import dataclass

from unikeras import backends
from unikeras.errors import MissingDependency
from unikeras.export.readers import READERS
from unikeras.export.request.format_table import FORMATS, find_format
from unikeras.export.writers import Writer, writers_to


@dataclass(frozen=True)
class Offer:
    """One format, as `export_formats` tells of it.

    Attributes:
        format: its name.
        suffix: how its files end; `""` for a folder.
        available: whether a model of the backend in use can be written and verified here.
        routes: the toolchains that would be tried, in order.
        reason: why it is not available; `""` where it is.

    Example:
        >>> offer = next(offer for offer in export_formats() if offer.format == "onnx")
        >>> offer.suffix, offer.available == (offer.reason == "")
        ('.onnx', True)
    """

    format: str
    suffix: str
    available: bool
    routes: list[str]
    reason: str


def export_formats() -> list[Offer]:
    """Return what can be exported to here and now, and why not where not; imports no framework.

    Returns:
        One row per format.

    Example:
        >>> [(row.format, row.suffix) for row in export_formats()][:3]
        [('saved_model', ''), ('torchscript', '.pt'), ('onnx', '.onnx')]
    """
    backend = backends.choose().name
    return [_offer(name, row.suffix, backend) for name, row in FORMATS.items()]


def check_formats(formats: list[str], verify: bool = True) -> list[str]:
    """Return formats by their own names, after a check that each can be written here; imports no framework.

    Args:
        formats: names or suffixes, such as `"onnx"` or `"tflite"`.
        verify: whether the artifacts will be verified, which needs their runtimes.

    Returns:
        The formats' own names, in the same order.

    Raises:
        UnknownFormat: a format has another name.
        MissingDependency: a toolchain or a runtime is not installed; the message holds the pip line.

    Example:
        >>> check_formats(["onxx"])
        Traceback (most recent call last):
        unikeras.errors.UnknownFormat: ...
    """
    names = [find_format(name).name for name in formats]
    for name in names:
        usable_writers(name, backends.choose().name, verify)
    return names


def _offer(format: str, suffix: str, backend: str | None) -> Offer:
    try:
        writers = usable_writers(format, backend, verify=True)
    except MissingDependency as error:
        return Offer(format, suffix, False, [], str(error))
    return Offer(format, suffix, True, [writer.name for writer in writers], "")


def usable_writers(format: str, backend: str | None, verify: bool) -> list[Writer]:
    """Return the writers of a format whose toolchains are installed, in the order to try them.

    Args:
        format: a format's name.
        backend: the backend in use; None where none is installed.
        verify: the artifact will be run, so that its runtime is needed too.

    Raises:
        MissingDependency: there is no writer, or no runtime; the message holds the pip lines.
    """
    writers = writers_to(format, backend)
    reasons = {writer: writer.missing(format) for writer in writers}
    if usable := [writer for writer, reason in reasons.items() if reason is None]:
        runtime = READERS[format].missing() if verify else None
        if runtime is None:
            return usable
        raise MissingDependency(f"{runtime}, or export with verify=False")
    raise MissingDependency("; or ".join(dict.fromkeys(filter(None, reasons.values()))))
