"""The errors: one tree, each also of a built-in, and a page that lists them."""

from __future__ import annotations

import builtins

import pytest
from helpers import errors_table

from unikeras import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_is_also_a_built_in(name):
    kind = getattr(errors, name)
    bases = {base for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base}
    own = bases - {object, BaseException, Exception}
    assert own or name in ("UnikerasError", "SessionError")  # a base, and the base of four kinds


def test_all_names_every_error():
    defined = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert defined == set(errors.__all__)


def test_the_page_lists_every_error():
    assert errors_table.written() == errors_table.table(), "run `python tests/helpers/errors_table.py`"
