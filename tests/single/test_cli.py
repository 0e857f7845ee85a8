"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

import unikeras
from unikeras import cli, errors, workers
from unikeras.backends import _registry
from unikeras.backends._choose import Choice
from unikeras.cli import _diagnosis


def command_line(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "unikeras", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.commands, arguments, prog_name="unikeras")


@pytest.fixture
def fake(monkeypatch):
    """Add a command `fake` that raises what it is given."""

    def add(error):
        @click.command()
        def fake():
            raise error

        monkeypatch.setattr(cli.commands, "commands", {})
        cli.commands.add_command(fake)

    return add


@pytest.fixture
def only(monkeypatch):
    """Make some backends the only ones that are installed, and choose one."""

    def install(names, chosen, reason="the test says so"):
        monkeypatch.setattr(_registry, "available", lambda: names)
        monkeypatch.setattr(unikeras.backends, "available", lambda: names)
        monkeypatch.setattr(unikeras.backends, "choose", lambda: Choice(chosen, reason))

    return install


# ---------------------------------------------------------------- the group


def test_help_lists_the_commands_and_imports_little():
    code = (
        "import sys; from unikeras.cli import commands\n"
        "commands(['--help'], standalone_mode=False)\n"
        "print([name for name in ('keras', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.search(r"\n  demo +Train", done.stdout)
    assert re.search(r"\n  doctor +Show", done.stdout)
    assert done.stdout.endswith("[]\n")


def test_every_command_loads_and_takes_debug(run):
    for name in cli.COMMANDS:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert result.output.startswith(f"Usage: unikeras {name} ")
        assert result.output.count("--debug") == 1


def test_module_and_version():
    done = command_line("--version")
    assert (done.returncode, done.stdout) == (0, f"unikeras, version {unikeras.__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["doctor", "--nonsense"], ["doctor", "nonsense"]])
def test_wrong_use_exits_2(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: unikeras" in result.output


@pytest.mark.parametrize("kind", sorted({*errors.__all__} - {"UnikerasError"}))
def test_errors_are_one_message_and_an_exit_code(run, fake, kind):
    wrong_use = ["ArgumentError", "ArgumentValueError", "BackendUnavailable", "DatasetError"]
    wrong_use += ["MissingDependency", "OutputError", "UnknownBackend", "UnknownFormat"]
    fake(getattr(errors, kind)("what came, what to do"))
    result = run("fake")
    assert result.stderr == "error: what came, what to do\n"
    assert result.stdout == ""
    assert result.exit_code == (2 if kind in wrong_use else 1)


@pytest.mark.parametrize("arguments", [["--debug", "fake"], ["fake", "--debug"]])
def test_debug_shows_the_traceback(run, fake, arguments):
    fake(errors.UnknownFormat("no such format"))
    result = run(*arguments)
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.endswith("UnknownFormat: no such format\n")
    assert result.exit_code == 2


def test_an_error_from_a_worker_leaves_its_traceback_to_debug(run, fake):
    with pytest.raises(errors.RemoteError) as caught:
        workers.call(None, json.loads, ("x",))
    fake(caught.value)
    result = run("fake")
    assert result.stderr.startswith(
        "error: loads on the plain worker raised json.decoder.JSONDecodeError: Expecting"
    )
    assert result.stderr.endswith("\nhint: --debug shows the traceback\n")
    assert "Traceback" not in result.stderr
    assert result.exit_code == 1


def test_what_is_not_ours_is_not_hidden(run, fake):
    fake(ZeroDivisionError("a bug"))
    assert isinstance(run("fake").exception, ZeroDivisionError)


def test_interrupt_exits_130(run, fake):
    fake(KeyboardInterrupt())
    result = run("fake")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


# ---------------------------------------------------------------- doctor


def test_doctor_says_what_is_there(run, only, here):
    only([here], here)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert f"unikeras {unikeras.__version__}, Keras 3." in result.stdout
    assert f"backend in use: {here} (the test says so)" in result.stdout
    absent = next(name for name in _registry.names() if name != here)
    assert _registry.install_line(absent) in result.stdout
    assert "cpu:0" in result.stdout
    assert "onnx" in result.stdout


def test_doctor_as_json(run, only, here):
    only([here], here)
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["chosen"], told["reason"], told["problem"]) == (here, "the test says so", None)
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    backends = {backend["name"]: backend for backend in told["backends"]}
    assert list(backends) == _registry.names()
    assert "cpu:0" in backends[here]["devices"]
    assert backends[here]["version"] == _registry.ENTRIES[here].version
    assert [name for name, backend in backends.items() if backend["devices"] is None] != []
    assert {extra["name"] for extra in told["extras"]} >= {"onnx", "demo"}


def test_doctor_without_any_backend(run, only):
    only([], None, "no backend is installed; one of these installs one: pip install ...")
    result = run("doctor")
    assert result.exit_code == 2
    assert result.stderr == "error: no backend is installed; one of these installs one: pip install ...\n"
    assert "backend in use: None" in result.stdout


def test_doctor_with_a_chosen_backend_that_is_not_installed(run, only):
    only([], "jax", "KERAS_BACKEND names it")
    result = run("doctor", "--json")
    expected = (
        "backend 'jax' is not installed here: pip install \"jax>=0.10,<0.13\" "
        "(it was asked for because KERAS_BACKEND names it)"
    )
    assert (result.exit_code, result.stderr) == (2, f"error: {expected}\n")
    assert json.loads(result.stdout)["problem"] == expected


def test_doctor_with_a_chosen_backend_that_nobody_knows(run, only):
    only([], "theano", "KERAS_BACKEND names it")
    result = run("doctor")
    assert result.exit_code == 2
    assert "unknown backend 'theano'; unikeras runs on tensorflow, jax, torch" in result.stderr


BROKEN = {
    "raise RuntimeError('the driver\\n is old')": "RuntimeError: the driver is old",
    "import nonsense": "installed but does not import: No module named 'nonsense'",
    "import os; os._exit(3)": "exited with code 3",
}


@pytest.mark.parametrize(("code", "message"), BROKEN.items(), ids=["raises", "does not import", "dies"])
def test_doctor_survives_a_broken_framework(run, only, here, tmp_path, monkeypatch, code, message):
    (tmp_path / here).mkdir()
    (tmp_path / here / "__init__.py").write_text(code)
    workers.shutdown()
    monkeypatch.syspath_prepend(tmp_path)
    only([here], here)
    result = run("doctor", "--json")
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    (error,) = [backend["error"] for backend in told["backends"] if backend["error"]]
    assert message in error
    expected = (
        f"{here}, the backend in use, cannot run here: {error}; no other one that is installed can either"
    )
    assert told["problem"] == expected


def test_doctor_names_a_backend_that_can_run(monkeypatch):
    broken = _diagnosis.Backend("jax", "1", None, "ImportError: bad", "pip install")
    sound = _diagnosis.Backend("torch", "1", ["cpu:0"], None, "pip install")
    monkeypatch.setattr(_registry, "available", lambda: ["jax", "torch"])
    problem = _diagnosis._problem(Choice("jax", "why"), [broken, sound])
    assert problem.endswith("cannot run here: ImportError: bad; KERAS_BACKEND=torch chooses one that can")
    assert _diagnosis._problem(Choice("torch", "why"), [broken, sound]) is None


def test_doctor_ends_at_once_on_ctrl_c(tmp_path):
    code = "import pathlib, time; pathlib.Path(__file__).with_name('began').touch(); time.sleep(60)"
    for name in _registry.names():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-m", "unikeras", "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    end = time.monotonic() + 30
    while not all((tmp_path / name / "began").exists() for name in _registry.names()):
        assert time.monotonic() < end, "the frameworks were never imported"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, message = process.communicate(timeout=10)  # which waits for the workers, who print there too
    assert (process.returncode, output, message) == (130, "", "interrupted\n")


def test_doctor_lists_what_is_replaced_in_keras(run):
    from unikeras._keras import hooks

    shown = run("doctor", "--hooks")
    assert shown.exit_code == 0
    assert all(f"{hook.attribute}  " in shown.stdout for hook in hooks.TABLE)
    assert max(map(len, shown.stdout.splitlines())) <= 80
    listed = json.loads(run("doctor", "--hooks", "--json").stdout)
    assert [row["attribute"] for row in listed] == [hook.attribute for hook in hooks.TABLE]
    assert set(listed[0]) == {"attribute", "why", "upstream", "until", "installed"}
