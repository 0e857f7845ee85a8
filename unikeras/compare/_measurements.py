"""Every distance between two runs, in the order in which the computation reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.compare._gaps import Array, Gap, Tolerance, gap_between, largest
from unikeras.compare._side_records import LayerCall, SideRun, VariableRecord

FORWARD, BACKWARD, OPTIMIZER = PHASES = ("forward", "backward", "optimizer")
LOSS, OUTPUTS = "loss", "outputs"
# How much a difference in a gradient may grow on its way into a weight, and one in a weight on its way into a state.
_GROWTH, _DRIFT = 4.0, 10.0


@dataclass(frozen=True)
class Measurement:
    """One distance.

    Attributes:
        phase: `"forward"`, `"backward"` or `"optimizer"`.
        order: where in its phase the computation reaches it.
        layer: the first side's name of the layer; or `"loss"`, `"outputs"`, `"optimizer"`.
        what: what was compared, such as `"gradient of kernel"`.
        gap: the distance.
        alone: whether the layer ran alone, on the first side's inputs.
        step: the training step, from 1; None outside of training.
    """

    phase: str
    order: tuple[int, ...]
    layer: str
    what: str
    gap: Gap
    alone: bool = False
    step: int | None = None

    @property
    def place(self) -> tuple[Any, ...]:
        """Sorts measurements as the computation reaches them; of a layer, the one of the whole model comes first."""
        return (PHASES.index(self.phase), self.order, self.alone)


class Measurer:
    """Compares two runs.

    Args:
        first: the run of the first side.
        second: that of the second.
        pairs: which calls in inference belong together, by number.
        training_pairs: the same in training.
        tolerance: what counts as equal.
    """

    def __init__(
        self,
        first: SideRun,
        second: SideRun,
        pairs: Sequence[tuple[int, int]],
        training_pairs: Sequence[tuple[int, int]],
        tolerance: Tolerance,
    ) -> None:
        self._first, self._second = first, second
        self._pairs, self._training_pairs = pairs, training_pairs
        self._tolerance = tolerance
        self._trained = bool(first.steps and second.steps)
        calls = first.training or first.calls
        self._places = {call.path: number for number, call in enumerate(calls)}
        self.variables = list(_pair_variables(first, second, pairs))

    def measure(self) -> Iterator[Measurement]:
        """Yield all distances, in no order."""
        yield from self._forward()
        if self._trained:
            yield from self._training_forward()
            yield from self._backward()
            yield from self._optimizer()
        yield from self._alone()

    def initial_weights(self) -> Iterator[tuple[str, str, Gap]]:
        """Yield layer, name and distance of each variable whose values differ before anything ran."""
        for a, b, record in self.variables:
            gap = self._gap(self._first.initial[a], self._second.initial[b])
            if gap.max_abs and not _is_seed(record):
                yield record.layer, record.name, gap

    def _forward(self) -> Iterator[Measurement]:
        for a, b in self._pairs:
            first, second = self._first.calls[a], self._second.calls[b]
            yield Measurement(FORWARD, (0, a), first.name, "output", self._of_calls(first, second))
        gap = self._of_arrays(self._first.outputs, self._second.outputs)
        yield Measurement(FORWARD, (0, len(self._first.calls)), OUTPUTS, "output", gap)

    def _training_forward(self) -> Iterator[Measurement]:
        calls = self._first.training
        for a, b in self._training_pairs:
            gap = self._of_calls(calls[a], self._second.training[b])
            yield Measurement(FORWARD, (1, a), calls[a].name, "output in training", gap, step=1)
        gap = self._of_losses(0)
        yield Measurement(FORWARD, (1, len(calls)), LOSS, "loss", gap, step=1)

    def _backward(self) -> Iterator[Measurement]:
        for a, b, record in self._trainable():
            mine, theirs = self._first.steps[0].gradients[a], self._second.steps[0].gradients[b]
            gap = self._of_optional(mine, theirs)
            what = f"gradient of {record.name}"
            yield Measurement(BACKWARD, (-self._place(record.layer),), record.layer, what, gap, step=1)

    def _optimizer(self) -> Iterator[Measurement]:
        allowed = _Allowances(self._first, self._second)
        trainable = {record: (a, b) for a, b, record in self._trainable()}
        for number in range(min(len(self._first.steps), len(self._second.steps))):
            mine, theirs = self._first.steps[number], self._second.steps[number]
            drift = allowed.drift(self.variables, number)
            if number:
                gap = self._of_losses(number, drift)
                yield Measurement(OPTIMIZER, (number + 1, -1), LOSS, "loss", gap, step=number + 1)
            for a, b, record in self.variables:
                if _is_seed(record):
                    continue
                extra: Any = drift
                if record in trainable:
                    extra = allowed.of_weight(a, b, *trainable[record], number)
                gap = self._gap(mine.values[a], theirs.values[b], extra)
                order = (number + 1, self._place(record.layer), 0)
                yield Measurement(OPTIMIZER, order, record.layer, record.name, gap, step=number + 1)
            yield from self._slots(allowed, trainable, number)

    def _slots(self, allowed: _Allowances, trainable: Any, number: int) -> Iterator[Measurement]:
        """Yield the optimizer's variables, where both sides have an optimizer of the same kind."""
        mine, theirs = self._first.steps[number].slots, self._second.steps[number].slots
        if [name for name, *_ in mine] != [name for name, *_ in theirs]:
            return
        records = {a: record for a, _, record in self.variables}
        for (name, owner, value), (_, _, other) in zip(mine, theirs, strict=True):
            record = None if owner is None else records.get(owner)
            extra = 0.0 if record not in trainable else allowed.of_slot(*trainable[record], number)
            layer = "optimizer" if record is None else record.layer
            what = name if record is None else f"{name} of {record.name}"
            order = (number + 1, self._place(layer), 1)
            yield Measurement(
                OPTIMIZER, order, layer, what, self._gap(value, other, extra), step=number + 1
            )

    def _alone(self) -> Iterator[Measurement]:
        for number, mine in self._first.replays.items():
            theirs = self._second.replays.get(number)
            call = self._first.calls[number]
            if theirs is None or mine.error:
                continue
            if theirs.error:
                yield Measurement(FORWARD, (0, number), call.name, theirs.error, _INFINITE, True)
                continue
            gap = self._of_arrays(mine.outputs, theirs.outputs)
            yield Measurement(FORWARD, (0, number), call.name, "output", gap, True)
            if not self._trained:
                continue
            place = self._place(call.path)
            gap = self._of_arrays(mine.training, theirs.training)
            yield Measurement(FORWARD, (1, place), call.name, "output in training", gap, True, 1)
            for name, value in mine.gradients.items():
                gap = self._of_optional(value, theirs.gradients.get(name))
                what = f"gradient of {_without_number(name)}"
                yield Measurement(BACKWARD, (-place,), call.name, what, gap, True, 1)
            for name, value in mine.state.items():
                if "seed_generator" not in name and name in theirs.state:
                    gap = self._gap(value, theirs.state[name])
                    what = _without_number(name)
                    yield Measurement(OPTIMIZER, (1, place, 0), call.name, what, gap, True, 1)

    def _trainable(self) -> Iterator[tuple[int, int, VariableRecord]]:
        """Yield the places of each trained variable among those of its side, and its record."""
        mine, theirs = _trained_places(self._first), _trained_places(self._second)
        for a, b, record in self.variables:
            if a in mine and b in theirs:
                yield mine[a], theirs[b], record

    def _place(self, path: str) -> int:
        if path in self._places:
            return self._places[path]
        inner = [place for known, place in self._places.items() if known.startswith(f"{path}/") or not path]
        return max(inner, default=len(self._places))

    def _of_calls(self, first: LayerCall, second: LayerCall) -> Gap:
        return self._of_arrays(first.outputs, second.outputs)

    def _of_arrays(self, first: Sequence[Array], second: Sequence[Array]) -> Gap:
        if len(first) != len(second):
            return _INFINITE
        return largest(self._gap(a, b) for a, b in zip(first, second, strict=True))

    def _of_losses(self, number: int, extra: float = 0.0) -> Gap:
        mine, theirs = self._first.steps[number].loss, self._second.steps[number].loss
        return self._gap(np.float32([mine]), np.float32([theirs]), extra)

    def _of_optional(self, first: Array | None, second: Array | None) -> Gap:
        if first is None and second is None:
            return Gap()
        if first is None or second is None:
            present = first if second is None else second
            assert present is not None
            zeros = np.zeros(present.shape, present.dtype)
            first, second = (zeros if first is None else first), (zeros if second is None else second)
        return self._gap(first, second)

    def _gap(self, first: Array, second: Array, extra: Any = 0.0) -> Gap:
        if np.shape(extra) not in ((), first.shape):
            extra = 0.0
        return gap_between(first, second, self._tolerance, extra)


