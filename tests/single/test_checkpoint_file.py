"""The file of a checkpoint: what it holds comes back bit by bit, and no damage or trick gets past the reader."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unikeras.errors import ArgumentError, ArtifactNotFound, CorruptArtifact, OutputError, UnikerasError
from unikeras.training.checkpoints import _checkpoint_file as checkpoint_file
from unikeras.training.checkpoints._checkpoint_file import Content, OtherVersion
from unikeras.training.checkpoints._nested_state import join, split

JSON, TENSORS = "state.json", "state.safetensors"
DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4),
]


def random_array(dtype, shape, seed=0):
    """Any bits, also those of a NaN."""
    dtype = np.dtype(dtype)
    if dtype in (np.dtype(bool), np.dtype(ml_dtypes.int4)):
        return (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(np.random.default_rng(seed).bytes(count), dtype).reshape(shape)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint-00000001.ukckpt"


@pytest.fixture
def written(path):
    arrays = {"model/a": np.arange(6, dtype="float32").reshape(2, 3), "model/b": np.zeros((), "int64")}
    checkpoint_file.write(path, Content({"step": 3}, arrays))
    return path


def test_every_dtype_and_shape_comes_back_bit_by_bit(path):
    arrays = {
        f"{dtype}/{shape}": random_array(dtype, shape)
        for dtype in DTYPES
        for shape in [(), (0,), (3, 0, 2), (3, 5)]
    }
    checkpoint_file.write(path, Content({"step": 1}, arrays))
    found = checkpoint_file.read(path)
    assert found.state == {"step": 1}
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes(), name


def test_the_members_are_files_that_others_read(path, tmp_path):
    from safetensors.numpy import load_file

    arrays = {"a": np.arange(3, dtype="float32"), "ünï/cödé": np.ones((2, 2), "int8")}
    checkpoint_file.write(path, Content({}, arrays))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    found = load_file(tmp_path / "unpacked" / TENSORS)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    assert json.loads((tmp_path / "unpacked" / JSON).read_text())["format"] == "unikeras-checkpoint"


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text()
ARRAYS = st.sampled_from(
    [np.arange(4.0), np.zeros((0, 2), "int8"), np.float16(1.5), np.array(True), np.int64(-3)]
)
STATES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def same(one, other):
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | np.generic):
        return type(one) is type(other) and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return repr(one) == repr(other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=STATES)
def test_every_state_comes_back(path, state):
    arrays = {}
    tree = split(state, "part", arrays)
    checkpoint_file.write(path, Content({"part": tree}, arrays))
    found = checkpoint_file.read(path)
    assert same(join(found.state["part"], found.arrays), state)


@pytest.mark.parametrize(
    "state",
    [object(), {1: 2}, {"a": b"bytes"}, [{"a": {3}}], np.array(["a"]), np.array([object()]), 10**5000],
    ids=["object", "int key", "bytes", "set", "str array", "object array", "huge int"],
)
def test_a_state_that_no_file_holds_is_named(state):
    with pytest.raises(ArgumentError, match="part"):
        split(state, "part", {})


def test_a_state_without_end_is_refused():
    state = []
    state.append(state)
    with pytest.raises(ArgumentError, match="nested more than 100 levels"):
        split(state, "part", {})


def test_a_state_is_a_copy_that_later_changes_do_not_reach():
    state, arrays = {"best": np.zeros(2)}, {}
    split(state, "part", arrays)
    state["best"][:] = 1
    assert arrays["part/best"].tolist() == [0, 0]


# Damage


def test_a_file_cut_anywhere_is_refused(written):
    whole = written.read_bytes()
    for length in range(len(whole)):
        written.write_bytes(whole[:length])
        for read in (checkpoint_file.read, checkpoint_file.read_state):
            with pytest.raises(CorruptArtifact):
                read(written)


def test_a_changed_byte_is_noticed_or_changes_nothing(written):
    whole, right = written.read_bytes(), checkpoint_file.read(written)
    for place in range(len(whole)):
        written.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = checkpoint_file.read(written)
        except CorruptArtifact:
            continue
        # A time stamp, or a note for another reader.
        assert found.state == right.state
        assert {n: a.tobytes() for n, a in found.arrays.items()} == {
            n: a.tobytes() for n, a in right.arrays.items()
        }


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ArtifactNotFound, match="no checkpoint at"):
        checkpoint_file.read(tmp_path / "none")
    with pytest.raises(CorruptArtifact, match="not a file"):
        checkpoint_file.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorruptArtifact, match="not a file"):
        checkpoint_file.read(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    with pytest.raises(CorruptArtifact, match="truncated, or not a checkpoint"):
        checkpoint_file.read(tmp_path / "empty")


# Files from elsewhere


def forge(path, document=None, tensors=None, members=None, **options):
    """Write an archive that looks like a checkpoint, but for what is given."""
    document = {"format": "unikeras-checkpoint", "version": 1, "state": {}, "tensors": {}, **(document or {})}
    text = document if isinstance(document, str) else json.dumps(document)
    tensors = (2).to_bytes(8, "little") + b"{}      "[:8] if tensors is None else tensors
    members = members or [(JSON, options.pop("text", text)), (TENSORS, tensors)]
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)


def header(**tensors):
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def test_the_forger_can_write_what_is_read(path):
    forge(path, {"tensors": {"a": ["float32", [1]]}}, header(a=F32) + b"abcd")
    assert checkpoint_file.read(path).arrays["a"].tobytes() == b"abcd"
    forge(path, tensors=header())
    assert checkpoint_file.read(path).arrays == {}


HOSTILE = {
    "another format": ({"document": {"format": "keras"}}, "another kind"),
    "a list": ({"text": "[]"}, "another kind"),
    "no JSON": ({"text": "{"}, "damaged"),
    "no text": ({"text": b"\xff\xfe"}, "damaged"),
    "deep JSON": ({"text": "[" * 200_000}, "nested too deeply"),
    "a number without end": ({"text": "9" * 10_000}, "damaged"),
    "a name twice": ({"text": '{"a": 1, "a": 2}'}, "'a' stands in it twice"),
    "no state": ({"document": {"state": []}}, "no state"),
    "no table": ({"document": {"tensors": 3}}, "no table"),
    "unknown dtype": ({"document": {"tensors": {"a": ["object", [1]]}}}, "unknown dtype 'object'"),
    "dtype of numpy": ({"document": {"tensors": {"a": ["datetime64", [1]]}}}, "unknown dtype"),
    "no row": ({"document": {"tensors": {"a": 3}}}, "no dtype and shape"),
    "negative size": ({"document": {"tensors": {"a": ["int8", [-1]]}}}, "no dtype and shape"),
    "fractional size": ({"document": {"tensors": {"a": ["int8", [1.0]]}}}, "no dtype and shape"),
    "too many axes": ({"document": {"tensors": {"a": ["int8", [1] * 65]}}}, "no dtype and shape"),
    "huge size": ({"document": {"tensors": {"a": ["int8", [2**62, 2**62]]}}}, "its tensors take"),
    "huge and empty": (
        {
            "document": {"tensors": {"a": ["int8", [2**62, 2**62, 0]]}},
            "tensors": header(a={"dtype": "I8", "shape": [2**62, 2**62, 0], "data_offsets": [0, 0]}),
        },
        "damaged",
    ),
    "more bytes": ({"tensors": header() + b"abcd"}, "its tensors take"),
    "other offsets": (
        {
            "document": {"tensors": {"a": ["float32", [1]]}},
            "tensors": header(a={**F32, "data_offsets": [1, 5]}) + b"abcd",
        },
        "header .* differs",
    ),
    "other names": (
        {"document": {"tensors": {"a": ["float32", [1]]}}, "tensors": header(b=F32) + b"abcd"},
        "header .* differs",
    ),
    "three members": ({"members": [(JSON, "{}"), (TENSORS, b""), ("c", b"")]}, "not a checkpoint"),
    "one member": ({"members": [(JSON, "{}")]}, "not a checkpoint"),
    "a path": ({"members": [("../" + JSON, "{}"), (TENSORS, b"")]}, "another kind"),
    "a member twice": ({"members": [(JSON, "{}"), (JSON, "{}")]}, "another kind"),
    "compressed": ({"compression": zipfile.ZIP_DEFLATED}, "compressed"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_file_is_refused(path, trick):
    arguments, message = HOSTILE[trick]
    forge(path, **arguments)
    with pytest.raises(CorruptArtifact, match=message) as caught:
        checkpoint_file.read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_another_version_says_so(path):
    forge(path, {"version": 2})
    with pytest.raises(OtherVersion, match="version 2 of the format, and this unikeras reads 1"):
        checkpoint_file.read(path)


def test_a_member_that_claims_to_be_larger_than_the_file_is_refused(written):
    content = bytearray(written.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    written.write_bytes(bytes(content))
    with pytest.raises(CorruptArtifact, match="larger than the file"):
        checkpoint_file.read(written)


def test_an_encrypted_member_is_refused(written):
    content = bytearray(written.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    written.write_bytes(bytes(content))
    with pytest.raises(CorruptArtifact, match="encrypted"):
        checkpoint_file.read(written)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mixture_of_bytes_escapes_as_another_error(written, data):
    content = bytearray(written.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    damaged = written.with_name("damaged")
    damaged.write_bytes(bytes(content))
    with contextlib.suppress(UnikerasError):
        checkpoint_file.read(damaged)


# Writing


def test_an_array_that_no_file_holds_is_refused_and_nothing_is_left(path):
    with pytest.raises(ArgumentError, match="'a' has dtype"):
        checkpoint_file.write(path, Content({}, {"a": np.array(["text"])}))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("place", [60, -200, -400, -30])
def test_what_the_disk_changes_is_noticed_before_the_file_has_its_name(path, monkeypatch, place):
    """A disk that changes some bytes: of the state, the arrays, the directory."""
    checkpoint_file.write(path, Content({"step": 1}, {"a": np.zeros(9)}))
    own = checkpoint_file._write_members

    def damaging(file, content):
        start = own(file, content)
        file.seek(place, io.SEEK_END if place < 0 else io.SEEK_SET)
        file.write(b"\x55" * 8)
        return start

    monkeypatch.setattr(checkpoint_file, "_write_members", damaging)
    with pytest.raises(OutputError, match="does not hold what was written"):
        checkpoint_file.write(path, Content({"step": 2}, {"a": np.zeros(40)}))
    assert checkpoint_file.read(path).state == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


def test_an_array_that_changes_while_it_is_written_is_noticed(path, monkeypatch):
    array, own = np.zeros(9), checkpoint_file._write_members

    def training_goes_on(file, content):
        start = own(file, content)
        array[3] = 1
        return start

    monkeypatch.setattr(checkpoint_file, "_write_members", training_goes_on)
    with pytest.raises(OutputError, match="were they changed while they were saved"):
        checkpoint_file.write(path, Content({}, {"a": array}))


def test_a_full_disk_leaves_the_old_file(run_script):
    printed = run_script(
        """
        import resource, os
        from pathlib import Path
        import numpy as np
        from unikeras.errors import OutputError
        from unikeras.training.checkpoints._checkpoint_file import Content, read, write
        path = Path("checkpoint-00000001.ukckpt")
        write(path, Content({"step": 1}, {"a": np.zeros(9)}))
        for limit in (50_000, 3, 120, 200):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                write(path, Content({"step": 2}, {"a": np.zeros(20_000)}))
            except OutputError as error:
                print(error)
        print(read(path).state, sorted(p.name for p in Path().iterdir() if p.name != "script.py"))
        """
    )
    *errors, left = printed.strip().splitlines()
    assert len(errors) == 4
    assert all("cannot write" in error for error in errors)
    assert left == "{'step': 1} ['checkpoint-00000001.ukckpt']"


def test_files_are_read_and_written_without_keras(run_script):
    printed = run_script(
        """
        import sys
        from unikeras.training.checkpoints import _checkpoint_file, _checkpoint_folder, _folder_lock, _nested_state
        print({"keras", "tensorflow", "torch", "jax"} & set(sys.modules))
        """
    )
    assert printed.strip() == "set()"


def test_a_large_state_is_refused_with_advice(path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "_MAX_JSON", 1000)
    with pytest.raises(ArgumentError, match="belong into numpy arrays"):
        checkpoint_file.write(path, Content({"history": [0.1] * 1000}))
    assert list(path.parent.iterdir()) == []
