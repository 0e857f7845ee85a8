"""Sessions over a recurrence in numpy: turns are as one sequence, versions decide, nothing is half done."""

from __future__ import annotations

import datetime
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.recurrence import FEATURES, UNITS, Gru, assert_same, random_turns

import unikeras as uk
from unikeras import streaming
from unikeras._specs.states import StateSpec
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    NonFiniteError,
    SessionConflict,
    SessionMismatch,
    StateError,
    StoreError,
    UnknownSession,
)
from unikeras.memory import MemoryStore, Sessions, SQLiteStore


@pytest.fixture
def gru():
    return Gru()


@pytest.fixture
def chats(gru):
    return Sessions(gru, store="memory:")


class Losing(MemoryStore):
    """A store in which somebody else writes some sessions first, some times."""

    def __init__(self, **times):
        super().__init__()
        self.times, self.writes = times, 0

    def write(self, rows):
        self.writes += 1
        for session in rows:
            if self.times.get(session, 0) > 0:
                self.times[session] -= 1
                version = self.read([session])[session].version if session in self else 0
                MemoryStore.write(self, {session: (version, self.foreign)})
        return super().write(rows)


@pytest.mark.parametrize("length", [[1], [UNITS], range(1, 9)], ids=["1", "units", "mixed"])
def test_turns_are_as_one_sequence(gru, chats, length):
    turns = random_turns(6, lengths=length)
    got = [chats.step("alice", turn) for turn in turns]
    for one, expected in zip(got, gru.truth(*turns), strict=True):
        assert_same(one, expected)


def test_one_call_for_many_is_as_many_calls(gru, chats):
    """Lengths differ, some sessions begin later, and the order of a dict is kept."""
    turns = {f"s{n}": random_turns(5, seed=n) for n in range(7)}
    got = {name: [] for name in turns}
    for round_ in range(5):
        present = [name for n, name in enumerate(turns) if round_ >= n % 3]
        random.Random(round_).shuffle(present)
        outputs = chats.step({name: turns[name][round_] for name in present})
        assert list(outputs) == present
        for name in present:
            got[name].append(outputs[name])
    for n, name in enumerate(turns):
        for one, expected in zip(got[name], gru.truth(*turns[name][n % 3 :]), strict=True):
            assert_same(one, expected)


def test_lengths_are_split_without_padding(gru, chats):
    x = random_turns(4, lengths=[9])
    chats.step({"a": x[0][:, :5], "b": x[1][:, :2], "c": x[2][:, :5], "d": x[3]})
    assert gru.calls == [(4, 2, FEATURES), (3, 3, FEATURES), (1, 4, FEATURES)]


def test_nested_inputs_of_which_one_has_no_time():
    class Conditioned(Gru):
        sequence_outputs = (True,)
        sequence_inputs = (False, True)  # in the order of the dict

        def __call__(self, x, state):
            assert x["context"].shape[1:] == (2,)
            y, state = super().__call__(x["parts"][0] + x["context"][:, :1, None], state)
            return y["all"], state

    model = Conditioned()
    chats = Sessions(model, store="memory:")
    turns, contexts = random_turns(3), {"a": 0.5, "b": -0.5}
    outputs = chats.step(
        {
            name: {"context": np.full((1, 2), context), "parts": [turns[n]]}
            for n, (name, context) in enumerate(contexts.items())
        }
    )
    for n, (name, context) in enumerate(contexts.items()):
        np.testing.assert_allclose(outputs[name], model.truth(turns[n] + context)[0]["all"], rtol=1e-5)
    swapped = dict(reversed([("context", np.full((1, 2), 0.25)), ("parts", [turns[2]])]))
    assert list(swapped) == ["parts", "context"]  # the first session's order counts, names match the others
    both = chats.step({"c": {"context": np.zeros((1, 2)), "parts": [turns[2]]}, "d": swapped})
    np.testing.assert_allclose(both["d"], model.truth(turns[2] + 0.25)[0]["all"], rtol=1e-5)
    with pytest.raises(ArgumentValueError, match="has 2 inputs; received 1"):
        chats.step("a", turns[0])
    with pytest.raises(ArgumentValueError, match="one structure"):
        chats.step({"c": swapped, "d": {"parts": [turns[2]]}})


