"""The processes in which the plugin for pytest runs tests, and the line on which it asks them to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# In the environment of such a process: the descriptors that it reads requests from and writes answers to.
CHANNEL = "UNIKERAS_PYTEST_CHANNEL"
_LAST = 4000


@dataclass(frozen=True)
class Outcome:
    """What a phase of a test came to.

    Attributes:
        when: `"setup"`, `"call"` or `"teardown"`.
        outcome: `"passed"`, `"failed"` or `"skipped"`.
        text: of the failure, or why it was skipped.
        expected_failure: the reason of a test that was expected to fail; None for others.
        sections: what was captured: (title, text).
    """

    when: str
    outcome: str
    text: str
    expected_failure: str | None
    sections: list[tuple[str, str]]


class Children:
    """One process for each backend, started when the first test needs it, and again after one that ended.

    Args:
        config: pytest's.
        files: the test files that they collect.
    """

    def __init__(self, config: Any, files: list[str]) -> None:
        self._config = config
        self._files = files
        self._running: dict[str, _Child] = {}

    def run(self, backend: str, test: str, following: str) -> list[Outcome]:
        """Run a test under a backend.

        Args:
            backend: the backend's name.
            test: the test's id.
            following: the id of the next test under this backend, so that it finds shared fixtures; "" for none.
        """
        if backend not in self._running:
            self._running[backend] = _Child(self._config, self._files, backend)
        child = self._running[backend]
        try:
            answer = child.ask(test, following)
        except EOFError:
            del self._running[backend]
            return [Outcome("call", "failed", child.last_words(backend), None, [])]
        if answer is None:
            return [
                Outcome(
                    "call", "failed", f"{test} was not collected under {backend}\n{child.output()}", None, []
                )
            ]
        return [Outcome(**{**one, "sections": [tuple(part) for part in one["sections"]]}) for one in answer]

    def close(self) -> None:
        """End all processes."""
        for child in self._running.values():
            child.close()
        self._running.clear()


class _Child:
    def __init__(self, config: Any, files: list[str], backend: str) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        reads, answers = os.pipe()
        requests, writes = os.pipe()
        environment = {**os.environ, "KERAS_BACKEND": backend, CHANNEL: f"{requests},{answers}"}
        environment.pop("PYTEST_CURRENT_TEST", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *_options(config), *files],
            cwd=config.invocation_params.dir,
            env=environment,
            pass_fds=(requests, answers),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        os.close(requests)
        os.close(answers)
        self._answers, self._requests = os.fdopen(reads), os.fdopen(writes, "w")

    def ask(self, test: str, following: str) -> Any:
        """Return the outcomes of a test; None where the process does not know it. EOFError: the process ended."""
        try:
            print(json.dumps([test, following]), file=self._requests, flush=True)
        except BrokenPipeError:
            raise EOFError from None
        line = self._answers.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def output(self) -> str:
        """Return the end of what the process printed."""
        self._output.seek(0)
        return self._output.read()[-_LAST:].decode(errors="replace").strip()

    def last_words(self, backend: str) -> str:
        """Say how the process ended."""
        self.close()
        code = self._process.wait()
        ended = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
        return f"the process under {backend} {ended} in the middle of the test\n{self.output()}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._requests.close()
        self._answers.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _options(config: Any) -> list[str]:
    """Return the options that decide how tests are found, as this run of pytest has them."""
    given = list(config.invocation_params.args)
    plugins = [
        f"-p{one[2:] or given[number + 1]}" for number, one in enumerate(given) if str(one).startswith("-p")
    ]
    options = ["-q", "-p", "no:cacheprovider", "-p", f"{__package__}._pytest_plugin", *plugins]
    options += ["--rootdir", str(config.rootpath), "--import-mode", config.getoption("importmode")]
    if config.inipath is not None:
        options += ["-c", str(config.inipath)]
    if config.pluginmanager.hasplugin("xdist"):
        options += ["-n0"]
    return options


def serve(run: Callable[[str, str], bool], outcomes: list[Outcome]) -> None:
    """Answer requests until there are no more.

    Args:
        run: takes the id of a test and of the next one; says whether the test is known.
        outcomes: to which the run adds what a test came to.
    """
    reads, writes = map(int, os.environ[CHANNEL].split(","))
    for number in (reads, writes):
        os.set_inheritable(number, False)
    with os.fdopen(reads) as requests, os.fdopen(writes, "w") as answers:
        for line in requests:
            outcomes.clear()
            known = run(*json.loads(line))
            print(json.dumps([asdict(one) for one in outcomes] if known else None), file=answers, flush=True)
