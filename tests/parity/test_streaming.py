"""Steps from every backend in every format: chunk by chunk they say what the model says at once."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import streaming

import unikeras as uk
from unikeras.backends import _registry
from unikeras.export.request.format_table import FORMATS

BACKENDS = tuple(_registry.names())
KINDS = tuple(streaming.KINDS)
pytestmark = pytest.mark.usefixtures("one_thread")


# One backend's processes are alive at a time.
CELLS = [(kind, backend) for backend in BACKENDS for kind in KINDS]
parametrized = pytest.mark.parametrize("cell", CELLS, ids="-".join, scope="module")


def for_cells(test):
    """Run a test for the cells whose turn it is; all tests take the same ones, and share what was exported."""
    return pytest.mark.rotated("cell")(parametrized(test))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    @functools.cache
    def export(kind, backend, formats=tuple(FORMATS)):
        folder = tmp_path_factory.mktemp(f"{kind}-{backend}")
        return uk.run_on(backend, streaming.export, kind, str(folder), list(formats), timeout=300)

    return export


@pytest.fixture
def artifact(exported, cell, format):
    report, _, _ = exported(*cell)
    return uk.load_artifact(next(row["path"] for row in report["artifacts"] if row["format"] == format))


def _in_chunks(artifact, x, lengths):
    """Return the outputs, joined: what has a time axis is concatenated; of the rest the last counts."""
    state = artifact.initial_state(streaming.BATCH)
    parts, start = [], 0
    for length in lengths:
        y, state = artifact.step(streaming.cut(x, start, start + length), state)
        parts.append(y if isinstance(y, dict) else {"y": y})
        start += length
    return {
        name: np.concatenate([part[name] for part in parts], 1)
        if parts[0][name].ndim == 3
        else parts[-1][name]
        for name in parts[0]
    }


def _assert_equal(received, expected):
    expected = expected if isinstance(expected, dict) else {"y": expected}
    assert set(received) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(received[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


@for_cells
@pytest.mark.parametrize("format", FORMATS)
def test_a_hundred_steps_are_one_call(exported, cell, artifact):
    _, whole, _ = exported(*cell)
    _assert_equal(_in_chunks(artifact, streaming.inputs(cell[0]), [1] * 100), whole[100])
    _assert_equal(_in_chunks(artifact, streaming.inputs(cell[0]), [100]), whole[100])


@for_cells
@pytest.mark.parametrize("format", FORMATS)
def test_chunks_are_the_whole(exported, cell, artifact):
    _, whole, _ = exported(*cell)
    _assert_equal(_in_chunks(artifact, streaming.inputs(cell[0]), [1, 7, 32]), whole[40])


@for_cells
def test_every_format_is_proven_with_free_batch_and_time(exported, cell):
    report, _, _ = exported(*cell)
    rows = report["artifacts"]
    assert [(row["format"], row["error"], row["verified_at"]) for row in rows] == [
        (format, None, [1, 3, 8]) for format in FORMATS
    ]
    for row in rows:
        artifact = uk.load_artifact(row["path"])
        over_time = artifact.metadata["memory"]["sequence_inputs"]
        for spec in artifact.signature.inputs:
            assert spec.shape[0] is None
            if spec.name in over_time:
                assert spec.shape[1] == (1 if row["format"] == "litert" else None)


_ALONE = """
import sys
import numpy as np
for name in ("keras", "tensorflow", "torch", "jax"):
    sys.modules[name] = None  # not there, for those who look and for those who import
import unikeras as uk
artifact = uk.load_artifact(sys.argv[1])
given = np.load(sys.argv[2])
state = {}
for spec in artifact.states:
    state.setdefault(spec.layer, {})[spec.name] = given[spec.input_name]
y, state = artifact.step(given["x"][:, :1], state)
rest, state = artifact.step(given["x"][:, 1:], state)
with uk.memory.Sessions(artifact, store=sys.argv[4]) as chats:
    alice = chats.step({"alice": given["x"][:1], "bob": given["x"][1:, :3]})["alice"]
np.savez(sys.argv[3], y=np.concatenate([y, rest], 1), alice=alice)
"""


SMALL_RUNTIMES = ("onnx", "litert", "openvino")


@pytest.mark.parametrize("format", SMALL_RUNTIMES)
def test_a_conversation_goes_on_where_no_framework_is(exported, tmp_path, format):
    """Begun by the model under torch, continued by its artifact in a process that cannot import one.

    The memory is handed over as a value, and by the store of the model's sessions.
    """
    report, whole, state = exported(KINDS[0], "torch", SMALL_RUNTIMES)
    path = next(row["path"] for row in report["artifacts"] if row["format"] == format)
    memory = {f"state/{layer}/{name}": array for layer, part in state.items() for name, array in part.items()}
    np.savez(tmp_path / "given.npz", x=streaming.inputs(KINDS[0])[:, 7:40], **memory)
    shutil.copy(Path(path).with_name("memory.db"), tmp_path)
    files = [path, tmp_path / "given.npz", tmp_path / "y.npz", tmp_path / "memory.db"]
    done = subprocess.run([sys.executable, "-c", _ALONE, *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = whole[40][:, 7:]
    _assert_equal(dict(np.load(tmp_path / "y.npz")), {"y": expected, "alice": expected[:1]})


@for_cells
def test_a_memory_has_the_names_of_the_model_that_runs_here(exported, cell):
    kind, backend = cell
    expected = [spec.to_dict() for spec in uk.stateful(streaming.KINDS[kind]()).states]
    for row in exported(kind, backend)[0]["artifacts"]:
        assert uk.load_artifact(row["path"]).metadata["memory"]["states"] == expected
