"""torch's answers to the calls of `operator_cases`, and how far a backend's are from them.

Both run in workers: a case is looked up there by name, and only arrays travel.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from helpers.operator_cases import OperatorCase, Size, cases, families

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]

# Of a call: the results, their dtypes as torch has them, and the gradients of the float arrays.
Answer = tuple[list[Any], list[str], list[np.ndarray]]


def torch_answers(family: str) -> dict[str, Answer]:
    """Return torch's answers to all cases of a family."""
    answers = {}
    for name, case in cases(family).items():
        try:
            answers[name] = _torch_answer(case)
        except Exception as error:
            raise ValueError(f"torch does not compute {name}: {error}") from error
    return answers


def gaps(family: str, answers: dict[str, Answer]) -> dict[str, str]:
    """Return the cases that this backend does not compute as torch does, each with what differs."""
    _keep_64_bits()
    todo = cases(family)
    found: dict[str, str] = {}
    for how, run in (("eager", _run_eagerly), ("in a function", _run_compiled)):
        for name, result in run({n: case for n, case in todo.items() if n not in found}, answers).items():
            if text := _difference(result, answers[name], todo[name].tolerance):
                found[name] = f"{how}: {text}"
    return found


def rules_without_case() -> list[str]:
    """Return the names of rules whose function no case runs, but those that draw numbers of their own."""
    from unikeras.interop import operators

    every = [case.operator for family in families() for case in cases(family).values()]
    run = {rule.compute for name in every if (rule := operators.find(name)) is not None}
    rules = {name: operators.find(name) for name in operators.known()}
    return [name for name, rule in rules.items() if rule.compute not in run and not rule.is_seeded]


# ---- a call


def arrays_of(case: OperatorCase) -> list[np.ndarray]:
    """Return the arrays among the arguments, in order, or one for the sizes of a call that has none."""
    found: list[np.ndarray] = []
    _replace((case.args, dict(case.kwargs)), found.append)
    return found or [np.zeros(4)]


def arguments(case: OperatorCase, tensors: Sequence[Any], size: Any) -> tuple[Any, Any]:
    """Return the arguments with tensors in the place of arrays, and a number in that of `Size`."""
    left = iter(tensors)
    return _replace((case.args, dict(case.kwargs)), lambda _: next(left), size)


def _replace(value: Any, of_array: Callable[[np.ndarray], Any], size: Any = 0) -> Any:
    if isinstance(value, np.ndarray):
        return of_array(value)
    if isinstance(value, Size):
        return size * value.times + value.plus
    if isinstance(value, (list, tuple)):
        return type(value)(_replace(item, of_array, size) for item in value)
    if isinstance(value, dict):
        return {key: _replace(item, of_array, size) for key, item in value.items()}
    return value


def _flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


# ---- torch


def _torch_answer(case: OperatorCase) -> Answer:
    import torch

    arrays = arrays_of(case)
    tensors = [torch.from_numpy(np.array(array)) for array in arrays]
    reals = [tensor for tensor in tensors if tensor.is_floating_point()] if case.gradients else []
    for tensor in reals:
        tensor.requires_grad_()
    args, kwargs = arguments(case, tensors, len(arrays[0]) if arrays[0].ndim else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = _flat(_torch_function(case)(*_dtypes(args), **_dtypes(kwargs)))
    total = sum(_weighted(y) for y in results if _is_real(y) and y.requires_grad)
    wanted = (
        torch.autograd.grad(total, reals, allow_unused=True)
        if torch.is_tensor(total)
        else [None] * len(reals)
    )
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(reals, wanted, strict=True)]
    dtypes = [str(y.dtype).removeprefix("torch.") if torch.is_tensor(y) else "" for y in results]
    values = [
        y.detach().to(_carried(y.dtype)).numpy(force=True) if torch.is_tensor(y) else y for y in results
    ]
    return values, dtypes, [g.numpy(force=True) for g in gradients]


def _torch_function(case: OperatorCase) -> Callable[..., Any]:
    import operator

    import torch

    if case.answer is not None:
        return case.answer
    space, name, *overload = case.operator.split(".")
    if space == "py":
        return getattr(operator, name)
    return getattr(getattr(getattr(torch.ops, space), name), *overload)


def _dtypes(value: Any) -> Any:
    import torch

    if isinstance(value, (list, tuple)):
        return type(value)(_dtypes(item) for item in value)
    if isinstance(value, dict):
        return {key: _dtypes(item) for key, item in value.items()}
    return getattr(torch, value) if isinstance(value, str) and value in DTYPES else value


def _is_real(y: Any) -> bool:
    import torch

    return torch.is_tensor(y) and y.is_floating_point()


def _weighted(y: Any) -> Any:
    import torch

    weights = torch.cos(torch.arange(1, y.numel() + 1, dtype=y.dtype)).reshape(y.shape)
    return (y * weights).sum()


def _carried(dtype: Any) -> Any:
    """Return what a dtype travels as: numpy has no bfloat16."""
    import torch

    return torch.float32 if dtype == torch.bfloat16 else dtype


# ---- Keras


def _keep_64_bits() -> None:
    """Let Keras' operations return 64 bits of 64: outside of TensorFlow they return 32, which hides small errors."""
    from keras.src.backend.common import dtypes

    dtypes.BIT64_TO_BIT32_DTYPE.clear()