def test_a_model_may_flatten_its_inputs_itself():
    class Named(Gru):
        sequence_inputs = (False, True)

        def flatten_inputs(self, x):
            return [x["context"], x["x"]]

        def __call__(self, x, state):
            return super().__call__(x[1] + x[0][:, :, None], state)

    model, turns = Named(), random_turns(2)
    inputs = {name: {"x": turn, "context": np.ones((1, 1))} for name, turn in zip("ab", turns, strict=True)}
    outputs = Sessions(model, store="memory:").step(inputs)
    for name, turn in zip("ab", turns, strict=True):
        assert_same(outputs[name], model.truth(turn + 1)[0])


def test_the_model_may_tell_turns_itself():
    seen = []

    class Own:
        states, fingerprint = Gru().states, "0f"

        def initial_state(self, batch_size):
            return Gru().initial_state(batch_size)

        def turns(self, inputs, states):
            seen.append(states)
            return [x.sum() for x in inputs], [[np.full((1, UNITS), x.sum(), "float32")] * 2 for x in inputs]

    chats = Sessions(Own(), store="memory:")
    x = np.ones((1, 2, FEATURES))
    assert chats.step({"a": x, "b": 2 * x}) == {"a": 6, "b": 12}
    assert chats.step("b", x) == 6
    assert seen[0] == [None, None]
    assert [state.tolist() for state in seen[1][0]] == [[[12.0] * UNITS]] * 2


def test_an_artifact_is_used_by_its_step(gru):
    class Artifact:
        states, fingerprint, sequence_outputs = gru.states, gru.fingerprint, (True, False)
        initial_state, step = gru.initial_state, gru.__call__

    turns = random_turns(2)
    chats = Sessions(Artifact, store="memory:")
    for turn, expected in zip(turns, gru.truth(*turns), strict=True):
        assert_same(chats.step("alice", turn), expected)


def test_memory_survives_the_process_that_wrote_it(gru, tmp_path):
    turns = random_turns(3)
    for turn, expected in zip(turns, gru.truth(*turns), strict=True):
        with Sessions(Gru(), store=tmp_path / "memory.db") as chats:
            assert_same(chats.step("alice", turn), expected)


def test_names_of_layers_are_for_people(gru):
    """Keras numbers layers without a name by itself, and differently in each process."""
    store, renamed = MemoryStore(), Gru()
    renamed.states = tuple(StateSpec("gru_1", s.name, s.shape, s.dtype) for s in gru.states)
    renamed.initial_state = lambda n: {"gru_1": Gru().initial_state(n)["gru"]}
    renamed.run = lambda x, h, c: (lambda y, s: (y, {"gru_1": s["gru"]}))(*Gru().run(x, h, c))
    renamed.__class__ = type(
        "Renamed", (Gru,), {"__call__": lambda self, x, s: self.run(x, *s["gru_1"].values())}
    )
    turns = random_turns(2)
    Sessions(gru, store=store).step("alice", turns[0])
    assert_same(Sessions(renamed, store=store).step("alice", turns[1]), gru.truth(*turns)[1])


