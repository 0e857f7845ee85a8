"""What reports and explanations show in a notebook: their text or their page, escaped."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras._base.notebook_html import framed, preformatted, table

pytestmark = pytest.mark.usefixtures("backend")


def test_what_is_shown_is_escaped():
    assert preformatted("<b>&\x1b[2J") == "<pre>&lt;b&gt;&amp;\\x1b[2J</pre>"
    shown = table("<i>", [["<b>", "\x1b[2J"]], 'see https://a.example/"><script>')
    assert not any(tag in shown for tag in ("<i>", "<b>", "\x1b", "<script>"))
    assert '<a href="https://a.example/&quot;&gt;&lt;script&gt;">' in shown
    assert '"' not in framed('"><script>').removeprefix('<iframe srcdoc="').partition('" sandbox')[0]


def test_explanations_and_programs_show_their_text():
    double = uk.function(lambda x: x + x)
    x = np.ones(3, "float32")
    double(x)
    assert double.explain(x)._repr_html_() == preformatted(str(double.explain(x)))
    assert str(double.programs[0]).splitlines()[0] in double._repr_html_()
    assert double.programs[0]._repr_html_() == preformatted(str(double.programs[0]))


def test_reports_show_a_page():
    from unikeras.export import ExportReport

    report = ExportReport("</iframe>", uk.backend(), [])
    assert "</iframe>" in str(report)
    assert report._repr_html_().count("</iframe>") == 1


def test_steps_and_sessions_show_what_they_carry():
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4, name="a>b")])
    step = uk.stateful(model)
    with uk.memory.Sessions(step, store="memory:") as sessions:
        for html in (step._repr_html_(), sessions._repr_html_()):
            assert "<td" in html
            assert ">a&gt;b/" in html
            assert "float32 (4,)" in html


@pytest.mark.skipif(
    not any(row.available for row in uk.export_formats()), reason="nothing here writes a format"
)
def test_an_artifact_shows_its_signature_and_how_to_draw_it(tmp_path):
    offer = next(row for row in uk.export_formats() if row.available)
    inputs = keras.Input((2,), name="x")
    path = tmp_path / f"a b{offer.suffix}"
    uk.export_model(keras.Model(inputs, keras.layers.Dense(1)(inputs)), path)
    html = uk.load_artifact(path)._repr_html_()
    assert "float32 (None, 2)" in html
    assert "netron &#x27;" in html
    assert '<a href="https://netron.app">' in html
