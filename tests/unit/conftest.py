"""Scripts in a folder of their own, run by an interpreter of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def start_script(tmp_path):
    """Start a script in the test's folder; what still runs when the test ends is killed."""
    started = []

    def start(code: str, **options) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        process = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, text=True, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run_script(start_script):
    """Run a script to its end and return what it printed; it has to succeed."""

    def run(code: str) -> str:
        process = start_script(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    return run


@pytest.fixture
def here():
    """The name of the backend that this test runs on."""
    import unikeras as uk

    return uk.backend()