def test_state_is_what_the_model_left(gru, chats):
    turn = random_turns(1)[0]
    chats.step("alice", turn)
    _, expected = gru(turn, gru.initial_state(1))
    state = chats.state("alice")
    for name in "hc":
        assert state["gru"][name].shape == (1, UNITS)
        assert state["gru"][name].dtype == "float32"
        np.testing.assert_array_equal(state["gru"][name], expected["gru"][name])
    state["gru"]["h"][:] = 7  # a copy: what a caller does to it changes nothing
    np.testing.assert_array_equal(chats.state("alice")["gru"]["h"], expected["gru"]["h"])


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "float8_e4m3fn", "int32", "bool"])
def test_any_dtype_of_state_comes_back(dtype):
    class Keeps(Gru):
        def run(self, x, h, c):
            return {"all": x, "last": h.astype("float64")}, {
                "gru": {"h": h, "c": (x[:, -1, :1] + c * 0).astype(c.dtype)}
            }

    model = Keeps(dtype=dtype)
    chats = Sessions(model, store="memory:")
    y = chats.step("alice", np.ones((1, 2, FEATURES)))
    again = chats.step("alice", np.ones((1, 1, FEATURES)))
    np.testing.assert_array_equal(y["last"], again["last"])
    state = chats.state("alice")["gru"]
    assert str(state["h"].dtype) == str(state["c"].dtype) == dtype
    np.testing.assert_array_equal(state["h"], model.initial_state(1)["gru"]["h"])
    assert state["c"].astype("float64").tolist() == [[1.0] * UNITS]


def test_reset_begins_anew_and_fits_another_model(gru, tmp_path):
    turns, path = random_turns(3), tmp_path / "memory.db"
    with Sessions(gru, store=path) as chats:
        chats.step({"alice": turns[0], "bob": turns[1]})
        chats.reset("alice", "nobody")
        assert sorted(chats) == ["alice", "bob"]
        np.testing.assert_array_equal(chats.state("alice")["gru"]["h"], gru.initial_state(1)["gru"]["h"])
        assert_same(chats.step("alice", turns[2]), gru.truth(turns[2])[0])
    other = Gru("b" * 64, units=2)
    with Sessions(other, store=path) as chats:
        with pytest.raises(SessionMismatch) as caught:
            chats.step({"alice": turns[0], "bob": turns[1], "new": turns[2]})
        assert set(caught.value.sessions) == {"alice", "bob"}
        for part in ("'alice'", "'bob'", "a" * 12, "b" * 12, "reset or forget"):
            assert part in str(caught.value)
        assert "new" not in chats
        for call in (chats.state, lambda name: chats.fork(name, "copy")):
            with pytest.raises(SessionMismatch):
                call("bob")
        chats.reset("alice")
        assert_same(chats.step("alice", turns[0]), other.truth(turns[0])[0])


def test_fork_goes_two_ways(gru, chats):
    first, left, right = random_turns(3)
    chats.step("alice", first)
    chats.fork("alice", "alice-2")
    assert_same(chats.step("alice", left), gru.truth(first, left)[1])
    assert_same(chats.step("alice-2", right), gru.truth(first, right)[1])
    with pytest.raises(ArgumentValueError, match="exists already"):
        chats.fork("alice", "alice-2")
    with pytest.raises(UnknownSession, match=r"^there is no session 'nobody'$") as caught:
        chats.fork("nobody", "new")
    assert isinstance(caught.value, KeyError)
    assert sorted(chats) == ["alice", "alice-2"]


def test_forget_and_what_there_is(gru, chats):
    turn = random_turns(1)[0]
    chats.step({"alice": turn, "bob": turn})
    assert "bob" in chats
    assert 3 not in chats
    assert len(chats) == 2
    chats.forget("bob", "nobody")
    assert "bob" not in chats
    assert list(chats) == ["alice"]
    assert_same(chats.step("bob", turn), gru.truth(turn)[0])
    with pytest.raises(UnknownSession):
        chats.state("nobody")


AGES = {"90s": 90, "1.5m": 90, "12h": 43_200, " 30 d ": 2_592_000, "2w": 1_209_600, 0: 0, 1.5: 1.5}
AGES[datetime.timedelta(days=1, seconds=1)] = 86_401


