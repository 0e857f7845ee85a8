"""What TensorFlow's errors say of a traced function that asks for values."""

from __future__ import annotations

import re

from unikeras.backends._contract import TraceFault

_TEXTS: list[tuple[str, TraceFault]] = [
    (r"Using a symbolic `tf\.Tensor` as a Python `bool`", "choice"),
    (r"Iterating over a symbolic `tf\.Tensor`", "iteration"),
    (r"Cannot convert a symbolic tf\.Tensor .* to a numpy array", "numpy"),
    (r"numpy\(\) is only available when eager execution is enabled", "numpy"),
    (r"'SymbolicTensor' object has no attribute 'numpy'", "numpy"),
    (r"'SymbolicTensor' object has no attribute '(item|tolist)'", "number"),
    (r"(float|int|complex)\(\) argument must be .* not 'SymbolicTensor'", "number"),
    (r"'SymbolicTensor' object cannot be interpreted as an integer", "number"),
    (r"unsupported format string passed to SymbolicTensor", "number"),
    (r"indices must be integers or slices, not SymbolicTensor", "number"),
    (r"true_fn and false_fn arguments to tf\.cond must have", "branches"),
    (r"Lengths of branch outputs of cond must match", "branches"),
    (r"Input tensor `.*` enters the loop with shape", "loop"),
    (r"Inconsistent shapes: saw .* but expected", "loop"),
]


def fault(error: BaseException) -> TraceFault | None:
    """Return what an error is about, as `Backend.trace_fault` does."""
    if _is_of_cond(error):
        return "branches"
    message = str(error)
    return next((name for text, name in _TEXTS if re.search(text, message)), None)


def _is_of_cond(error: BaseException) -> bool:
    """Say whether tf.cond failed to put the results of its branches together, which it does with an assertion."""
    if not isinstance(error, AssertionError):
        return False
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").endswith("tensorflow.python.ops.cond_v2"):
            return True
        step = step.tb_next
    return False
