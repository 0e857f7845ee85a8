"""The help of each command ends with two examples, and each is a call that the command understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from unikeras.cli import commands


def _tree(command, context, path=()):
    """Yield (words, command, context) of a command and of all below it."""
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from _tree(below, click.Context(below, parent=context, info_name=name), (*path, name))


COMMANDS = list(_tree(commands, click.Context(commands, info_name="unikeras")))
IDS = [" ".join(path) or "unikeras" for path, _, _ in COMMANDS]


def _examples(command, context):
    """Return the lines below "Examples:" as the help shows them in a terminal of 80 columns."""
    shown = command.get_help(context).partition("\n  Examples:\n")[2].partition("\n\n")[0]
    return shown.splitlines()


def _parse(line):
    """Parse the call of unikeras in a line of a shell, without running it."""
    (call,) = re.findall(r"\bunikeras (?!\.)[^)>|]*", line)
    words, command, context = shlex.split(call)[1:], commands, click.Context(commands, info_name="unikeras")
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    with command.make_context(name, words, parent=context):
        pass


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Be in an empty folder; return what makes the files that a line names."""
    monkeypatch.chdir(tmp_path)

    def make(line):
        for word in shlex.split(line):
            if Path(word).suffix in (".keras", ".npz", ".onnx", ".safetensors", ".jsonl"):
                Path(word).touch()

    return make


@pytest.mark.parametrize(("path", "command", "context"), COMMANDS, ids=IDS)
def test_each_command_has_two_examples_that_parse(path, command, context, files):
    examples = _examples(command, context)
    assert len(examples) == 2
    for line in examples:
        assert line.startswith("    ")
        assert len(line) <= 80
        assert " ".join(("unikeras", *path)) in line
        files(line)
        _parse(line)


@pytest.mark.parametrize("line", ["unikeras demo --epoch 3", "unikeras demos", "unikeras export --to onnx"])
def test_a_wrong_example_is_found(files, line):
    with pytest.raises((click.UsageError, AssertionError)):
        _parse(line)
