"""The demo's report: the numbers in it, the page made of them, and the page in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from unikeras.apps.demo import artifacts, curves, dataset, outputs, page, report
from unikeras.apps.demo.loop import Training
from unikeras.errors import WorkerDied

pytest.importorskip("PIL", reason="Pillow is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

CLASSES = ("cat", "dog", "<b>bird & co</b>")
SECTIONS = [
    "Training",
    "Curves",
    "Predictions on the test images",
    "Artifacts",
    "Files",
    "Go on from here",
    "Versions",
]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def animals():
    """Ninety images of three classes, one of which has a name that must not become HTML."""
    images = np.random.default_rng(0).integers(0, 255, (90, 8, 8, 3), "uint8")
    return dataset.divide("animals", CLASSES, 255, dataset.Split(images, np.arange(90, dtype="int32") % 3))


def _training(animals, validation=(0.5, 0.9, 0.9), wrong=1, shift=0.0):
    probabilities = 0.8 * np.eye(3, dtype="float32")[animals.test.labels] + 0.1
    probabilities[:wrong] = np.roll(probabilities[:wrong], 1, axis=-1)
    losses = [2.0 / (i + 1) + shift for i in range(30)]
    return Training(
        [],
        losses,
        [9.0] + 29 * [0.002],
        [0.4, 0.8, 0.9],
        list(validation),
        probabilities + shift,
        best_probabilities=probabilities,
        validation_loss=[0.7, 0.25, 0.3],
        learning_rate=[1e-3] * 30,
    )


@pytest.fixture
def finished(animals):
    """The report of a run on two backends that finished and one that did not, fully exported."""
    trainings = {"jax": _training(animals), "torch": _training(animals, shift=1e-6)}
    outcomes = trainings | {"tensorflow": WorkerDied("it was <killed>\ntrace", -9)}
    made = report.assemble(animals, 3, outcomes)
    made["best"] |= {"path": "out/best.keras"} | report.judge(trainings["jax"].probabilities, animals)
    made["artifacts"] = [
        {
            "format": "onnx",
            "status": "verified",
            "path": "out/model.onnx",
            "size": 253_000,
            "route": "tf2onnx <b>",
            "verified_at": [1, 3, 8],
            "max_error": 5e-7,
            "error": None,
        },
        artifacts.unavailable("saved_model", "needs tensorflow, not installed here"),
        artifacts.failed("torchscript", "the numbers differ\ntrace"),
    ]
    made |= {"failures": ["tensorflow: training failed: it was <killed>"], "seconds": 12.3}
    return made


@pytest.fixture
def html(finished, animals, tmp_path):
    return page.render(finished, curves.charts(finished), animals, tmp_path / "out")


def test_a_row_holds_what_was_measured(finished, animals):
    jax, torch, tensorflow = finished["backends"]
    assert jax["test_accuracy"] == pytest.approx(1 - 1 / len(animals.test))
    assert (jax["ms_per_step"], jax["ms_first_step"]) == (pytest.approx(2.0), pytest.approx(9000.0))
    assert torch["max_probability_difference"] == pytest.approx(1e-6, rel=0.1)
    assert (tensorflow["error"], tensorflow["loss"]) == ("it was <killed>\ntrace", [])


def test_a_single_step_has_no_time_without_compilation(animals):
    training = _training(animals)
    training.seconds = [9.0]
    row = report.assemble(animals, 1, {"jax": training})["backends"][0]
    assert (row["ms_per_step"], row["ms_first_step"]) == (None, pytest.approx(9000.0))


def test_the_first_of_the_best_is_kept(animals):
    trainings = {
        "jax": _training(animals, validation=(0.5, 0.7)),
        "torch": _training(animals, validation=(0.8, 0.9, 0.9)),
        "tensorflow": _training(animals, validation=(0.9,)),
    }
    assert report.best(trainings) == {"backend": "torch", "epoch": 2, "validation_accuracy": 0.9}
    assert report.best({}) is None


def test_confusion_counts_and_the_wrong_images_come_first(animals):
    labels = animals.test.labels
    predicted = labels.copy()
    predicted[[4, 7]] = (labels[[4, 7]] + 1) % 3
    judged = report.judge(np.eye(3)[predicted], animals)
    assert np.sum(judged["confusion"]) == len(labels)
    assert np.trace(judged["confusion"]) == len(labels) - 2
    assert judged["confusion"][labels[4]][predicted[4]] >= 1
    assert [sample["index"] for sample in judged["samples"][:3]] == [4, 7, 0]
    assert judged["samples"][0]["label"] == CLASSES[labels[4]]


def test_the_report_is_strict_json_where_numbers_are_none(animals):
    training = _training(animals)
    training.losses[3] = float("nan")
    training.probabilities[0] = np.nan
    made = report.assemble(animals, 3, {"jax": training, "torch": _training(animals)})
    read = json.loads(outputs.as_json(made), parse_constant=pytest.fail)
    assert read["backends"][0]["loss"][3] is None
    assert read["backends"][0]["max_probability_difference"] is None
    assert read["loss_agreement"]["agree"] is False
    page.render(made | {"seconds": 1.0}, curves.charts(made), animals, outputs.Path("out"))


class Checker(HTMLParser):
    """Finds elements that are not closed, and all that a page may refer to."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def test_the_page_is_well_formed(html):
    checked = Checker(html)
    assert checked.open == []
    ids = [attrs["id"] for _, attrs in checked.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for _, attrs in checked.elements if "aria-labelledby" in attrs} <= set(
        ids
    )
    assert len(checked.all("title")) == 1


