"""What a shell completes, asked of real shells where they are installed, and without Keras."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import unikeras as uk
from unikeras.cli import _completions, commands


def _offered(*words):
    """Return what is offered for the last word."""
    complete = ShellComplete(commands, {}, "unikeras", "_UNIKERAS_COMPLETE")
    return [(item.value, item.type) for item in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["de"], ["demo"]),
        (["demo", "--da"], ["--data", "--dataset"]),
        (["demo", "--dataset", "m"], ["mnist"]),
        (["demo", "--backend", ""], ["tensorflow", "jax", "torch"]),
        (["demo", "--backend", "t"], ["tensorflow", "torch"]),
        (["compare", "--backends", "torch,"], ["torch,all", "torch,tensorflow", "torch,jax"]),
        (["export", "--to", "o"], ["onnx", "openvino"]),
        (["convert", "--to", "onnx,o"], ["onnx,openvino"]),
        (["bench", "--artifacts", "pt"], ["pt2"]),
        (["bench", "--references", ""], ["hand-written", "keras"]),
        (["new", "--template", "t"], ["text", "tabular"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_commands_options_and_values_are_offered(words, offered):
    assert _offered(*words) == [(value, "plain") for value in offered]


@pytest.mark.parametrize(
    "command", ["bench", "chat", "compare", "convert", "export", "graph", "inspect", "plot"]
)
def test_files_are_offered_for_the_model(command):
    assert _offered(command, "mo") == [("mo", "file")]


def test_the_names_are_those_of_the_package():
    assert [row.format for row in uk.export_formats()] == list(_completions.FORMATS)


def test_a_completion_imports_little():
    """Each command is loaded, as a shell does that completes its options."""
    code = (
        "import sys; from click.shell_completion import ShellComplete; from unikeras.cli import COMMANDS, commands\n"
        "complete = ShellComplete(commands, {}, 'unikeras', 'x').get_completions\n"
        "assert all(complete([name], '--') for name in COMMANDS)\n"
        "assert complete(['demo', '--backend'], '') and complete(['export', '--to'], '')\n"
        "print([m for m in ('keras', 'numpy', 'torch', 'jax', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.fixture
def shell(tmp_path):
    """Run lines in a shell that finds a command `unikeras`, with the script loaded."""
    command = tmp_path / "unikeras"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unikeras "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "model.keras").touch()

    def run(name, *lines, options=()):
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"{name} is not installed")
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}
        return subprocess.run(
            [program, *options, "-c", "\n".join(lines)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()

    return run


def _bash(line):
    words = line.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    call = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _unikeras_completion unikeras"
    return [
        'eval "$(unikeras completion bash)"',
        "complete -p unikeras",
        call,
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("unikeras com", ["compare", "completion"]),
        ("unikeras export model.keras --to onnx,p", ["onnx,pt2"]),
    ],
)
def test_bash_completes(shell, line, offered):
    registered, *found = shell("bash", *_bash(line), options=("--norc",))
    assert registered.endswith("-F _unikeras_completion unikeras")
    assert found == offered


def test_zsh_takes_the_script(shell):
    lines = [
        "autoload -Uz compinit && compinit -u",
        'eval "$(unikeras completion zsh)"',
        "print $_comps[unikeras]",
    ]
    assert shell("zsh", *lines, options=("-f",)) == ["_unikeras_completion"]


def test_fish_completes(shell):
    lines = ["unikeras completion fish | source", 'complete -C "unikeras export --to onnx,p"']
    assert shell("fish", *lines, options=("--no-config",)) == ["onnx,pt2"]


def test_an_unknown_shell_is_named():
    result = CliRunner().invoke(commands, ["completion", "tcsh"], prog_name="unikeras")
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.output
