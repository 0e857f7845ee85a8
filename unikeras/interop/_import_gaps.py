"""How far an imported module's numbers are from torch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._specs.torch_program import TorchProgram
from unikeras.interop._program_runner import place_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tolerances:
    """Which errors are rounding.

    Attributes:
        outputs: of a number, relative to the larger of 1 and the number.
        gradients: of a parameter's gradient, relative to its largest number.
        floor: of a parameter's gradient, relative to the largest of all.
        is_half: whether the program computes in 16 bits.
    """

    outputs: float = 1e-4
    gradients: float = 5e-3
    floor: float = 1e-4
    is_half: bool = False

    @classmethod
    def of_program(cls, program: TorchProgram) -> Tolerances:
        """Return the tolerances for the narrowest dtype that a program computes in."""
        dtypes = {str(node.dtype) for graph in (program.eval, program.train) for node in graph.nodes}
        if "bfloat16" in dtypes:
            return cls(1e-1, 2e-1, 5e-2, True)
        return cls(1e-2, 5e-2, 1e-2, True) if "float16" in dtypes else cls()


def gap(value: Any, wanted: Any) -> float:
    """Return the largest error, relative to the larger of 1 and the number; infinite where they cannot be compared."""
    one, other = np.asarray(value), np.asarray(wanted)
    if one.shape != other.shape:
        return float("inf")
    if other.dtype.kind in "biu":
        return 0.0 if np.array_equal(one, other) else float("inf")
    one, other = one.astype(_wide(one)), other.astype(_wide(other))
    finite = np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return float("inf")
    with np.errstate(invalid="ignore"):
        errors = np.abs(one[finite] - other[finite]) / np.maximum(1, np.abs(other[finite]))
    return float(np.max(errors, initial=0)) if not np.isnan(errors).any() else float("inf")


def gaps_of(
    program: TorchProgram,
    answers: Mapping[str, Any],
    computed: Mapping[str, Any],
    tolerances: Tolerances,
    with_train: bool,
) -> tuple[dict[str, float], list[str]]:
    """Return the largest error of each kind, and a sentence for each that is no rounding.

    Args:
        program: what was computed.
        answers: torch's, under the names of `ModuleAnswers`.
        computed: Keras', under the same names.
        tolerances: what is rounding.
        with_train: whether train mode is compared; it is not where it draws random numbers.
    """
    gaps: dict[str, float] = {}
    problems: list[str] = []
    kinds = {"eval": "evaluated", **({"train": "trained"} if with_train else {})}
    for mode, name in kinds.items():
        wanted = [one for one in answers[name] if isinstance(one, np.ndarray)]
        gaps[mode] = _outputs(mode, computed[name], wanted, tolerances, problems)
    if not with_train:
        return gaps, problems
    gaps["buffers"] = _named(
        "running statistics of {} differ after a call in train mode",
        computed["buffers"],
        answers["buffers"],
        tolerances.outputs,
        problems,
    )
    gaps["gradients"] = _gradients(program, computed["gradients"], answers["gradients"], tolerances, problems)
    losses = [gap(*pair) for pair in zip(computed["losses"], answers["losses"], strict=True)]
    if losses:
        gaps["losses"] = max(losses)
        gaps["parameters"] = _parameters(computed, answers, problems, tolerances)
        if gaps["losses"] > 10 * tolerances.outputs and not problems:
            problems.append(f"the losses of steps of Adam differ: {_shown(losses)}")
    return gaps, problems


def _outputs(
    mode: str, values: Sequence[Any], wanted: Sequence[Array], tolerances: Tolerances, problems: list[str]
) -> float:
    if len(values) != len(wanted):
        problems.append(f"{mode} mode returns {len(values)} tensors instead of {len(wanted)}")
        return float("inf")
    found = [gap(*pair) for pair in zip(values, wanted, strict=True)]
    for number, (one, value, other) in enumerate(zip(found, values, wanted, strict=True)):
        if one > tolerances.outputs:
            what = f"by {one:.1e}" if value.shape == other.shape else f"in shape: {value.shape}, not {other.shape}"
            problems.append(f"{mode} mode: output {number} differs {what}")
    return max(found, default=0.0)


def _named(
    text: str, values: Mapping[str, Any], wanted: Mapping[str, Any], tolerance: float, problems: list[str]
) -> float:
    found = {name: gap(values[name], array) for name, array in wanted.items() if name in values}
    apart = [f"{name} (by {one:.1e})" for name, one in found.items() if one > tolerance]
    if apart:
        problems.append(text.format(", ".join(apart[:6])))
    return max(found.values(), default=0.0)


def _gradients(
    program: TorchProgram,
    values: Mapping[str, Array],
    wanted: Mapping[str, Array],
    tolerances: Tolerances,
    problems: list[str],
) -> float:
    """Return the largest error of a gradient, relative to the largest gradient of all."""
    scale = max((float(np.abs(one).max(initial=0)) for one in wanted.values()), default=0.0) or 1.0
    apart, worst = [], 0.0
    for name, other in wanted.items():
        other = other.astype("float64")
        error = float(np.abs(values[name].astype("float64") - other).max(initial=0))
        error = error if np.isfinite(error) or not np.isfinite(other).all() else float("inf")
        allowed = tolerances.gradients * float(np.abs(other).max(initial=0)) + tolerances.floor * scale
        worst = max(worst, error / scale)
        if error > allowed:
            apart.append(name)
    if apart:
        # A wrong gradient is wrong for all that comes before it: the last parameter is the nearest.
        nearest = _last_read(program, apart)
        problems.append(f"gradients of {len(apart)} parameters differ; the last is that of {nearest}")
    return worst


def _last_read(program: TorchProgram, names: Sequence[str]) -> str:
    holders = {node: name for node, name in program.train.held.items() if name in names}
    for node in reversed(program.train.nodes):
        read = [holders[one] for one in _reads(node.args) if one in holders]
        if read:
            return f"{read[-1]}, in {node.operator} of {place_of(node)}"
    return names[-1]


def _reads(argument: Any) -> list[str]:
    if isinstance(argument, list | tuple):
        return [name for inner in argument for name in _reads(inner)]
    return [argument["node"]] if isinstance(argument, dict) and "node" in argument else []


def _parameters(
    computed: Mapping[str, Any], answers: Mapping[str, Any], problems: list[str], tolerances: Tolerances
) -> float:
    """Compare parameters after steps of Adam, where a gradient is no rounding error: those make full steps too."""
    gradients = answers["gradients"]
    scale = max((float(np.abs(one).max(initial=0)) for one in gradients.values()), default=0.0)
    solid = {
        name: np.abs(one) > max(1e-2 * float(np.abs(one).max(initial=0)), 1e-3 * scale)
        for name, one in gradients.items()
    }
    return _named(
        "after steps of Adam {} differ",
        {name: computed["parameters"][name][at] for name, at in solid.items()},
        {name: answers["parameters"][name][at] for name, at in solid.items()},
        tolerances.outputs,
        problems,
    )


def _wide(array: Array) -> str:
    return "complex128" if array.dtype.kind == "c" else "float64"


def _shown(numbers: Sequence[float]) -> str:
    return ", ".join(f"{one:.1e}" for one in numbers)