def test_the_page_can_be_read_without_seeing_it(html):
    checked = Checker(html)
    assert checked.all("html") == [{"lang": "en"}]
    assert len(checked.all("table")) == len(checked.all("caption")) == 5
    assert all(attrs.get("scope") in ("col", "row") for attrs in checked.all("th"))
    assert len(checked.all("img")) == 18 + 4
    assert all(attrs["alt"] for attrs in checked.all("img"))


def test_the_page_refers_to_nothing_outside_itself(html):
    checked = Checker(html)
    assert not {"link", "iframe", "object", "form"} & {tag for tag, _ in checked.elements}
    assert checked.all("script") == [{}]  # inline
    links = {attrs["href"] for attrs in checked.all("a")}
    assert links == {"model.onnx", "report.json", "curves.png", "best.keras"}  # its neighbors, not followed
    for tag, attrs in checked.elements:
        assert not {"xlink:href", "srcset", "action", *(() if tag == "a" else ("href",))} & set(attrs)
        assert attrs.get("src", "data:image/").startswith("data:image/")
    assert not re.search(r"url\(|@import|https?:", html)


def test_the_page_says_what_is_in_the_report(html, finished):
    checked = Checker(html)
    for section in SECTIONS:
        assert section in checked.text
    for text in (
        "jax",
        "torch",
        "94.4%",
        "out/model.onnx",
        "253 kB",
        "tf2onnx",
        "1, 3, 8",
        "5.0e-07",
        "3 epochs",
    ):
        assert text in checked.text
    assert "not installed: needs tensorflow" in checked.text
    assert "failed: the numbers differ" in checked.text
    assert "it was <killed>" in checked.text
    assert "uk.load_artifact('out/model.onnx')" in checked.text
    assert "trace" not in checked.text
    assert finished["versions"]["keras"] in checked.text


def test_one_backend_alone_agrees_with_nobody(animals, tmp_path):
    made = report.assemble(animals, 3, {"jax": _training(animals)}) | {"seconds": 1.0}
    checked = Checker(page.render(made, curves.charts(made), animals, tmp_path))
    assert "Trained on jax alone; backends were not compared." in checked.text
    assert "only jax ran, so its numbers were not compared" in checked.text
    assert "agree" not in checked.text
    assert "probability|" not in checked.text
    assert [chart.title for chart in curves.charts(made)] == ["Loss", "Accuracy", "Learning rate"]
    assert not any(chart.below for chart in curves.charts(made))


def test_backends_that_agree_are_told_with_what_was_exported(finished, animals, tmp_path):
    finished |= {"failures": [], "backends": finished["backends"][:2], "artifacts": finished["artifacts"][:2]}
    text = Checker(page.render(finished, curves.charts(finished), animals, tmp_path)).text
    assert "Trained on 2 backends, whose losses agree. 1 exported model verified." in text
    assert "Not exported, as something they need is not installed: saved_model." in text


def test_red_is_for_failures_only(finished, animals, tmp_path):
    assert _red(page.render(finished, curves.charts(finished), animals, tmp_path)) == 3
    finished |= {"failures": [], "backends": finished["backends"][:2], "artifacts": finished["artifacts"][:2]}
    assert _red(page.render(finished, curves.charts(finished), animals, tmp_path)) == 0


def _red(html):
    """Count the elements that the style sheet shows in red."""
    style = html.partition("<style>")[2].partition("</style>")[0]
    rules = {line.partition(" {")[0] for line in style.splitlines() if "var(--bad" in line}
    assert rules == {".verdict.bad", ".bad-text"}
    return len(
        [
            1
            for _, attrs in Checker(html).elements
            if {"bad", "bad-text"} & set(attrs.get("class", "").split())
        ]
    )


def test_the_best_and_the_last_epoch_are_told_apart(html, finished, animals):
    text = " ".join(Checker(html).text.split())
    assert "weights of jax after epoch 2, not the last ones" in text
    assert "17 of 18 test images right, 94.4%, with an interval from 74.2 to 99.0%" in text
    jax = finished["backends"][0]
    assert (jax["best_epoch"], jax["validation_loss"]) == (2, [0.7, 0.25, 0.3])
    assert jax["test_interval"] == pytest.approx([0.742, 0.990], abs=1e-3)