class _Allowances:
    """What weights and states may differ by because gradients did, within their own tolerance.

    An optimizer such as Adam makes a step of full size of a gradient that is rounding noise, such as that of a bias
    before a BatchNormalization; its sign may differ between backends.
    """

    def __init__(self, first: SideRun, second: SideRun) -> None:
        self._first, self._second = first, second

    def of_weight(self, a: int, b: int, trained_a: int, trained_b: int, last: int) -> Any:
        """Return what each element of a weight may differ by after a step."""
        total: Any = 0.0
        ratio: Any = 0.0
        for number in range(last + 1):
            mine, theirs = self._gradients(trained_a, trained_b, number)
            moved = [self._moved(self._first, a, number), self._moved(self._second, b, number)]
            if mine is None or theirs is None or len({part.shape for part in (mine, theirs, *moved)}) > 1:
                return 0.0
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                relative = np.where(mine == theirs, 0.0, np.abs(mine - theirs) / np.abs(mine))
            ratio = np.maximum(ratio, np.minimum(2.0, _GROWTH * np.nan_to_num(relative, nan=1.0, posinf=1.0)))
            total = total + np.maximum(*moved) * ratio
        return total

    def of_slot(self, trained_a: int, trained_b: int, last: int) -> float:
        """Return what each element of an optimizer's slot may differ by after a step."""
        found = 0.0
        for number in range(last + 1):
            mine, theirs = self._gradients(trained_a, trained_b, number)
            if mine is not None and theirs is not None and mine.shape == theirs.shape and mine.size:
                size = 1 + float(np.max(np.abs(mine)))
                found = max(found, 2 * size * float(np.max(np.abs(mine - theirs))))
        return found if number else 0.0

    def drift(self, variables: Sequence[tuple[int, int, VariableRecord]], number: int) -> float:
        """Return what a state or the loss may differ by because the weights do, after the step before."""
        if not number:
            return 0.0
        mine, theirs = self._first.steps[number - 1].values, self._second.steps[number - 1].values
        gaps = [
            float(np.max(np.abs(mine[a].astype("float64") - theirs[b]), initial=0.0))
            for a, b, record in variables
            if record.trainable and mine[a].shape == theirs[b].shape
        ]
        return _DRIFT * max(gaps, default=0.0)

    def _gradients(self, a: int, b: int, number: int) -> tuple[Array | None, Array | None]:
        mine, theirs = self._first.steps[number].gradients[a], self._second.steps[number].gradients[b]
        if mine is None or theirs is None:
            return None, None
        return mine.astype("float64"), theirs.astype("float64")

    @staticmethod
    def _moved(run: SideRun, variable: int, number: int) -> Array:
        before = run.steps[number - 1].values[variable] if number else run.initial[variable]
        moved: Array = np.abs(run.steps[number].values[variable].astype("float64") - before.astype("float64"))
        return moved


_INFINITE = Gap(np.inf, np.inf, np.inf, np.inf)


def _pair_variables(
    first: SideRun, second: SideRun, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, VariableRecord]]:
    """Yield the places of variables that belong together: of layers that do, in the layer's own order."""
    paths = {first.calls[a].path: second.calls[b].path for a, b in pairs}
    theirs: dict[str, list[int]] = {}
    for number, record in enumerate(second.variables):
        theirs.setdefault(record.layer, []).append(number)
    taken: dict[str, int] = {}
    for number, record in enumerate(first.variables):
        place = taken.get(record.layer, 0)
        taken[record.layer] = place + 1
        candidates = theirs.get(paths.get(record.layer, record.layer), [])
        if place < len(candidates):
            yield number, candidates[place], record


def _trained_places(run: SideRun) -> dict[int, int]:
    """Return for each trained variable its place among the gradients."""
    trained = [number for number, record in enumerate(run.variables) if record.trainable]
    return {number: place for place, number in enumerate(trained)}


def _is_seed(record: VariableRecord) -> bool:
    return "seed_generator" in record.name


def _without_number(name: str) -> str:
    head, _, rest = name.partition(" ")
    return rest if head.isdigit() else name