def _compute(
    case: OperatorCase, dtypes: Sequence[str], tensors: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    import keras
    from keras import ops

    import unikeras as uk

    reals = [t for t in tensors if "float" in str(t.dtype)] if case.gradients else []
    sizes = ops.shape(tensors[0])
    args, kwargs = arguments(case, tensors, sizes[0] if sizes else 0)
    with uk.GradientTape() as tape:
        for tensor in reals:
            tape.watch(tensor)
        results = _settled(_call(case.operator, args, kwargs), dtypes)
        weighted = [_weighed(y) for y in results if "float" in str(getattr(y, "dtype", ""))]
        total = sum(weighted[1:], start=weighted[0]) if reals and weighted else None
    if total is None:
        return results, [ops.zeros_like(x) for x in reals]
    gradients = tape.gradient(total, reals)
    assert keras.backend.standardize_dtype(total.dtype) == "float64"
    return results, [ops.zeros_like(x) if g is None else g for x, g in zip(reals, gradients, strict=True)]


@functools.cache
def _seed() -> Any:
    """Return the seed of all calls: a compiled function creates no variables."""
    import keras

    return keras.random.SeedGenerator(0)


def _call(operator: str, args: Any, kwargs: Any) -> list[Any]:
    from unikeras.interop import operators

    rule = operators.find(operator)
    assert rule is not None, f"no rule for {operator}"
    seed = {"seed": _seed()} if rule.is_seeded else {}
    return _flat(rule.compute(*args, **kwargs, **seed))


def _settled(results: Sequence[Any], dtypes: Sequence[str]) -> list[Any]:
    """Return the results in the dtypes of torch, as whoever runs a program does."""
    from keras import ops

    assert len(results) == len(dtypes), f"{len(results)} results instead of {len(dtypes)}"
    return [ops.cast(y, dtype) if dtype else y for y, dtype in zip(results, dtypes, strict=True)]


def _weighed(y: Any) -> Any:
    from keras import ops

    flat = ops.reshape(ops.cast(y, "float64"), (-1,))
    return ops.sum(flat * ops.cos(ops.cumsum(ops.ones_like(flat))))


def _tensors(arrays: Iterable[np.ndarray]) -> list[Any]:
    from keras import ops

    return [ops.convert_to_tensor(array, dtype=str(array.dtype)) for array in arrays]


def _run_eagerly(todo: dict[str, OperatorCase], answers: dict[str, Answer]) -> dict[str, Any]:
    return {name: _run_alone(case, answers[name][1]) for name, case in todo.items()}


def _run_alone(case: OperatorCase, dtypes: Sequence[str]) -> Any:
    try:
        return _compute(case, dtypes, _tensors(arrays_of(case)))
    except Exception as error:
        return error


def _run_compiled(todo: dict[str, OperatorCase], answers: dict[str, Answer]) -> dict[str, Any]:
    """Run all cases in one function, or each in one of its own where the one fails."""
    todo = {name: case for name, case in todo.items() if case.dynamic}
    try:
        return _in_a_function(todo, answers)
    except Exception:
        results: dict[str, Any] = {}
        for name, case in todo.items():
            try:
                results |= _in_a_function({name: case}, answers)
            except Exception as error:
                results[name] = error
        return results


def _in_a_function(todo: dict[str, OperatorCase], answers: dict[str, Answer]) -> dict[str, Any]:
    """Run cases in one function whose first axes have any size, where the backend gives them to a rule as tensors."""
    import keras

    import unikeras as uk

    arrays = {name: arrays_of(case) for name, case in todo.items()}
    has_dynamic_axes = keras.backend.backend() == "tensorflow" and any(
        each[0].ndim for each in arrays.values()
    )
    errors: dict[str, Any] = {}
    sizes: list[Any] = []
    warnings.filterwarnings("ignore", "'(errors|sizes)'", RuntimeWarning)  # they are changed by the trace

    @uk.function(jit_compile=False if has_dynamic_axes else "auto")
    def compute(tensors):
        errors.clear()
        results = {}
        for name, case in todo.items():
            sizes[:] = [*keras.ops.shape(tensors[name][0])[:1], *sizes][:1]
            try:
                results[name] = _compute(case, answers[name][1], tensors[name])
            except Exception as error:
                errors[name] = error
        return results

    if has_dynamic_axes:
        compute({name: _tensors(_longer(each)) for name, each in arrays.items()})
    results = compute({name: _tensors(each) for name, each in arrays.items()})
    assert not has_dynamic_axes or not isinstance(sizes[0], int), "its axes were not dynamic"
    return results | errors


def _longer(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return arrays whose first axes are longer by one, as that of the first is."""
    if not arrays[0].ndim:
        return list(arrays)
    size = len(arrays[0])
    return [np.concatenate([a, a[:1]]) if a.ndim and len(a) == size else a for a in arrays]


# ---- what differs

# Of results that torch does not have in float64.
_TOLERANCES = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}


def _difference(result: Any, answer: Answer, tolerance: float) -> str:
    if isinstance(result, Exception):
        return f"{type(result).__name__}: {result}"
    from keras import ops

    values, dtypes, gradients = answer
    for kind, got, wanted in (("value", result[0], values), ("gradient", result[1], gradients)):
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            one = ops.convert_to_numpy(one) if hasattr(one, "dtype") else np.asarray(one)
            dtype = dtypes[index] if kind == "value" else "float64"
            if text := _gap(one, np.asarray(other), max(tolerance, _TOLERANCES.get(dtype, 0.0))):
                return f"{kind} {index}: {text}"
    return ""


def _gap(one: np.ndarray, other: np.ndarray, tolerance: float) -> str:
    if one.shape != other.shape:
        return f"shape {one.shape} instead of {other.shape}"
    if other.dtype.kind != "f":
        return "" if np.array_equal(one, other) else f"{one.tolist()} instead of {other.tolist()}"
    finite = np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return f"{one.tolist()} instead of {other.tolist()}"
    scale = max(1.0, float(np.max(np.abs(other[finite]), initial=0)))
    gap = float(np.max(np.abs(one[finite].astype("float64") - other[finite]), initial=0)) / scale
    return "" if gap <= tolerance else f"differs by {gap:.1e}"
