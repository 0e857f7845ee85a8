"""A plugin for pytest: `@pytest.mark.backends` runs a test under each backend, each in a process of its own.

    @pytest.mark.backends                    # each installed backend
    @pytest.mark.backends("torch", "jax")    # these; one that is not installed is skipped

Each is a test of its own, such as `test_model[jax]`. The test module is imported in the backend's process, where the
test's fixtures run too; one process for each backend serves all tests of a run. A test that wants the backend's name
takes the argument `keras_backend`. Nothing heavy is imported here: pytest imports this in each of its runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from unikeras import backends
from unikeras.compare._pytest_children import CHANNEL, Children, Outcome, serve
from unikeras.errors import ArgumentValueError, UnikerasError

ARGUMENT = "keras_backend"
_children = pytest.StashKey[Children]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "backends(*names): run the test under each of these backends, or each installed one, in a process of its own",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each backend."""
    marker = metafunc.definition.get_closest_marker("backends")
    if marker is None:
        return
    names = [str(name) for name in marker.args] or backends.available()
    problems = [f"backends names {name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [f"unknown backend {name!r}" for name in sorted(set(names) - set(backends.names()))]
    if problems or marker.kwargs:
        known = ", ".join(backends.names())
        problems += [f"it takes no keyword {key!r}" for key in marker.kwargs]
        raise ArgumentValueError(
            f"@pytest.mark.backends of {metafunc.definition.nodeid}: {'; '.join(problems)}; the backends are {known}"
        )
    if ARGUMENT not in metafunc.fixturenames:
        metafunc.fixturenames.append(ARGUMENT)
    metafunc.parametrize(ARGUMENT, [_parameter(name) for name in names])


def _parameter(name: str) -> Any:
    try:
        backends.check(name)
    except UnikerasError as error:
        return pytest.param(name, marks=pytest.mark.skip(reason=str(error)))
    return name


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests of a backend run in its process."""
    if CHANNEL in os.environ:
        return
    for number, item in enumerate(items):
        callspec = getattr(item, "callspec", None)
        is_ours = item.get_closest_marker("backends") and ARGUMENT in getattr(callspec, "params", {})
        if is_ours and item.parent is not None and not item.get_closest_marker("skip"):
            items[number] = _RemoteTest.from_parent(item.parent, name=item.name, test=item)


class _RemoteTest(pytest.Item):
    """A test that runs in another process."""

    def __init__(self, *, test: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self._test = test
        self.backend: str = test.callspec.params[ARGUMENT]
        for marker in test.own_markers:
            if marker.name not in (
                "skipif",
                "xfail",
                "usefixtures",
                "parametrize",
            ):  # its process heeds these
                self.add_marker(getattr(pytest.mark, marker.name)(*marker.args, **marker.kwargs))

    def runtest(self) -> None:
        stash = self.config.stash
        if _children not in stash:
            stash[_children] = Children(self.config, _files(self.session))
        after = self.session.items[self.session.items.index(self) + 1 :]
        following = next(
            (one.nodeid for one in after if isinstance(one, _RemoteTest) and one.backend == self.backend), ""
        )
        self._relay(stash[_children].run(self.backend, self.nodeid, following))

    def _relay(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            for title, text in outcome.sections:
                stream, when = title.removeprefix("Captured ").split()
                self.add_report_section(when, stream, text)
        for outcome in outcomes:
            if outcome.outcome == "failed":
                raise _RemoteFailure(outcome.text)
        for outcome in outcomes:
            if outcome.outcome == "skipped" and outcome.expected_failure is not None:
                pytest.xfail(outcome.expected_failure)
            elif outcome.outcome == "skipped":
                pytest.skip(outcome.text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _RemoteFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> Any:
        return self._test.reportinfo()


class _RemoteFailure(Exception):
    """What the other process reported."""


def _files(session: pytest.Session) -> list[str]:
    return list(dict.fromkeys(str(one.path) for one in session.items if isinstance(one, _RemoteTest)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes."""
    if _children in config.stash:
        config.stash[_children].close()


# ---------------------------------------------------------------- in a backend's process


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests that the other process asks for, one by one."""
    if CHANNEL not in os.environ:
        return None
    items = {item.nodeid: item for item in session.items}

    def run(name: str, following: str) -> bool:
        if name not in items:
            return False
        items[name].config.hook.pytest_runtest_protocol(item=items[name], nextitem=items.get(following))
        return True

    serve(run, _reports)
    return True


_reports: list[Outcome] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if CHANNEL in os.environ:
        _reports.append(_outcome_of(report))


def _outcome_of(report: pytest.TestReport) -> Outcome:
    text = report.longreprtext
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        text = str(report.longrepr[2]).removeprefix("Skipped: ")
    sections = [] if report.when != "teardown" else list(_last_sections(report))
    return Outcome(str(report.when), report.outcome, text, getattr(report, "wasxfail", None), sections)


def _last_sections(report: pytest.TestReport) -> Iterator[tuple[str, str]]:
    yield from ((title, text) for title, text in report.sections if title.startswith("Captured std"))
