"""Rows that were cut, altered or made up: an error that names the sessions, before anything is computed or written."""

from __future__ import annotations

import json
import random
import zlib

import numpy as np
import pytest
from helpers.recurrence import UNITS, Gru, assert_same, random_turns
from safetensors.numpy import load, save

import unikeras as uk
from unikeras._specs.state_bytes import pack, pack_beginning, pack_rows, unpack
from unikeras._specs.states import StateSpec
from unikeras.errors import CorruptSession, SessionError, SessionMismatch
from unikeras.memory import MemoryStore, Sessions, SQLiteStore

MODEL = Gru()
STATE = [np.full((1, UNITS), value, "float32") for value in (0.25, 0.5)]
GOOD = pack(MODEL.states, MODEL.fingerprint, STATE)
HEADER = 8 + int.from_bytes(GOOD[:8], "little")


def metadata(**changes):
    return {**json.loads(GOOD[8:HEADER])["__metadata__"], **changes}


def crc(*arrays):
    return f"{zlib.crc32(b''.join(array.tobytes() for array in arrays)):08x}"


def row(*arrays, names=None, **changes):
    """A row that is right in all but what is said."""
    names = names or [str(number) for number in range(len(arrays))]
    tensors = dict(zip(names, arrays, strict=True))
    return save(tensors, metadata(**{"crc32": crc(*arrays), **changes}))


def altered(text, other):
    """A good row with its header altered, and its length told as it is."""
    header = GOOD[8:HEADER].replace(text, other)
    assert header != GOOD[8:HEADER]
    return len(header).to_bytes(8, "little") + header + GOOD[HEADER:]


def with_value(value, dtype="float32"):
    broken = STATE[0].copy()
    broken[0, 1] = value
    return row(broken, STATE[1])


H, C = STATE
ROWS = {
    "empty": (b"", "cut"),
    "seven bytes": (b"\0" * 7, "cut"),
    "zeros": (b"\0" * 100, "cannot be read"),
    "cut in the header": (GOOD[:40], "cut"),
    "cut at the tensors": (GOOD[:HEADER], "safetensors"),
    "cut by one": (GOOD[:-1], "safetensors"),
    "one too many": (GOOD + b"\0", "safetensors"),
    "twice": (GOOD + GOOD, "safetensors"),
    "huge header": (b"\xff" * 8 + GOOD[8:], "header false"),
    "header of 1 GB": ((2**30).to_bytes(8, "little") + GOOD[8:], "header false"),
    "header is no JSON": (GOOD[:8] + b"x" * (HEADER - 8) + GOOD[HEADER:], "cannot be read"),
    "header is no UTF-8": (GOOD[:8] + b"\xff" * (HEADER - 8) + GOOD[HEADER:], "cannot be read"),
    "header is a list": ((2).to_bytes(8, "little") + b"[]", "cannot be read"),
    "header is deep": (
        (200_000).to_bytes(8, "little") + b"[" * 100_000 + b"]" * 100_000,
        "cannot be read",
    ),
    "no metadata": (save({"0": H, "1": C}), "cannot be read"),
    "metadata is text": (altered(GOOD[8:HEADER].strip(), b'{"__metadata__":"x"}'), "no metadata"),
    "another schema": (row(H, C, schema="2"), "schema '2'"),
    "no schema": (altered(b'"schema"', b'"scheme"'), "schema None"),
    "wrong shape": (row(H[:, :2], C), "gru/h is F32 .*1, 2.*F32 .*1, 4"),
    "a batch of two": (row(np.concatenate([H, H]), C), "gru/h is F32 .*2, 4"),
    "flat": (row(H[0], C), "gru/h is"),
    "a dimension more": (row(H, C[..., None]), "gru/c is"),
    "wrong dtype": (row(H, C.astype("float64")), "gru/c is F64"),
    "same bits, integers": (row(H.view("int32"), C), "gru/h is I32"),
    "a tensor less": (row(H), "1 tensors"),
    "a tensor more": (row(H, C, C), "3 tensors"),
    "tensors by name": (row(H, C, names=["h", "c"]), "2 tensors"),
    "a path for a name": (row(H, C, names=["0", "../../1"]), "2 tensors"),
    "NaN": (with_value(np.nan), "gru/h holds a NaN or an Inf"),
    "Inf": (with_value(np.inf), "gru/h holds a NaN or an Inf"),
    "-Inf": (with_value(-np.inf), "gru/h holds a NaN or an Inf"),
    "a bit flipped": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum"),
    "no checksum": (altered(b'"crc32"', b'"crc33"'), "checksum"),
    "overlapping tensors": (altered(b"[16,32]", b"[0,16] "), "safetensors"),
    "tensors beyond the end": (altered(b"[16,32]", b"[16,99]"), "safetensors"),
    "a shape that overflows": (altered(b"[1,4]", b"[9999999999999999999,4]"), "safetensors"),
    "a negative shape": (altered(b"[1,4]", b"[-1,4]"), "safetensors"),
    "begins, of a model": (row(H, C, begins="true", fingerprint="b" * 64), "of model b"),
    "a pickle": (b"\x80\x04\x95" + b"cos\nsystem\n(S'true'\ntR.", "header false"),
}  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "memory.db")
    yield store
    store.close()


