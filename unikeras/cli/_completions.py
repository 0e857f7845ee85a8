"""What a shell is offered for the value of an option or an argument; imports neither Keras nor a framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem

# As `unikeras formats` lists them; to ask the package for them takes longer than a shell can wait.
FORMATS = ("saved_model", "torchscript", "onnx", "pt2", "litert", "openvino")
REFERENCES = ("hand-written", "keras")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer files and folders, for values that may be something else too."""
    return [CompletionItem(incomplete, type="file")]


def backends(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of the backends."""
    from unikeras.backends import names

    return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


def backend_lists(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer lists of backends, separated by commas, or all of them."""
    from unikeras.backends import names

    return listed(["all", *names()])(context, parameter, incomplete)


def listed(names: Sequence[str]) -> Complete:
    """Return what offers lists of names, separated by commas: what is typed, and one more name."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        typed, comma, last = incomplete.rpartition(",")
        left = [name for name in names if name.startswith(last) and name not in typed.split(",")]
        return [CompletionItem(typed + comma + name) for name in left]

    return complete


formats = listed(FORMATS)
references = listed(REFERENCES)
