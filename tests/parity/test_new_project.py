"""`unikeras new`: a project passes its own tests on each backend, and trains from the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras import cli
from unikeras.apps.project import TEMPLATES, write_project


@pytest.mark.rotated("template", "backend", parts=8)
@pytest.mark.parametrize("backend", uk.backends.available())
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_passes_its_own_tests(template, backend, tmp_path):
    folder = tmp_path / "project"
    write_project(folder, template)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "4 passed" in done.stdout


def test_the_command_writes_a_project_and_no_second_one(tmp_path):
    run = CliRunner().invoke
    done = run(cli.commands, ["new", str(tmp_path / "digits"), "--template", "gan"])
    assert done.exit_code == 0, done.output
    written = {str(path.relative_to(tmp_path / "digits")) for path in (tmp_path / "digits").rglob("*.*")}
    assert {"train.py", "model.py", "data.py", "tox.ini", "README.md", "tests/test_model.py"} <= written
    again = run(cli.commands, ["new", str(tmp_path / "digits")])
    assert again.exit_code == 2
    assert "exists already" in again.output
    bad = run(cli.commands, ["new", str(tmp_path / "1 2")])
    assert bad.exit_code == 2
    assert "begins with a letter" in bad.output
    assert not (tmp_path / "1 2").exists()
