"""unikeras completion: the script that lets a shell complete commands, options, formats, backends and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  eval "$(unikeras completion bash)"
  unikeras completion fish > ~/.config/fish/completions/unikeras.fish"""
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes this command in a shell; the shell's startup file may evaluate it.

    For bash write the first example into ~/.bashrc, for zsh the same with zsh into ~/.zshrc after compinit. bash
    must be 4.4 or newer.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # a Choice of those that click has
    script = kind(context.find_root().command, {}, "unikeras", "_UNIKERAS_COMPLETE").source()
    # click's script for fish cuts a value at its comma; lists of formats have some.
    click.echo(script.replace('string split ","', 'string split -m 1 ","'))
