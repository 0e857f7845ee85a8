"""A conversation that moves from backend to backend goes on as if it had stayed."""

from __future__ import annotations

import pytest
from helpers.talkers import talker

import unikeras as uk

BACKENDS = uk.backends.available()
LINES = ["i am Ada", "caf\u00e9 \U0001f600", "who am i", "next", "\0", "good bye"]
LENGTH = 12


def save(path: str) -> None:
    """Save a model whose replies depend on each byte before them."""
    talker().save(path)


def say(path: str, store: str, session: str, lines: list[str], length: int) -> list[str]:
    """Return the replies to lines of a session, in the process that runs this."""
    import keras

    from unikeras.apps.chat import Chat

    with Chat(keras.saving.load_model(path), store, length=length) as chat:
        return [chat.say(session, line) for line in lines]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "model.keras")
    uk.run_on(BACKENDS[0], save, path)
    return path


@pytest.fixture(scope="module")
def replies(path):
    """What a conversation gives that stays where it began."""
    found = uk.run_on(BACKENDS[0], say, path, "memory:", "alice", LINES, LENGTH)
    assert len(set(found)) == len(LINES)
    return found


@pytest.mark.parametrize("first", range(len(BACKENDS)), ids=BACKENDS)
def test_a_conversation_goes_on_under_the_other_backends(path, replies, first, tmp_path):
    """Two lines under each; each turn's memory was written by another process, and mostly another backend."""
    store, found = str(tmp_path / "memory.db"), []
    for number in range(3):
        backend = BACKENDS[(first + number) % len(BACKENDS)]
        lines = LINES[2 * number : 2 * number + 2]
        found += uk.run_on(backend, say, path, store, "alice", lines, LENGTH)
    assert found == replies


def export(path: str, artifact: str) -> None:
    """Export the model's step."""
    import keras

    import unikeras as uk

    uk.export_model(uk.stateful(keras.saving.load_model(path)), artifact)


def test_a_conversation_goes_on_in_an_artifact_and_comes_back(path, replies, tmp_path):
    """Two lines in the model, two in ONNX Runtime, two in the model under another backend."""
    from unikeras.apps.chat import Chat

    artifact, store = str(tmp_path / "model.onnx"), str(tmp_path / "memory.db")
    uk.run_on(BACKENDS[0], export, path, artifact)
    found = uk.run_on(BACKENDS[0], say, path, store, "alice", LINES[:2], LENGTH)
    with Chat(uk.load_artifact(artifact), store, length=LENGTH) as chat:
        found += [chat.say("alice", line) for line in LINES[2:4]]
    found += uk.run_on(BACKENDS[-1], say, path, store, "alice", LINES[4:], LENGTH)
    assert found == replies
