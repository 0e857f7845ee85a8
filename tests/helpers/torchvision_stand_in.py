"""A torchvision without contents, so that models of timm and transformers can be imported.

They import transforms, data sets and one layer that the models do not call. torchvision's wheel on PyPI is linked
against the CUDA build of PyTorch (libtorch_cuda.so): its operators do not load beside the CPU build that tests run on.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType


class _Empty(type):
    """The kind of a class without contents; a name in capitals, such as that of an enum's member, is itself."""

    def __getattr__(cls, name: str):
        if not name.isupper():
            raise AttributeError(name)
        return name


class _Module(ModuleType):
    """A package each of whose classes is empty."""

    __path__: list[str] = []  # noqa: RUF012  the import system reads the module's attribute

    def __getattr__(self, name: str):
        if not name[0].isupper():
            raise AttributeError(name)
        made = _Empty(name, (), {})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        """Leave the module empty."""


def install() -> None:
    """Put the stand-in before a torchvision that may be installed; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
