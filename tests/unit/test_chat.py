"""Chats: what is said, remembered, refused and printed, in Python and by `unikeras chat`."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.talkers import LINES, talk, talker
from keras import layers

import unikeras as uk
from unikeras import cli, errors
from unikeras._specs.states import StateSpec
from unikeras.apps.chat import Chat, _chat, byte_model, recall, train
from unikeras.apps.chat._conversations import NAMES, NEXT, conversation
from unikeras.apps.chat._sampling import Sampler
from unikeras.apps.chat._text import zen

LENGTH = 6


@pytest.fixture(scope="module")
def source():
    return talker()


@pytest.fixture(scope="module")
def model(source):
    """The model as a step, so that it is compiled once for all tests."""
    return uk.stateful(source)


@pytest.fixture(scope="module")
def replies(source):
    """What an uninterrupted conversation gives, from the model itself."""
    found = talk(source, LINES, LENGTH)
    assert len(set(found)) == len(found)  # they tell one moment of the conversation from the others
    return found


@pytest.fixture(scope="module")
def saved(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    source.save(path)
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `unikeras chat` in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, said=b""):
        arguments = ["chat", *map(str, arguments), "--length", LENGTH]
        return CliRunner().invoke(cli.commands, [*map(str, arguments)], input=said, prog_name="unikeras")

    return run


# ---------------------------------------------------------------- memory


def test_replies_are_those_of_the_model_that_read_it_all(model, replies):
    with Chat(model, "memory:", length=LENGTH) as chat:
        assert [chat.say("alice", line) for line in LINES] == replies


def test_each_session_has_its_own_memory(source, model, replies):
    other = [LINES[1], *LINES]
    expected = talk(source, other, LENGTH)
    assert expected[1:] != replies
    with Chat(model, "memory:", length=LENGTH) as chat:
        found = {"alice": [], "bob": [chat.say("bob", other[0])]}
        for line in LINES:
            found["alice"].append(chat.say("alice", line))
            found["bob"].append(chat.say("bob", line))
    assert found == {"alice": replies, "bob": expected}


def test_a_kill_in_the_middle_of_a_reply_leaves_the_turn_before(
    start_script, saved, model, replies, tmp_path
):
    process = start_script(
        f"""
        import os, signal
        import unikeras as uk
        uk.backend()
        import keras
        from unikeras.apps.chat import Chat, _sampling

        chat = Chat(keras.saving.load_model({str(saved)!r}), "memory.db", length={LENGTH})
        for line in {LINES[:2]!r}:
            print(chat.say("alice", line).encode().hex(), flush=True)
        draw, left = _sampling.Sampler.next_byte, [3]
        def next_byte(self, logits):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return draw(self, logits)
        _sampling.Sampler.next_byte = next_byte
        chat.say("alice", {LINES[2]!r})
        """,
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert [bytes.fromhex(line).decode() for line in output.split()] == replies[:2]
    with Chat(model, tmp_path / "memory.db", length=LENGTH) as chat:
        assert [chat.say("alice", line) for line in LINES[2:]] == replies[2:]


def test_a_failed_turn_leaves_nothing(model, replies, monkeypatch):
    with Chat(model, "memory:", length=LENGTH) as chat:
        chat.say("alice", LINES[0])
        with monkeypatch.context() as patch:
            patch.setattr(Sampler, "next_byte", lambda self, logits: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                chat.say("alice", "lost")
        assert chat.say("alice", LINES[1]) == replies[1]


# ---------------------------------------------------------------- what is said


def test_a_line_is_read_in_chunks_of_few_sizes():
    for length in (1, 5, 300, 3001):
        line = bytes(number % 256 for number in range(length))
        chunks = _chat.split(line)
        assert b"".join(chunks) == line
        assert {len(chunk) for chunk in chunks} <= {256, 64, 16, 4, 1}


@pytest.mark.parametrize("line", ["\0", "\U0001f600", "\ud800", "a\nb", "\x1b[2J", "x" * 3000])
def test_any_line_has_a_printable_reply(model, line):
    with Chat(model, "memory:", temperature=5.0, seed=0, length=40) as chat:
        reply = chat.say("alice", line)
    assert reply.isprintable()
    assert len(reply) <= 40


def test_a_line_break_is_a_space(model):
    with Chat(model, "memory:", length=LENGTH) as chat:
        assert chat.say("a", "one\ntwo") == chat.say("b", "one two")


def test_bytes_are_drawn_as_softmax_says():
    logits = np.array([0.0, 1.0, 3.0], "float32")
    sampler = Sampler(2.0, seed=1)
    drawn = np.bincount([sampler.next_byte(logits) for _ in range(20_000)], minlength=3) / 20_000
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(drawn, expected, atol=0.015)
    assert Sampler(1e-30, seed=0).next_byte(logits) == 2
    assert [Sampler(2.0, seed=7).next_byte(logits) for _ in range(3)] == [
        Sampler(2.0, seed=7).next_byte(logits)
    ] * 3


def test_chance_is_that_of_the_seed(model):
    def said(seed):
        with Chat(model, "memory:", temperature=2.0, seed=seed, length=20) as chat:
            return chat.say("alice", "hello")

    assert said(1) == said(1) != said(2)


# ---------------------------------------------------------------- what is refused


def _model(*body, inputs=None):
    inputs = keras.Input((None,), dtype="int32") if inputs is None else inputs
    return keras.Sequential([inputs, *body])


WRONG = {
    "classes": lambda: talker(classes=300),
    "few rows": lambda: _model(
        layers.Embedding(100, 4), layers.LSTM(4, return_sequences=True), layers.Dense(9)
    ),
    "features": lambda: _model(layers.LSTM(4, return_sequences=True), inputs=keras.Input((None, 3))),
    "last step only": lambda: _model(layers.Embedding(256, 4), layers.LSTM(4)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_model_of_something_else_is_refused(wrong):
    with pytest.raises(errors.ArgumentValueError, match=r"takes the bytes 0 to 255 .* returns logits"):
        Chat(WRONG[wrong](), "memory:")


def test_a_model_of_two_outputs_is_refused():
    x = keras.Input((None,), dtype="int32")
    y = layers.LSTM(4, return_sequences=True)(layers.Embedding(256, 4)(x))
    with pytest.raises(errors.ArgumentValueError, match="returns 2 outputs"):
        Chat(keras.Model(x, [y, y]), "memory:")


@pytest.mark.parametrize(
    "options",
    [{"length": 0}, {"length": True}, {"temperature": -1.0}, {"temperature": float("nan")}, {"seed": -1}],
)
def test_numbers_out_of_range_are_refused(model, options):
    with pytest.raises(errors.ArgumentValueError, match=f"{next(iter(options))} is"):
        Chat(model, "memory:", **options)


# ---------------------------------------------------------------- training


def test_a_training_learns_and_says_how_far_it_is():
    model, told = byte_model(units=8, seed=0), []
    train(model, rounds=1, tell=told.append)
    assert told[-1].loss < 0.8 * told[0].loss
    assert [progress.batches for progress in told] == list(range(1, len(told) + 1))
    parts = [progress.part for progress in told]
    assert parts == sorted(parts)
    assert 0 < parts[0] < 0.1
    assert parts[-1] == 1


@pytest.mark.parametrize("options", [{"minutes": 0}, {"rounds": 0}, {"minutes": float("nan")}])
def test_a_training_of_no_length_is_refused(options):
    with pytest.raises(errors.ArgumentValueError, match="more than 0"):
        train(byte_model(units=2), **options)


def test_conversations_ask_for_what_was_told():
    for seed in range(200):
        name, line = None, -1
        for turn in conversation(random.Random(seed)).turns:
            if turn.reply.startswith("hello "):
                name = turn.reply.removeprefix("hello ")
                assert name in NAMES
                assert turn.line.lower().endswith(name.lower())
            elif turn.reply in zen():
                line = (line + 1) % len(zen()) if turn.line in NEXT else 0
                assert turn.reply == zen()[line]
            else:
                assert turn.reply.startswith(f"{name}, " if name else ("you have not", "go on"))


class Oracle:
    """Knows what comes next, but for some bytes."""

    states = (StateSpec("none", "h", (1,), "float32"),)
    fingerprint = "0"

    def __init__(self, blind=b""):
        self.blind = blind

    def initial_state(self, batch_size):
        return {"none": {"h": np.zeros((batch_size, 1), "float32")}}

    def turns(self, inputs, states):
        following = [np.roll(x[0], -1) for x in inputs]
        following = [np.where(np.isin(x, list(self.blind)), 0, x) for x in following]
        return [np.eye(256)[x][None] for x in following], [[np.zeros((1, 1))] for _ in inputs]


def test_recall_counts_replies_that_are_right_to_the_letter():
    found = recall(Oracle())
    assert found.names == found.names_asked > 50
    assert found.lines == found.lines_asked > 50
    assert (
        str(found) == f"names {found.names} of {found.names}, lines of the Zen {found.lines} of {found.lines}"
    )
    found = recall(Oracle(blind=b","))  # in each reply with a name, in no line of the Zen
    assert (found.names, found.lines) == (0, found.lines_asked)
    found = recall(Oracle(blind=b"S"))
    assert found.names == found.names_asked
    assert 0 < found.lines < found.lines_asked


# ---------------------------------------------------------------- the command


def test_a_conversation_goes_on_in_the_next_process(run, saved, replies):
    options = [saved, "--session", "alice"]
    first = run(*options, *(part for line in LINES[:3] for part in ("--say", line)))
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == replies[:3]
    assert "model.keras in memory.db, session alice: new" in first.stderr
    # A pipe has no way to say an empty line; NUL and emoji it has.
    second = run(*options, said="\n".join(LINES[3:]).encode())
    assert second.stdout.splitlines() == replies[3:]
    assert "session alice: remembered, last turn just now" in second.stderr


def test_commands_of_a_conversation(run, saved, replies):
    said = [
        LINES[0],
        "/fork bob",
        LINES[1],
        "/sessions",
        "/reset",
        LINES[0],
        "/fork bob",
        "/what",
        "/quit",
        "no",
    ]
    result = run(saved, "--session", "alice", said="\n".join(said).encode())
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [replies[0], replies[1], replies[0]]
    for text in (
        "bob is a copy of alice",
        "alice, bob",
        "alice starts over",
        "exists already",
        "/quit or",
    ):
        assert text in result.stderr
    assert run(saved, "--session", "bob", "--say", LINES[1]).stdout.splitlines() == [replies[1]]


def test_a_session_is_forgotten_on_demand(run, saved, replies):
    run(saved, "--say", LINES[0])
    assert run(saved, "--say", LINES[0], "--forget").stdout.splitlines() == [replies[0]]
    assert run(saved, "--say", LINES[1]).stdout.splitlines() == [replies[1]]


def test_bytes_that_are_no_text_come_through_a_pipe(run, saved):
    result = run(saved, said=b"\xff\xfe\0\r\nhello")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2


def test_memory_of_another_model_is_not_used(run, saved, tmp_path):
    run(saved, "--say", LINES[0])
    talker(seed=4).save(tmp_path / "other.keras")
    result = run(tmp_path / "other.keras", "--say", LINES[1])
    assert result.exit_code == 1
    assert "of another model" in result.stderr
    assert "--forget deletes this one" in result.stderr
    assert run(tmp_path / "other.keras", "--say", LINES[1], "--forget").exit_code == 0


def test_a_model_is_trained_saved_and_talked_to(run, tmp_path):
    result = run("m.keras", "--train", "--rounds", 1, "--units", 4, "--say", "hello")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
    assert "right replies from memory: names 0 of" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if "memory.db" not in path.name) == ["m.keras"]
    again = run("m.keras", "--train", "--rounds", 1)
    assert again.exit_code == 2 or again.exit_code == 1
    assert "--overwrite" in again.stderr


def test_a_training_that_fails_leaves_no_file(run, tmp_path, monkeypatch):
    def fail(*_):
        raise errors.StepError("no luck")

    monkeypatch.setattr("unikeras.apps.chat.train", fail)
    result = run("m.keras", "--train")
    assert result.exit_code == 1
    assert "no luck" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.keras"], "`unikeras chat m.keras --train` makes"),
        (["m.onnx"], "`unikeras chat m.keras --train` makes"),
        (["m.onnx", "--train"], "ends in .keras"),
        (["m.keras", "--temperature", "-1"], "--temperature"),
        (["m.keras", "--seed", "-1"], "--seed"),
        (["broken.keras"], "could not be loaded"),
    ],
)
def test_wrong_use_is_told(run, tmp_path, arguments, message):
    (tmp_path / "broken.keras").write_text("no model")
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_wrong_use_is_told_before_keras_is_loaded(tmp_path):
    code = (
        "import sys; from unikeras.cli import commands\n"
        "try: commands(['chat', 'no.keras'])\n"
        "except SystemExit: print('keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"
