"""What a benchmark says of its measurements: table, advice, data, picture and page, from made-up numbers."""

from __future__ import annotations

import json
import re

import pytest

from unikeras.compare import BenchmarkResult, Measurement
from unikeras.errors import ArgumentValueError


def row(name, times, task="train", batch=64, way="unikeras", **more):
    return Measurement(name, way, task, batch, tuple(times), first_s=1.5, peak_mib=300.0, **more)


def result(*rows):
    machine = {"versions": {"keras": "3.15.1"}, "processors": 2, "load": [0.1, 0.1, 0.1]}
    return BenchmarkResult("mlp", 1234, rows, machine, ["targets are made up"])


FAST, SLOW = row("tensorflow", [1.0, 1.1, 0.9, 1.0]), row("torch", [1.7, 1.6, 1.8, 1.7])
FAILED = Measurement("jax", "unikeras", "train", 64, error="WorkerDied: <out> of memory")


def test_the_faster_one_is_named_with_its_factor():
    (advice,) = result(FAST, SLOW).advice
    assert advice.startswith(
        "training, batch 64: tensorflow: 1.7 x faster than torch for this model on this machine"
    )
    assert "1.6 to 1.8 against torch by the interquartile ranges" in advice


def test_within_the_noise_nothing_is_advised():
    (advice,) = result(row("jax", [1.0, 2.0, 3.0]), row("torch", [1.5, 2.5, 3.5])).advice
    assert advice.startswith("training, batch 64: no choice between jax, torch")
    assert "faster" not in advice


def test_two_that_are_level_are_faster_than_the_third():
    (advice,) = result(
        row("jax", [1.0, 2.0, 3.0]), row("torch", [1.5, 2.5, 3.5]), row("tensorflow", [8.0])
    ).advice
    assert "jax and torch (level within the noise): 4.0 x faster than tensorflow" in advice


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [FAST],
        [FAST, FAILED],
        [FAST, row("tensorflow", [9.0], way="keras")],
        [FAST, row("jax", [9.0], batch=1)],
    ],
    ids=["nothing", "one backend", "one that works", "a reference", "another batch size"],
)
def test_there_is_no_advice_on_one_backend(rows):
    assert result(*rows).advice == []


def test_tasks_and_batch_sizes_are_advised_on_apart():
    rows = [
        row(name, [time], task) for task in ("train", "predict") for name, time in (("jax", 1), ("onnx", 2))
    ]
    assert [sentence.partition(":")[0] for sentence in result(*rows).advice] == [
        "training, batch 64",
        "prediction, batch 64",
    ]


def test_the_table_has_every_row_and_what_was_chosen():
    table = result(FAST, row("torch", [2.0], way="hand-written"), FAILED).table()
    for text in ("tensorflow", "torch, hand-written", "out> of memory", "1.50"):
        assert text in table
    for text in ("1,234 parameters", "keras 3.15.1", "2 processors", "targets are made up"):
        assert text in table


def test_the_data_is_json_with_percentiles_and_without_nan():
    data = json.loads(result(FAST, FAILED).to_json(), parse_constant=pytest.fail)
    fast, failed = data["rows"]
    assert (fast["p50_ms"], fast["calls"], fast["error"], fast["peak_mib"]) == (1.0, 4, None, 300.0)
    assert (failed["p50_ms"], failed["p99_ms"], failed["calls"]) == (None, None, 0)
    assert data["parameters"] == 1234


def test_a_page_needs_nothing_but_itself_and_keeps_text_as_text(tmp_path):
    result(FAST, SLOW, FAILED).save(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert "&lt;out&gt; of memory" in page
    assert "1.7 x faster" in page
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page) == []
    assert 'src="data:image/png;base64,' in page


@pytest.mark.parametrize("rows", [[FAST, SLOW], [FAILED], []], ids=["rows", "a failure", "nothing"])
def test_a_picture_is_a_png(rows, tmp_path):
    picture = result(*rows).plot(tmp_path / "x.png")
    assert picture.startswith(b"\x89PNG")
    assert (tmp_path / "x.png").read_bytes() == picture


def test_data_is_saved_and_other_suffixes_are_refused(tmp_path):
    result(FAST).save(tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["model"] == "mlp"
    with pytest.raises(ArgumentValueError, match=r"saved as .html, .json or .png; received .*x.txt"):
        result(FAST).save(tmp_path / "x.txt")
