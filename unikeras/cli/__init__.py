"""The command line: one file a command, imported when it is called."""

from __future__ import annotations

import contextlib
import functools
import importlib
import traceback
from collections.abc import Iterator
from typing import IO, Any, NoReturn

import click

import unikeras
from unikeras._base.printable import printable
from unikeras._base.suggestions import did_you_mean
from unikeras.errors import RemoteError, UnikerasError

# name -> (module, what it does); the module's attribute of that name is the command. The sentence
# stands here because `--help` shall not have to import the module to read it there.
COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("unikeras.cli.chat", "Talk to a small model that remembers you, whatever ends the process."),
    "demo": ("unikeras.cli.demo", "Train, compare and export a small network on every backend."),
    "doctor": ("unikeras.cli.doctor", "Say what is installed, which backend runs and on what devices."),
    "export": ("unikeras.cli.export", "Write a saved model in other formats, each verified."),
    "formats": ("unikeras.cli.formats", "Say which formats can be written here, and how to get the others."),
    "inspect": ("unikeras.cli.inspect", "Show what an exported model takes, gives and says of itself."),
}

_DEBUG = f"{__name__}.debug"


class Commands(click.Group):
    """A group whose commands load at first use, and whose errors are one message and an exit code."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*COMMANDS, *self.commands})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.commands and name in COMMANDS:
            module, _ = COMMANDS[name]
            self.add_command(getattr(importlib.import_module(module), name))
        return self.commands.get(name)

    def add_command(self, command: click.Command, name: str | None = None) -> None:
        own = next((option for option in command.params if option.name == "debug"), None)
        if own is None:
            command.params.append(_debug_option(expose_value=False))
        else:
            own.callback = _note_debug
        super().add_command(command, name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in sorted(COMMANDS.items())])

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(context)
            suggestion = did_you_mean(args[0], known) or f"The commands are {', '.join(known)}."
            context.fail(f"no command {args[0]!r}. {suggestion}")
        return super().resolve_command(context, args)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        with _one_style():
            return super().make_context(*args, **settings)

    def invoke(self, context: click.Context) -> Any:
        try:
            with _one_style():
                return super().invoke(context)
        except UnikerasError as error:
            _tell(error, debug=context.meta.get(_DEBUG, False))
            context.exit(error.cli_exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            context.exit(130)


def _note_debug(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.meta[_DEBUG] = value or context.meta.get(_DEBUG, False)
    return value


def _debug_option(**settings: Any) -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, callback=_note_debug, help="Show tracebacks of errors.", **settings
    )


def _tell(error: UnikerasError, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
        return
    message = printable(str(error))
    if isinstance(error, RemoteError) and error.remote_traceback:
        message = message.removesuffix(error.remote_traceback).rstrip() + "; --debug shows the traceback"
    _print_error(message)


def _print_error(message: str) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)


@contextlib.contextmanager
def _one_style() -> Iterator[None]:
    """Have click's own errors look as ours do."""
    try:
        yield
    except click.ClickException as error:
        error.show = functools.partial(_show, error)  # type: ignore[method-assign]
        raise


def _show(error: click.ClickException, file: IO[Any] | None = None) -> None:
    message = error.format_message()
    _print_error(message[:1].lower() + message[1:])
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"{error.ctx.command_path} --help says more", err=True)


@click.group(cls=Commands, params=[_debug_option(expose_value=False)])
@click.version_option(unikeras.__version__)
def commands() -> None:
    """Keras 3 on TensorFlow, PyTorch and JAX: one training loop, exports that are proven equal."""


def main() -> NoReturn:
    """Run the command line of this process and exit.

    The exit code is 0 where all is done, 1 where the work failed, 2 where the command was used
    wrongly or something that it needs is not installed, and 130 after Ctrl-C.
    """
    commands(prog_name="unikeras")
    raise SystemExit(0)
