"""Optional libraries: imported where they are used, and missing with the line that gets them."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from unikeras.errors import MissingDependency

# Each extra of pyproject.toml that is not a backend, with the modules that it brings.
EXTRAS: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxruntime", "onnxscript", "tf2onnx"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino",),
    "redis": ("redis",),
    "tensorboard": ("tensorboardX",),
    "plot": ("matplotlib",),
    "data": ("cv2", "PIL"),
    "demo": ("sklearn", "matplotlib", "PIL"),
}

# The distribution that brings a module, where their names differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
}


def is_installed(module: str) -> bool:
    """Say whether a top-level module can be imported, without importing it.

    Args:
        module: a top-level name, such as `"onnxruntime"`.

    Returns:
        True where an importable module or package stands; a bare folder of that name in the
        working directory (a namespace package) does not count.

    Example:
        >>> is_installed("json"), is_installed("no_such_module")
        (True, False)
    """
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def pip_line(*modules: str) -> str:
    """Return the command that installs the libraries that bring some modules.

    It names the libraries, not an extra: pip would look up the extra's package on an index.

    Example:
        >>> pip_line("torch", "PIL")
        'pip install torch pillow'
    """
    return " ".join(["pip install", *(DISTRIBUTIONS.get(module, module) for module in modules)])


def missing(extra: str, purpose: str, *modules: str) -> str | None:
    """Say in one sentence which of an extra's modules are absent, or None where all are there.

    Args:
        extra: a key of `EXTRAS`.
        purpose: what they are needed for, as the subject of the sentence.
        modules: those of the extra that are needed; all of them where none is named.
    """
    absent = [module for module in modules or EXTRAS[extra] if not is_installed(module)]
    if not absent:
        return None
    return f"{purpose} needs {', '.join(absent)}, not installed here: {pip_line(*absent)}"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: a dotted name, such as `"sklearn.datasets"`.
        extra: the extra that brings it.
        purpose: what it is needed for, as the subject of the error's sentence.

    Raises:
        MissingDependency: the module is not installed.
    """
    reason = missing(extra, purpose, module.partition(".")[0])
    if reason:
        raise MissingDependency(reason)
    return importlib.import_module(module)
