"""Which backend or artifact is fastest for a model, measured on this machine.

    result = uk.compare.benchmark(model)

Names load at first use, so that the command line checks its arguments before keras is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute as _missing_attribute

if TYPE_CHECKING:
    from unikeras.compare._benchmark import benchmark as benchmark
    from unikeras.compare._benchmark_result import BenchmarkResult as BenchmarkResult
    from unikeras.compare._measurement import Measurement as Measurement

_MODULES = {
    "BenchmarkResult": "_benchmark_result",
    "Measurement": "_measurement",
    "benchmark": "_benchmark",
}

__all__ = ["BenchmarkResult", "Measurement", "benchmark"]


if not TYPE_CHECKING:  # type checkers know the names above; this would make every other name one of any type

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise _missing_attribute(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
