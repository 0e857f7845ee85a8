"""The words of the project: CONTRIBUTING's glossary says which words stand for what, and which are not used."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("unikeras", "tests", "benchmarks", "constraints")

# Identifiers and file names are not checked yet: some still carry words that prose has given up.
CHECK_IDENTIFIERS = False

# (path or folder, phrase) -> why it may stand there
EXCEPTIONS = {
    ("CONTRIBUTING.md", "*"): "the glossary itself",
    ("tests/single/test_words.py", "*"): "this list",
}


def _banned():
    """Return the phrases of the column "not" of the glossary."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Glossary")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    return [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row[2])]


BANNED = _banned()
PATTERN = re.compile(
    rf"(?<![\w.=/])({'|'.join(re.escape(phrase) for phrase in BANNED)})(?![\w.=/]*\w)", re.IGNORECASE
)


def _prose_of_python(text):
    """Yield (line, prose): comments, docstrings, and strings of more than one word; identifiers are no prose."""
    if CHECK_IDENTIFIERS:
        yield from ((token.start[0], token.string) for token in _tokens(text) if token.type == tokenize.NAME)
    yield from ((token.start[0], token.string) for token in _tokens(text) if token.type == tokenize.COMMENT)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            count = node.end_lineno - node.lineno + 1
            lines = node.value.split("\n")
            if len(lines) == count:
                yield from enumerate(lines, node.lineno)
            else:
                yield node.lineno, node.value


def _tokens(text):
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _prose_of_markdown(text):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _found(path, text):
    """Return file:line and phrase of each banned phrase; code in backticks is no prose."""
    name = path.relative_to(ROOT).as_posix()
    prose = _prose_of_markdown(text) if path.suffix == ".md" else _prose_of_python(text)
    found = []
    for number, line in prose:
        words = re.sub(
            r"^ +\w+: |`[^`]*`", "", line
        )  # without the name of an argument that a docstring describes
        for match in PATTERN.finditer(words):
            phrase = match[1].lower()
            if not any(_covers(place, name) and word in ("*", phrase) for place, word in EXCEPTIONS):
                found.append(f"{name}:{number}: {phrase}: {line.strip()}")
    return found


def _covers(place, name):
    return name == place or name.startswith(f"{place}/")


FILES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
FILES += [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "unikeras").rglob("*.md")]


def test_no_text_uses_a_word_that_the_glossary_replaces():
    found = [line for path in sorted(FILES) for line in _found(path, path.read_text())]
    assert not found, "\n".join(["CONTRIBUTING.md's glossary has better words:", *found])


@pytest.mark.parametrize("phrase", BANNED)
def test_each_banned_phrase_is_found(phrase):
    sample = f'def f():\n    """Say {phrase} here."""\n    # {phrase}\n    raise ValueError(f"a {{1}} {phrase}, b")\n'
    assert len(_found(ROOT / "unikeras" / "sample.py", sample)) == 3
    assert len(_found(ROOT / "docs" / "sample.md", f"A {phrase.capitalize()}.\n")) == 1


def test_code_is_no_prose():
    assert not _found(ROOT / "docs" / "sample.md", "`hop`\n```python\nhop(1)\n```\n")
    assert not _found(ROOT / "unikeras" / "sample.py", "def hop(law):\n    return law\n")