@pytest.mark.parametrize("age", AGES, ids=str)
def test_expire_understands_ages(gru, age):
    store = MemoryStore()
    chats = Sessions(gru, store=store)
    chats.step(dict.fromkeys(["older", "younger"], random_turns(1)[0]))
    for name, difference in (("older", 5), ("younger", -5)):
        row = store.read([name])[name]
        store._rows[name] = uk.memory.Row(row.version, row.blob, row.updated - AGES[age] - difference)
    assert chats.expire(older_than=age) == 1
    assert list(chats) == ["younger"]


@pytest.mark.parametrize(
    ("age", "error"),
    [("30", ArgumentValueError), ("30 days", ArgumentValueError), ("-1d", ArgumentValueError), ("", ArgumentValueError),
     ("٣d", ArgumentValueError), (-1, ArgumentValueError), (float("nan"), ArgumentValueError),
     (float("inf"), ArgumentValueError), (None, ArgumentError), (True, ArgumentError)],
)  # fmt: skip
def test_expire_refuses_what_is_no_age(chats, age, error):
    with pytest.raises(error, match="age"):
        chats.expire(older_than=age)


def test_inputs_that_are_no_turns_are_named_at_once(gru, chats):
    good = random_turns(1)[0]
    with pytest.raises(ArgumentValueError) as caught:
        chats.step({"fine": good, "two": np.ones((2, 3, FEATURES)), "none": None, "flat": 1.0})
    for name in ("'two' has shape (2, 3, 3)", "'none' has no input", "'flat' has shape ()"):
        assert name in str(caught.value)
    assert "'fine'" not in str(caught.value)
    with pytest.raises(ArgumentValueError, match="'alice' has no input"):
        chats.step("alice")
    with pytest.raises(ArgumentError, match="a dict and x"):
        chats.step({"alice": good}, good)
    for call in (
        lambda: chats.step(1, good),
        lambda: chats.step({1: good}),
        lambda: chats.reset(1),
        lambda: chats.forget(b"alice"),
        lambda: chats.fork("alice", None),
        lambda: chats.state(None),
    ):
        with pytest.raises(ArgumentError, match="id is a str"):
            call()
    with pytest.raises(ArgumentValueError, match="at least one step"):
        chats.step("alice", good[:, :0])
    with pytest.raises(ArgumentValueError, match="one shape"):
        chats.step({"alice": good, "bob": good[..., :2]})
    assert chats.step({}) == {}
    assert gru.calls == []
    assert len(chats) == 0


def test_what_cannot_be_a_model_or_a_store_is_named(gru):
    with pytest.raises(ArgumentError, match="received int without states, fingerprint, initial_state"):
        Sessions(7, store="memory:")
    with pytest.raises(ArgumentError, match="a store is the path of a SQLite file"):
        Sessions(gru, store=7)
    with pytest.raises(ArgumentValueError, match="retries"):
        Sessions(gru, store="memory:", retries=-1)


def test_a_keras_model_becomes_a_step(monkeypatch, gru):
    import keras

    seen = []
    monkeypatch.setattr(streaming, "stateful", lambda model: seen.append(model) or gru, raising=False)
    model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.GRU(UNITS)])
    Sessions(model, store="memory:").step("alice", random_turns(1)[0])
    assert seen == [model]
    assert len(gru.calls) == 1


def foreign_row(gru, x):
    """The row after a turn that somebody else took."""
    store = MemoryStore()
    Sessions(gru, store=store).step("s", x)
    return store.read(["s"])["s"].blob


