"""One suite for every backend: KERAS_BACKEND chooses from outside, and no test asks which one it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import defaultdict

import pytest
from helpers import rotation

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell starts what it runs in the background with Ctrl-C ignored, and the processes that tests start and
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from unikeras.backends import _registry

pytest.register_assert_rewrite("unikeras.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run every cell of the matrices that take turns")
    parser.addoption(
        "--part",
        type=int,
        choices=range(rotation.PARTS),
        help="the part of those matrices to run; without it, the commit decides",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "rotated(*parameters, parts=8): run for a part of the values of these parameters, or for all with --all",
    )


def _part(config: pytest.Config) -> tuple[int, str]:
    given = config.getoption("--part")
    return rotation.part_of_commit() if given is None else (given, "--part")


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--all"):
        return "rotation: every part"
    part, reason = _part(config)
    return (
        f"rotation: part {part} of {rotation.PARTS} ({reason}); "
        f"--part {part} runs it again, --all runs every part"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each contract test once for each backend in the registry: a new one cannot escape them."""
    if "backend_name" in metafunc.fixturenames:
        metafunc.parametrize("backend_name", _registry.names(), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another environment or another run takes."""
    left_out = _of_other_backends(items)
    if not config.getoption("--all"):
        left_out |= _of_other_parts(items, _part(config)[0])
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _of_other_backends(items: list[pytest.Item]) -> set[pytest.Item]:
    from unikeras.backends import choose

    current = choose().name
    return {
        item
        for item in items
        if (callspec := getattr(item, "callspec", None))
        and callspec.params.get("backend_name", current) != current
    }


def _of_other_parts(items: list[pytest.Item], part: int) -> set[pytest.Item]:
    """Return the tests whose cell has its turn in another run.

    Tests that are marked with the same parameters and have the same cells take the same ones.
    """
    cells = defaultdict(dict)
    for item in items:
        if (marker := item.get_closest_marker("rotated")) is not None:
            cell = rotation.name_of([item.callspec.params[name] for name in marker.args])
            cells[item.path, item.originalname, marker.kwargs.get("parts", rotation.PARTS)][item] = cell
    left_out = set()
    for (_, _, parts), named in cells.items():
        taken = rotation.take(named.values(), part, parts)
        left_out |= {item for item, cell in named.items() if cell not in taken}
    return left_out


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    """Keep what was written and opened here out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNIKERAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("UNIKERAS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def backend(backend_name: str):
    """The backend whose contract is tested, loaded; it is the one that Keras runs on."""
    import keras

    assert keras.backend.backend() == backend_name
    return _registry.load(backend_name)


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
