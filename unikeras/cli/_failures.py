"""How the command line reports a failure: `error:` and a message, `hint:` and what to do, an exit code."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Iterator, Sequence
from typing import IO, Any

import click

from unikeras import errors
from unikeras._base.printable import printable

FAILED, INTERRUPTED = 1, 130

_DEBUG_HINT = "--debug shows the traceback"


class CommandFailed(click.ClickException):
    """A command did its work, and parts of it failed.

    Args:
        failures: one message for each.
        details: the tracebacks that `--debug` shows.
    """

    exit_code = FAILED

    def __init__(self, failures: Sequence[str], details: str = "") -> None:
        super().__init__("\n".join(failures))
        self.failures = failures
        self.details = details


@contextlib.contextmanager
def reported(context: click.Context | None = None) -> Iterator[None]:
    """Report the errors of a block in one style, and exit with the code that fits them.

    Args:
        context: of the command, whose `--debug` decides whether tracebacks are shown; None while it is made.
    """
    try:
        yield
    except click.ClickException as error:
        error.show = functools.partial(_show, error, context)  # type: ignore[method-assign]
        raise
    except errors.UnikerasError as error:
        _show_own(error, _wants_debug(context))
        raise click.exceptions.Exit(error.cli_exit_code) from error
    except KeyboardInterrupt as interrupt:
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from interrupt


def note_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Remember that `--debug` was given, before or after the command's name."""
    context.meta[__name__] = value or context.meta.get(__name__, False)


def _wants_debug(context: click.Context | None) -> bool:
    return context is not None and context.meta.get(__name__, False)


def _show_own(error: errors.UnikerasError, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
        return
    message, hint = printable(str(error)), ""
    if isinstance(error, errors.RemoteError) and error.remote_traceback:
        message, hint = message.removesuffix(error.remote_traceback).rstrip(), _DEBUG_HINT
    _print(message, hint)


def _show(error: click.ClickException, context: click.Context | None, file: IO[Any] | None = None) -> None:
    if isinstance(error, CommandFailed):
        for failure in error.failures:
            _print(failure)
        if error.details:
            click.echo(error.details if _wants_debug(context) else f"hint: {_DEBUG_HINT}", err=True)
        return
    message = error.format_message()
    _print(message[:1].lower() + message[1:])
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"hint: {error.ctx.command_path} --help lists the options", err=True)


def _print(message: str, hint: str = "") -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
