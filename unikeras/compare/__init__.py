"""Compare a model between backends and artifacts, or with another model: are they equal, and which is fastest here.

    report = uk.compare.parity(model)
    result = uk.compare.benchmark(model)

Names load at first use, so that neither the plugin for pytest nor the command line imports what is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute as _missing_attribute

if TYPE_CHECKING:
    from unikeras.compare._benchmark import benchmark as benchmark
    from unikeras.compare._benchmark_result import BenchmarkResult as BenchmarkResult
    from unikeras.compare._made_targets import make_targets as make_targets
    from unikeras.compare._measurement import Measurement as Measurement
    from unikeras.compare._parity import assert_parity as assert_parity
    from unikeras.compare._parity import parity as parity
    from unikeras.compare._parity_report import Difference as Difference
    from unikeras.compare._parity_report import LayerGap as LayerGap
    from unikeras.compare._parity_report import LayerRow as LayerRow
    from unikeras.compare._parity_report import ParityReport as ParityReport
    from unikeras.compare._parity_report import SideRow as SideRow

_MODULES = {
    "BenchmarkResult": "_benchmark_result",
    "Difference": "_parity_report",
    "LayerGap": "_parity_report",
    "LayerRow": "_parity_report",
    "Measurement": "_measurement",
    "ParityReport": "_parity_report",
    "SideRow": "_parity_report",
    "assert_parity": "_parity",
    "benchmark": "_benchmark",
    "make_targets": "_made_targets",
    "parity": "_parity",
}

__all__ = [
    "BenchmarkResult",
    "Difference",
    "LayerGap",
    "LayerRow",
    "Measurement",
    "ParityReport",
    "SideRow",
    "assert_parity",
    "benchmark",
    "parity",
]


if not TYPE_CHECKING:  # type checkers know the names above; this would make every other name one of any type

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise _missing_attribute(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