def put(store, session, blob):
    version = store.read([session])[session].version if session in store else 0
    assert store.write({session: (version, blob)})


def test_the_row_that_is_altered_here_is_good():
    assert [array.tolist() for array in unpack(MODEL.states, MODEL.fingerprint, GOOD)] == [
        array.tolist() for array in STATE
    ]
    assert unpack(MODEL.states, MODEL.fingerprint, row(*STATE)) is not None
    assert unpack(MODEL.states, MODEL.fingerprint, pack_beginning()) is None


def test_a_row_is_a_safetensors_file():
    specs = [StateSpec("gru", "steps", (), "int8"), StateSpec('a "crc32":""', "h", (3,), "float32")]
    arrays = [np.array([7], "int8"), np.arange(3, dtype="float32")[None]]
    blob = pack(specs, "c0ffee", arrays)
    header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    assert header["1"]["data_offsets"] == [0, 12]  # what is large comes first, and is aligned
    assert pack_rows(specs, "c0ffee", [arrays, arrays]) == [blob, blob]
    by_safetensors = save({"0": arrays[0], "1": arrays[1]}, header["__metadata__"])
    values = [[7], [[0.0, 1.0, 2.0]]]
    for row in (blob, by_safetensors):
        assert [load(row)[name].tolist() for name in "01"] == values
        assert [array.tolist() for array in unpack(specs, "c0ffee", row)] == values


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_row_stops_the_call_before_anything_happens(store, name):
    blob, reason = ROWS[name]
    model, (first, second) = Gru(), random_turns(2)
    chats = Sessions(model, store=store)
    chats.step({"good": first, "other": first})
    put(store, "bad", blob)
    before = store.read(["good", "bad"])
    model.calls.clear()
    with pytest.raises(SessionError, match=reason) as caught:
        chats.step({"good": second, "bad": second, "new": second})
    assert isinstance(caught.value, ValueError)
    assert set(caught.value.sessions) == {"bad"}
    assert "'bad'" in str(caught.value)
    assert not model.calls
    assert store.read(["good", "bad", "new"]) == before
    for call in (chats.state, lambda session: chats.fork(session, "copy")):
        with pytest.raises(SessionError, match="'bad'"):
            call("bad")
    # The others go on, and so does the bad one after a reset or a new beginning.
    assert_same(chats.step("good", second), model.truth(first, second)[1])
    chats.reset("bad")
    assert_same(chats.step("bad", first), model.truth(first)[0])
    put(store, "bad", blob)
    chats.forget("bad")
    both = chats.step({"bad": first, "other": second})
    assert_same(both["bad"], model.truth(first)[0])
    assert_same(both["other"], model.truth(first, second)[1])


def test_all_bad_sessions_are_named_at_once(store):
    bad = {name: blob for name, (blob, _) in ROWS.items()}
    for name, blob in bad.items():
        put(store, name, blob)
    put(store, "good", GOOD)
    turn = random_turns(1)[0]
    with pytest.raises(CorruptSession) as caught:
        Sessions(Gru(), store=store).step(dict.fromkeys([*bad, "good", "new"], turn))
    assert set(caught.value.sessions) == set(bad)
    assert all(repr(name) in str(caught.value) for name in bad)


def test_another_models_rows_alone_are_a_mismatch(store):
    put(store, "theirs", row(*STATE, fingerprint="b" * 64))
    turn = random_turns(1)[0]
    chats = Sessions(Gru(), store=store)
    with pytest.raises(SessionMismatch, match=f"'theirs': it is of model {'b' * 12}, this one is {'a' * 12}"):
        chats.step({"theirs": turn, "new": turn})
    put(store, "cut", GOOD[:30])
    with pytest.raises(CorruptSession, match="2 session"):
        chats.step({"theirs": turn, "cut": turn})


def test_no_alteration_goes_unseen_or_breaks_out():
    """Any bytes: a state that is finite and of the model's shapes, or the one error."""
    rng = random.Random(3)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(3000):
        blob = bytearray(GOOD)
        for _ in range(rng.choice([1, 1, 2, 8])):
            blob[rng.randrange(len(blob))] = rng.randrange(256)
        if rng.random() < 0.2:
            del blob[rng.randrange(len(blob)) :]
        store = MemoryStore()
        put(store, "s", bytes(blob))
        try:
            state = Sessions(MODEL, store=store).state("s")
        except SessionError:
            outcomes["refused"] += 1
        else:  # labels are not part of the meaning
            outcomes["read"] += 1
            np.testing.assert_array_equal(list(state["gru"].values()), STATE)
    assert outcomes["refused"] > 1000
    assert outcomes["read"] > 10


def test_a_pickle_in_a_row_is_never_run(store, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    put(store, "s", pickle.dumps(Bomb()))
    with pytest.raises(CorruptSession):
        Sessions(MODEL, store=store).step("s", random_turns(1)[0])
    assert not (tmp_path / "ran").exists()


def test_a_users_store_that_returns_what_is_no_row_is_named():
    class Odd(MemoryStore):
        def read(self, sessions):
            return {one: uk.memory.Row(1, None, 0.0) for one in sessions}

    with pytest.raises(CorruptSession, match="no bytes but NoneType"):
        Sessions(MODEL, store=Odd()).step("s", random_turns(1)[0])