def test_who_writes_while_the_model_runs_wins(gru):
    """Both read the same version; the turn that comes second is computed from the memory of the first."""
    theirs, mine, before = random_turns(3)
    store = MemoryStore()
    other = Sessions(gru, store=store)
    other.step("alice", before)

    class Slow(Gru):
        def __call__(self, x, state):
            if len(self.calls) == 0:
                other.step("alice", theirs)
            return super().__call__(x, state)

    slow = Slow()
    assert_same(Sessions(slow, store=store).step("alice", mine), gru.truth(before, theirs, mine)[2])
    assert len(slow.calls) == 2


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_race_is_computed_again_from_the_new_state(gru, times):
    theirs, mine, before = random_turns(3)
    store = Losing(alice=times)
    store.foreign = foreign_row(gru, theirs)
    chats = Sessions(gru, store=store)
    gru.calls.clear()
    both = chats.step({"alice": mine, "bob": before})
    assert_same(both["alice"], gru.truth(theirs, mine)[1])
    assert_same(both["bob"], gru.truth(before)[0])
    assert store.writes == times + 1
    assert [shape[0] for shape in gru.calls][-times:] == [1] * times  # the lost one alone


def test_a_race_lost_too_often_is_a_conflict_that_has_the_others_outputs(gru):
    theirs, mine = random_turns(2)
    store = Losing(alice=3, carol=10)
    store.foreign = foreign_row(gru, theirs)
    with pytest.raises(SessionConflict, match=r"'alice', 'carol'.*3 time") as caught:
        Sessions(gru, store=store, retries=2).step({"alice": mine, "bob": mine, "carol": mine})
    assert set(caught.value.sessions) == {"alice", "carol"}
    assert set(caught.value.outputs) == {"bob"}
    assert_same(caught.value.outputs["bob"], gru.truth(mine)[0])
    chats = Sessions(gru, store=store)
    np.testing.assert_array_equal(  # theirs stands
        chats.state("alice")["gru"]["h"], gru(theirs, gru.initial_state(1))[1]["gru"]["h"].astype("float32")
    )
    with pytest.raises(SessionConflict, match="1 time"):
        Sessions(gru, store=Losing2(gru, theirs), retries=0).step("alice", mine)


def Losing2(gru, theirs):  # noqa: N802
    store = Losing(alice=1)
    store.foreign = foreign_row(gru, theirs)
    return store


def test_an_error_in_a_second_attempt_tells_who_has_had_a_turn(gru):
    turn = random_turns(1)[0]
    store = Losing(alice=1)
    store.foreign = b"broken meanwhile"
    with pytest.raises(uk.errors.CorruptSession) as caught:
        Sessions(gru, store=store).step({"alice": turn, "bob": turn})
    assert set(caught.value.outputs) == {"bob"}
    assert "'bob'" in caught.value.__notes__[0]


def test_reset_wins_in_the_end(gru):
    store = Losing(alice=5)
    store.foreign = foreign_row(gru, random_turns(1)[0])
    chats = Sessions(gru, store=store)
    MemoryStore.write(store, {"alice": (0, store.foreign)})
    chats.reset("alice")
    np.testing.assert_array_equal(chats.state("alice")["gru"]["h"], gru.initial_state(1)["gru"]["h"])


def test_a_memory_that_is_no_number_is_never_written(gru, chats):
    good, bad = random_turns(2)
    chats.step({"alice": good, "bob": good})
    bad[0, -1, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"nothing was written; 'bob': gru/h, gru/c$"):
        chats.step({"alice": good, "bob": bad, "new": good})
    assert sorted(chats) == ["alice", "bob"]
    both = chats.step({"alice": good, "bob": good})
    for name in both:
        assert_same(both[name], gru.truth(good, good)[1])


def test_a_model_that_breaks_its_word_is_an_error(gru, chats):
    gru.run = lambda x, h, c: ({"all": x, "last": h}, {"gru": {"h": h, "c": c[:, :1]}})
    with pytest.raises(uk.errors.SignatureError, match="gru/c"):
        chats.step("alice", random_turns(1)[0])

    class Short(Gru):
        sequence_outputs = (True,)

    with pytest.raises(StateError, match="2 outputs, and sequence_outputs tells of 1"):
        Sessions(Short(), store="memory:").step("alice", random_turns(1)[0])
    assert len(chats) == 0


