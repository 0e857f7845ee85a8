"""One suite for every backend: KERAS_BACKEND chooses from outside, and no test asks which one it is."""

from __future__ import annotations

import os
import signal

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell starts what it runs in the background with Ctrl-C ignored, and the processes that tests start and
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from unikeras.backends import _registry

pytest.register_assert_rewrite("unikeras.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="all cells of the export matrix, all pages twice on each backend",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each contract test once for each backend in the registry: a new one cannot escape them."""
    if "backend_name" in metafunc.fixturenames:
        metafunc.parametrize("backend_name", _registry.names(), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to the other environments the contract tests of the backends that do not run here."""
    from unikeras.backends._choose import choose

    current = choose().name
    elsewhere = [
        item
        for item in items
        if (callspec := getattr(item, "callspec", None))
        and callspec.params.get("backend_name", current) != current
    ]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    """Keep what was written and opened here out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNIKERAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("UNIKERAS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def backend(backend_name: str):
    """The backend under test, loaded; it is the one that Keras runs on."""
    import keras

    assert keras.backend.backend() == backend_name
    return _registry.load(backend_name)