def test_the_others_are_drawn_as_differences_from_the_first(finished):
    loss, accuracy, first, rate = curves.charts(finished)
    assert list(loss.below.curves) == list(accuracy.below.dots) == ["torch"]
    assert max(loss.below.curves["torch"]) == pytest.approx(1e-5, rel=1)
    assert accuracy.below.dots["torch"] == [0.0, 0.0, 0.0]
    assert loss.dots == {"validation": [0.7, 0.25, 0.3]}
    assert loss.mark == accuracy.mark == (2, "best epoch: 2")
    assert (loss.per_unit, rate.per_unit) == (10, 10)
    assert first.limit[2] == 20


@pytest.mark.parametrize(("epochs", "labels"), [(1, 1), (10, 10), (20, 20), (30, 15), (150, 15)])
def test_each_epoch_has_a_tick(epochs, labels):
    from matplotlib.figure import Figure

    from unikeras.apps.demo import chart

    axes = Figure().subplots()
    chart._draw_one(axes, chart.Chart("t", "s", {"a": [1.0] * epochs * 3}, "epoch", "y", per_unit=3))
    major = {tick for tick in axes.xaxis.get_majorticklocs() if 1 <= tick <= epochs}
    minor = {tick for tick in axes.xaxis.get_minorticklocs() if 1 <= tick <= epochs}
    assert len(major) == labels
    assert major | minor == set(range(1, epochs + 1))


def test_the_button_copies_what_the_block_shows(html):
    """The policy of the page lets only the script run whose hash it holds."""
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert [block["data-what"] for block in Checker(html).all("pre")] == [
        "run an artifact",
        "commands to go on with",
    ]


def test_a_chart_holds_no_script_and_loads_nothing(finished):
    from unikeras.apps.demo.chart import Chart, svg

    drawn = svg(Chart("<script>t", "s", {"<script>a": [1.0, 2.0]}, "<script>x", "y"))
    assert "<script>" not in drawn
    assert not re.search(r"<image|<script|href=\"(?!#)", drawn)


def test_names_of_classes_are_text_and_not_html(html):
    assert "&lt;b&gt;bird &amp; co&lt;/b&gt;" in html
    assert "tf2onnx &lt;b&gt;" in html
    assert html.count("<b>") == 4  # the cards' own


def test_a_page_without_any_training_says_so(animals, tmp_path):
    made = report.assemble(animals, 3, {"jax": WorkerDied("it died", 1)})
    made |= {"failures": ["jax: training failed: it died"], "seconds": 1.0}
    checked = Checker(page.render(made, curves.charts(made), animals, tmp_path))
    assert "no training finished" in checked.text
    assert "there is no checkpoint" in checked.text
    assert "nothing was exported" in checked.text


def test_curves_are_interrupted_where_a_value_cannot_be_shown():
    from unikeras.apps.demo.chart import Chart, svg

    drawn = svg(Chart("t", "s", {"a": [1.0, None, 0.1, float("nan"), 10.0, 0.0]}, "x", "y", log=True))
    path = re.findall(r'<g id="curve-0">\s*<path d="([^"]*)"', drawn)[0]
    assert path.count("M ") == 3
    assert "nan" not in path


@pytest.mark.parametrize("curve", [[], [1.0], [0.5, 0.5], [0.0, 0.0]])
@pytest.mark.parametrize("log", [False, True])
def test_curves_of_little_can_be_drawn(curve, log):
    from unikeras.apps.demo.chart import Chart, png, svg

    chart = Chart("t", "s", {"a": curve}, "x", "y", log=log, limit=(1e-3, "limit", 5.0))
    assert "<svg" in svg(chart)
    assert png([chart, chart]).startswith(b"\x89PNG")


def test_the_curves_are_a_picture(finished):
    from PIL import Image

    from unikeras.apps.demo.chart import png

    with Image.open(io.BytesIO(png(curves.charts(finished)))) as picture:
        assert picture.size == (1650, 1320)
        assert len(set(picture.convert("RGB").resize((225, 180)).get_flattened_data())) > 20


def _browse(folder, page, *flags):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr  # where a browser tells of what a page asked for in vain
    return done.stdout


@pytest.mark.skipif(
    BROWSER is None, reason="neither chromium, chromium-browser nor google-chrome is installed"
)
def test_a_browser_shows_the_page(html, tmp_path):
    from PIL import Image

    path = tmp_path / "report.html"
    outputs.write_text(path, html)
    shown = Checker(_browse(tmp_path, path, "--dump-dom"))
    headings = "\n".join(SECTIONS)
    assert [section for section in SECTIONS if section in shown.text] == headings.split("\n")
    assert len(shown.all("tr")) == len(Checker(html).all("tr"))
    assert [button["aria-label"] for button in shown.all("button")] == [
        "Copy: run an artifact",
        "Copy: commands to go on with",
    ]
    _browse(
        tmp_path,
        path,
        f"--screenshot={tmp_path / 'page.png'}",
        "--window-size=1000,2400",
        "--hide-scrollbars",
    )
    with Image.open(io.BytesIO((tmp_path / "page.png").read_bytes())) as picture:
        assert picture.size == (1000, 2400)
        colours = set(picture.convert("RGB").get_flattened_data())
    assert {(255, 255, 255), (229, 245, 235), (253, 236, 234)} & colours
    assert len(colours) > 200
