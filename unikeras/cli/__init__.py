"""The command line: one file a command, imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

import click

import unikeras
from unikeras._base.suggestions import did_you_mean
from unikeras.cli._failures import note_debug, reported

COMMANDS: dict[str, tuple[str, str]] = {
    "bench": ("unikeras.cli.bench", "Measure which backend or format is fastest for a model here."),
    "chat": ("unikeras.cli.chat", "Chat with a small model that remembers each session."),
    "compare": ("unikeras.cli.compare", "Find the first layer where a model differs between backends."),
    "completion": ("unikeras.cli.completion", "Print the script that completes commands in a shell."),
    "convert": (
        "unikeras.cli.convert",
        "Convert weights of PyTorch for a Keras model, or a torch module to other formats.",
    ),
    "demo": ("unikeras.cli.demo", "Train, compare and export a small network on every backend."),
    "doctor": ("unikeras.cli.doctor", "Show what is installed, which backend runs, and on which devices."),
    "export": ("unikeras.cli.export", "Export a saved model to other formats, each verified."),
    "formats": ("unikeras.cli.formats", "List the formats available here, and how to get the others."),
    "graph": (
        "unikeras.cli.graph_command",
        "Draw a model's layers, or what a backend runs for one of its steps.",
    ),
    "plot": ("unikeras.cli.plot", "Draw the metrics of training runs, from their history files."),
    "new": ("unikeras.cli.new", "Write a small project: model, data, training, tests."),
    "inspect": ("unikeras.cli.inspect", "Show the inputs, outputs and metadata of an exported model."),
}


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
        command.params.append(_debug_option())
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
        with reported():
            return super().make_context(*args, **settings)

    def invoke(self, context: click.Context) -> Any:
        with reported(context):
            return super().invoke(context)


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=note_debug,
        help="Show the tracebacks of errors.",
    )


@click.group(
    cls=Commands,
    params=[_debug_option()],
    epilog="""\b
Examples:
  unikeras doctor
  unikeras demo --epochs 3

`unikeras COMMAND --help` has two examples of each command.""",
)
@click.version_option(unikeras.__version__)
def commands() -> None:
    """Keras 3 on TensorFlow, PyTorch and JAX: one training loop, exports that are verified."""


def main() -> NoReturn:
    """Run the command line of this process and exit.

    The exit code is 0 if all is done, 1 if the work failed, 2 if the command was used wrongly or
    something it needs is not installed, 3 if `compare` found a difference, and 130 after Ctrl-C.
    """
    commands(prog_name="unikeras")
    raise SystemExit(0)
