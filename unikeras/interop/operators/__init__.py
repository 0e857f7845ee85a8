"""What torch's operators compute, in Keras' operations: one rule for each, in torch's own arguments.

A rule takes what the operator takes, by position and by keyword, as tensors of Keras, numbers, lists and None,
and returns tensors. A size of a dynamic axis is an int or a scalar tensor. The dtype of a result is torch's: who
runs a program casts it.

    rules     names, and the rule of each
    arrays    shapes, slices and dtypes, whose sizes may be dynamic

Every other module here registers the rules of a family.
"""

from __future__ import annotations

import importlib
import pkgutil

from unikeras.interop.operators._rules import Rule, find, known, register_operator

__all__ = ["Rule", "find", "known", "register_operator"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
