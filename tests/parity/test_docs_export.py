"""The page on exports, run from top to bottom on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def _run(blocks: list[str]) -> int:
    names: dict = {"__name__": "page"}
    for code in blocks:
        exec(compile(code, PAGE.name, "exec"), names)
    return len(blocks)


@pytest.mark.parametrize("backend", uk.backends.available())
def test_the_page_runs(backend):
    assert uk.run_on(backend, _run, BLOCKS, timeout=300) == len(BLOCKS) > 4


def test_the_page_names_every_format():
    table = PAGE.read_text().partition("## Formats")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [
        "saved_model", "onnx", "torchscript", "pt2", "litert", "openvino"
    ]  # fmt: skip
