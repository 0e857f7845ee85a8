"""History files: what a killed run leaves, files that are none, and their pictures."""

from __future__ import annotations

import json
import math
import sys

import pytest
from click.testing import CliRunner

from unikeras import errors
from unikeras.callbacks import plot_history, read_history
from unikeras.callbacks._history_lines import dump, repair
from unikeras.cli import commands

BEGIN = {"event": "begin", "time": 0.0, "step": 0}


def epoch(number, **logs):
    return {"event": "epoch", "time": 0.0, "epoch": number, "step": 10 * (number + 1), "logs": logs}


def step(number, **logs):
    return {"event": "step", "epoch": number // 10, "step": number, "logs": logs}


@pytest.fixture
def file(tmp_path):
    """Write lines, and perhaps more bytes, as a history file."""

    def write(*lines, more=b"", name="run.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"".join(map(dump, lines)) + more)
        return path

    return write


def test_a_resumed_run_has_each_epoch_once(file):
    resume = {"event": "resume", "epoch": 1, "step": 14}
    lines = [epoch(0, loss=3), step(12, loss=2), step(16, loss=9), epoch(1, loss=9), epoch(2, loss=9)]
    (run,) = read_history(file(BEGIN, *lines, resume, step(16, loss=2), epoch(1, loss=1)))
    assert run.epochs == {0: {"loss": 3.0}, 1: {"loss": 1.0}}
    assert run.steps == {12: {"loss": 2.0}, 16: {"loss": 2.0}}
    assert run.resumed == [1]
    assert not run.is_finished


def test_a_file_may_have_several_runs(file):
    first, second = read_history(file(BEGIN, epoch(0, a=1), {"event": "end"}, BEGIN, epoch(0, a=2)))
    assert (first.epochs, first.is_finished) == ({0: {"a": 1.0}}, True)
    assert (second.epochs, second.is_finished) == ({0: {"a": 2.0}}, False)


def test_numbers_that_json_has_not(file):
    path = file(BEGIN, epoch(0, a=math.nan, b=math.inf, c=-math.inf, d="text", e=[1], f=True, g=10**400))
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    logs = read_history(path)[0].epochs[0]
    assert math.isnan(logs.pop("a"))
    assert logs == {"b": math.inf, "c": -math.inf, "g": math.inf}


def test_best():
    from unikeras.callbacks import Run

    logs = [{"loss": 2, "val_accuracy": 0.5}, {"loss": math.nan, "val_accuracy": 0.9}, {"loss": 1}]
    run = Run(epochs=dict(enumerate(logs)))
    assert (run.best("loss"), run.best("val_accuracy"), run.best("other")) == (2, 1, None)


@pytest.mark.parametrize("torn", [b'{"event": "epo', b"\xff\xfe", b"\0" * 4096])
def test_a_torn_last_line_is_ignored_and_cut_off(file, torn):
    path = file(BEGIN, epoch(0, a=1), more=torn)
    whole = path.read_bytes()[: -len(torn)]
    assert list(read_history(path)[0].epochs) == [0]
    assert repair(path)
    assert path.read_bytes() == whole


def test_a_torn_first_line_is_cut_off(file):
    path = file(more=b'{"event": "begin", "ti')
    assert not repair(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "content",
    [
        b"my only copy of a thesis\n",
        b"no line at all",
        b"\x89PNG\r\n\x1a\n\0\0\0",
        b'{"event": "other"}\n',
        b"[1]\n",
        b"[" * 100_000 + b"\n",
        b'{"event": "epoch", "epoch": NaN}\n',
        b'{"event": "epoch", "epoch": -1}\n',
        b'{"event": "epoch", "epoch": 1e3}\n',
        b'{"event": "epoch", "epoch": 0, "logs": [1]}\n',
        b'{"event": "step", "step": ' + b"9" * 5000 + b"}\n",
    ],
)
def test_a_file_that_is_no_history_is_named_and_kept(file, content):
    path = file(more=content)
    with pytest.raises(errors.CorruptArtifact, match=r"run\.jsonl"):
        read_history(path)
    with pytest.raises(errors.CorruptArtifact, match=r"run\.jsonl"):
        repair(path)
    assert path.read_bytes() == content


def test_damage_inside_is_named(file):
    path = file(BEGIN, epoch(0, a=1), more=b"{}\n" + dump(epoch(1, a=1)))
    with pytest.raises(errors.CorruptArtifact, match="line 3"):
        read_history(path)


def test_nothing_there(tmp_path):
    with pytest.raises(errors.ArtifactNotFound, match="there is no history file"):
        read_history(tmp_path / "run.jsonl")
    with pytest.raises(errors.CorruptArtifact, match="cannot be read"):
        read_history(tmp_path)


def _pixels(path):
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size, len(set(picture.convert("RGB").get_flattened_data()))


def test_a_picture(file, tmp_path):
    one = [
        epoch(i, loss=1 / (i + 1), val_loss=math.nan if i == 1 else 2, **{"we$ird\x1b[2J": i})
        for i in range(5)
    ]
    first = file(BEGIN, *one[:3], {"event": "resume", "epoch": 2, "step": 20}, *one[2:])
    second = file(BEGIN, epoch(0, loss=3), BEGIN, epoch(0, loss=2), name="other.jsonl")
    out = plot_history([first, second], tmp_path / "pictures" / "run.png")
    (width, height), colors = _pixels(out)
    assert (width, height) == (1440, 432)
    assert colors > 200
    assert _pixels(plot_history(first, out, ["val_loss"]))[0] == (720, 432)
    with pytest.raises(errors.ArgumentValueError, match=r"no metric 'f1'.*'loss'"):
        plot_history(first, out, ["f1"])
    with pytest.raises(errors.ArgumentValueError, match="no epoch was finished"):
        plot_history(file(BEGIN, name="empty.jsonl"), out)


def _run(*words):
    return CliRunner().invoke(commands, ["plot", *map(str, words)])


def test_the_command(file, tmp_path):
    path = file(BEGIN, epoch(0, loss=1))
    done = _run(path)
    assert (done.exit_code, done.output) == (0, f"written: {tmp_path / 'run.png'}\n")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert _run(path, "-o", tmp_path / "other.png", "--metric", "loss").exit_code == 0
    assert (tmp_path / "other.png").exists()


def test_the_command_names_what_is_wrong(file, tmp_path, monkeypatch):
    path = file(BEGIN, epoch(0, loss=1))
    assert "there is no history file" in _run(tmp_path / "none.jsonl").output
    assert "is no JSON" in _run(file(more=b"text\n", name="text.jsonl")).output
    (tmp_path / "taken").write_text("")
    assert "cannot write" in _run(path, "-o", tmp_path / "taken" / "run.png").output
    assert _run().exit_code == 2
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("unikeras._base.optional.is_installed", lambda module: module != "matplotlib")
    missing = _run(path)
    assert "pip install matplotlib" in missing.output
    assert missing.exit_code == 2
