"""The demo's report: the numbers in it, the page made of them, and the page in a browser."""

from __future__ import annotations

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
        [], losses, [9.0] + 29 * [0.002], [0.4, 0.8, 0.9], list(validation), probabilities + shift
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
    assert len(checked.all("table")) == len(checked.all("caption")) == 4
    assert all(attrs.get("scope") in ("col", "row") for attrs in checked.all("th"))
    assert len(checked.all("img")) == 18 + 3
    assert all(attrs["alt"] for attrs in checked.all("img"))


def test_the_page_refers_to_nothing_outside_itself(html):
    checked = Checker(html)
    assert not {"script", "link", "iframe", "object", "a"} & {tag for tag, _ in checked.elements}
    for _, attrs in checked.elements:
        assert not {"href", "xlink:href", "srcset", "action"} & set(attrs)
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

    chart = Chart("t", "s", {"a": curve}, "x", "y", log=log, limit=(1e-3, "limit"))
    assert "<svg" in svg(chart)
    assert png([chart, chart]).startswith(b"\x89PNG")


def test_the_curves_are_a_picture(finished):
    from PIL import Image

    from unikeras.apps.demo.chart import png

    with Image.open(io.BytesIO(png(curves.charts(finished)))) as picture:
        assert picture.size == (2250, 540)
        assert len(set(picture.convert("RGB").resize((225, 54)).get_flattened_data())) > 20


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
