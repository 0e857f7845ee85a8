"""check_gradients: the tape against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._keras.variables import is_differentiable
from unikeras.autodiff._flat_functions import Arguments, Result
from unikeras.autodiff._transforms import grad


@dataclass(frozen=True)
class Difference:
    """Where one argument's gradient is furthest from the central difference.

    Attributes:
        leaf: the number of the tensor among the flattened arguments.
        index: the element's index in it.
        gradient: what automatic differentiation answers there.
        difference: what central differences answer there.
        error: their distance, relative where the value is above 1.
    """

    leaf: int
    index: tuple[int, ...]
    gradient: float
    difference: float
    error: float


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found: true where every error is within the tolerance.

    Attributes:
        worst: for each tensor of the arguments, its worst element.
        tolerance: the largest error that counts as equal.
        step: how far each element was moved to either side.

    Example:
        >>> report = GradientReport([Difference(0, (1,), gradient=2.0, difference=2.5, error=0.2)], 0.01, 0.001)
        >>> bool(report), report.max_error
        (False, 0.2)
    """

    worst: list[Difference]
    tolerance: float
    step: float

    @property
    def max_error(self) -> float:
        """The largest error of all."""
        return max((one.error for one in self.worst), default=0.0)

    def __bool__(self) -> bool:
        return self.max_error <= self.tolerance

    def __str__(self) -> str:
        verdict = "equal" if self else "DIFFERENT"
        lines = [f"gradients {verdict}: max error {self.max_error:.2e}, tolerance {self.tolerance:.1e}"]
        lines += [
            f"  tensor {one.leaf} at {one.index}: gradient {one.gradient:.6g}, central difference {one.difference:.6g}"
            for one in self.worst
        ]
        return "\n".join(lines)


def check_gradients(
    f: Callable[..., Any], *args: Any, step: float | None = None, tolerance: float | None = None
) -> GradientReport:
    """Compare the gradient of a function with central differences, element by element.

    Args:
        f: a function of tensors that returns one; what is not a scalar is summed.
        *args: its arguments: nested structures of tensors; integer ones are left as they are.
        step: how far to move each element; by default 1e-2 in float32 and 1e-5 in float64, where rounding and
            curvature do the least harm.
        tolerance: the largest error that counts as equal; by default 1e-2 in float32, 1e-6 in float64.

    Returns:
        A report that is true where all agree; printed, it names the worst element of each tensor.

    Raises:
        ArgumentError: an argument holds something that is no tensor.

    Source:
        torch.autograd.gradcheck, jax.test_util.check_grads.

    Example:
        >>> import keras, unikeras as uk
        >>> bool(uk.check_gradients(lambda x: keras.ops.sin(x), keras.ops.ones((3,))))
        True
    """
    arguments = Arguments(args, range(len(args)), integers=True)
    exact = any("64" in str(leaf.dtype) or "complex128" in str(leaf.dtype) for leaf in arguments.leaves)
    step = step or (1e-5 if exact else 1e-2)
    tolerance = tolerance or (1e-6 if exact else 1e-2)
    numbers = [number for number, leaf in enumerate(arguments.leaves) if is_differentiable(leaf)]
    gradients = grad(lambda values: f(*arguments.exchange(_with(arguments.leaves, numbers, values))))(
        [arguments.leaves[number] for number in numbers]
    )
    worst = [
        _worst(f, arguments, number, gradient, step)
        for number, gradient in zip(numbers, gradients, strict=True)
    ]
    return GradientReport(worst, tolerance, step)


def _with(leaves: Sequence[Any], numbers: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """Return the leaves with these values at these places."""
    exchanged = list(leaves)
    for number, value in zip(numbers, values, strict=True):
        exchanged[number] = value
    return exchanged


def _worst(
    f: Callable[..., Any], arguments: Arguments, number: int, gradient: Any, step: float
) -> Difference:
    from keras import ops

    analytic = np.asarray(ops.convert_to_numpy(gradient))
    start = np.asarray(ops.convert_to_numpy(arguments.leaves[number]))

    def total(values: Any) -> float:
        moved = _with(arguments.leaves, [number], [ops.convert_to_tensor(values)])
        results = Result(f(*arguments.exchange(moved))).outputs
        return float(sum(np.sum(ops.convert_to_numpy(result), dtype="float64") for result in results))

    found = []
    for index in np.ndindex(start.shape):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * step
            sides.append(total(moved))
        difference = (sides[0] - sides[1]) / (2 * step)
        error = abs(float(analytic[index]) - difference) / max(1.0, abs(difference))
        found.append(Difference(number, index, float(analytic[index]), difference, error))
    return max(found, key=lambda one: one.error)
