"""What reports and explanations show in a notebook: their text or their page, escaped."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras._base.notebook_html import framed, preformatted

pytestmark = pytest.mark.usefixtures("backend")


def test_what_is_shown_is_escaped():
    assert preformatted("<b>&\x1b[2J") == "<pre>&lt;b&gt;&amp;\\x1b[2J</pre>"
    assert '"' not in framed('"><script>').removeprefix('<iframe srcdoc="').partition('" sandbox')[0]


def test_explanations_and_programs_show_their_text():
    double = uk.function(lambda x: x + x)
    x = np.ones(3, "float32")
    double(x)
    assert double.explain(x)._repr_html_() == preformatted(str(double.explain(x)))
    assert double.programs[0]._repr_html_() == preformatted(str(double.programs[0]))


def test_reports_show_a_page():
    from unikeras.export import ExportReport

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="</iframe>")
    report = ExportReport(model.name, uk.backend(), [])
    assert "</iframe>" in str(report)
    assert report._repr_html_().count("</iframe>") == 1