def test_an_error_of_the_model_leaves_all_as_it_was(gru, chats):
    turn = random_turns(1)[0]
    chats.step("alice", turn)
    run, gru.run = gru.run, None
    with pytest.raises(TypeError):
        chats.step({"alice": turn, "bob": turn})
    gru.run = run
    assert list(chats) == ["alice"]
    assert_same(chats.step("alice", turn), gru.truth(turn, turn)[1])


@pytest.mark.parametrize("kind", ["memory:", "memory.db"])
def test_threads_take_turns(kind, tmp_path):
    """A running sum: each turn adds 1, and returns how many there were before it, so no two are alike."""

    class Count:
        states = (StateSpec("count", "n", (1,), "float64"),)
        fingerprint, sequence_outputs = "c0", (False,)

        def initial_state(self, batch_size):
            return {"count": {"n": np.zeros((batch_size, 1))}}

        def __call__(self, x, state):
            time.sleep(random.random() / 1000)
            return state["count"]["n"], {"count": {"n": state["count"]["n"] + x.sum(axis=1)}}

    store = kind if kind == "memory:" else tmp_path / kind
    names, seen, failures = ["a", "b", "c"], {"a": [], "b": [], "c": []}, []
    with Sessions(Count(), store=store, retries=0) as chats:

        def work(seed):
            rng = random.Random(seed)
            try:
                for _ in range(20):
                    chosen = rng.sample(names, 2)
                    for name, before in chats.step({one: np.ones((1, 1, 1)) for one in chosen}).items():
                        seen[name].append(before.item())
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    for before in seen.values():
        assert sorted(before) == list(range(len(before)))
    assert sum(map(len, seen.values())) == 6 * 20 * 2


def test_what_sessions_opened_they_close_and_nothing_else(gru, tmp_path):
    mine = SQLiteStore(tmp_path / "mine.db")
    with Sessions(gru, store=mine) as chats:
        chats.step("alice", random_turns(1)[0])
    assert "alice" in mine
    mine.close()
    with Sessions(gru, store=tmp_path / "theirs.db") as chats:
        pass
    with pytest.raises(StoreError, match="closed"):
        chats.step("alice", random_turns(1)[0])


def test_sessions_need_no_framework(tmp_path):
    """An artifact's sessions run where numpy, safetensors and a runtime are all that is installed."""
    code = f"""
import sys
for name in ("keras", "tensorflow", "torch", "jax", "redis", "optree", "onnx"):
    sys.modules[name] = None
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from helpers.recurrence import Gru, random_turns
import unikeras as uk
model, turns = Gru(), random_turns(4)
with uk.memory.Sessions(model, store={str(tmp_path / "memory.db")!r}) as chats:
    chats.step({{"a": turns[0], "b": turns[1]}})
    y = chats.step("a", turns[2])
assert abs(y["last"] - model.truth(turns[0], turns[2])[1]["last"]).max() < 1e-5
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_fork_in_the_middle_of_a_turn_holds_nobody_up(run_script):
    printed = run_script(f"""
        import os, sys, threading, time
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from helpers.recurrence import Gru, random_turns
        from unikeras.memory import Sessions
        class Slow(Gru):
            def __call__(self, x, state):
                inside.set()
                time.sleep(0.3)
                return super().__call__(x, state)
        inside, turn = threading.Event(), random_turns(1)[0]
        chats = Sessions(Slow(), store="memory.db")
        chats.step("bob", turn)
        inside.clear()
        thread = threading.Thread(target=chats.step, args=("alice", turn))
        thread.start()
        inside.wait()
        if (pid := os.fork()) == 0:
            code = 1
            try:
                chats.step({{"alice": turn, "bob": turn}})
                code = 0
            finally:
                os._exit(code)
        print(os.waitpid(pid, 0)[1])
        thread.join()
    """)
    assert printed.strip() == "0"
