"""README.md: its table holds the tests' results, and its commands are executed; its Python is in test_docs.py."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import support_table

import unikeras as uk

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if " unikeras " in f" {line}"
]
# What takes minutes is executed by tests of its own, by these words.
ELSEWHERE = {"demo": ("tests/parity/test_demo.py", '"demo"'), "chat": ("tests/unit/test_chat.py", '"chat"')}


def test_the_table_is_what_the_tests_found():
    assert support_table.written() == support_table.table(), "run `python tests/helpers/support_table.py`"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_command_is_executed(words, tmp_path):
    words = words[words.index("unikeras") + 1 :]
    if words[0] in ELSEWHERE:
        file, word = ELSEWHERE[words[0]]
        test = (ROOT / file).read_text(encoding="utf-8")
        assert all(part in test for part in (word, *(word for word in words if word.startswith("--"))))
        return
    done = subprocess.run(
        [sys.executable, "-m", "unikeras", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_public_names_exist():
    """`uk.x.y` in the text is a name of the package."""
    for name in sorted(set(re.findall(r"\buk((?:\.[A-Za-z_]\w*)+)", README))):
        found = uk
        for part in name.strip(".").split("."):
            found = getattr(found, part)


def test_links_lead_to_files():
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / link).exists(), link
