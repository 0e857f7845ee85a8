"""A lowered module as Python source that a person would keep, and the module that the source makes."""

from unikeras.lowering.sources._written_module import WrittenModule, written

__all__ = ["WrittenModule", "written"]
