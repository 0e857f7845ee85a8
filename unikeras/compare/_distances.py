"""Every distance between two runs, in the order in which the computation reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.compare._allowances import Allowances
from unikeras.compare._gaps import Array, Gap, Tolerance, gap_between, largest
from unikeras.compare._side_records import LayerCall, SideRun, VariableRecord

FORWARD, BACKWARD, OPTIMIZER = PHASES = ("forward", "backward", "optimizer")
LOSS, OUTPUTS = "loss", "outputs"


@dataclass(frozen=True)
class Distance:
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
        """Sorts distances as the computation reaches them; of a layer, the one of the whole model comes first."""
        return (PHASES.index(self.phase), self.order, self.alone)


class Distances:
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
        self._trains = bool(first.steps and second.steps)
        calls = first.training or first.calls
        self._places = {call.path: number for number, call in enumerate(calls)}
        self.variables = list(_pair_variables(first, second, pairs))

    def measure(self) -> Iterator[Distance]:
        """Yield all distances, in no order."""
        yield from self._forward()
        if self._trains:
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

    def _forward(self) -> Iterator[Distance]:
        for a, b in self._pairs:
            first, second = self._first.calls[a], self._second.calls[b]
            yield Distance(FORWARD, (0, a), first.name, "output", self._of_calls(first, second))
        gap = self._of_arrays(self._first.outputs, self._second.outputs)
        yield Distance(FORWARD, (0, len(self._first.calls)), OUTPUTS, "output", gap)

    def _training_forward(self) -> Iterator[Distance]:
        calls = self._first.training
        for a, b in self._training_pairs:
            gap = self._of_calls(calls[a], self._second.training[b])
            yield Distance(FORWARD, (1, a), calls[a].name, "output in training", gap, step=1)
        gap = self._of_losses(0)
        yield Distance(FORWARD, (1, len(calls)), LOSS, "loss", gap, step=1)

    def _backward(self) -> Iterator[Distance]:
        found = [
            (record, self._first.steps[0].gradients[a], self._second.steps[0].gradients[b])
            for _, a, b, record in self._trained_pairs()
        ]
        scales: dict[str, float] = {}
        for record, mine, _ in found:
            scales[record.layer] = max(scales.get(record.layer, 0.0), _size(mine))
        for record, mine, theirs in found:
            gap = self._of_optional(mine, theirs, scales[record.layer])
            what = f"gradient of {record.name}"
            yield Distance(BACKWARD, (-self._place(record.layer),), record.layer, what, gap, step=1)

    def _optimizer(self) -> Iterator[Distance]:
        allowed = Allowances(self._first, self._second)
        trainable = {number: (a, b) for number, a, b, _ in self._trained_pairs()}
        for number in range(min(len(self._first.steps), len(self._second.steps))):
            mine, theirs = self._first.steps[number], self._second.steps[number]
            drift = allowed.drift(self.variables, number)
            if number:
                gap = self._of_losses(number, drift)
                yield Distance(OPTIMIZER, (number + 1, -1), LOSS, "loss", gap, step=number + 1)
            for a, b, record in self.variables:
                if _is_seed(record):
                    continue
                extra: Any = drift
                if a in trainable:
                    extra = allowed.of_weight(a, b, *trainable[a], number)
                gap = self._gap(mine.values[a], theirs.values[b], extra)
                order = (number + 1, self._place(record.layer), 0)
                yield Distance(OPTIMIZER, order, record.layer, record.name, gap, step=number + 1)
            yield from self._slots(allowed, trainable, number)

    def _slots(
        self, allowed: Allowances, trainable: dict[int, tuple[int, int]], number: int
    ) -> Iterator[Distance]:
        """Yield the optimizer's variables, where both sides have an optimizer of the same kind."""
        mine, theirs = self._first.steps[number].slots, self._second.steps[number].slots
        if [name for name, *_ in mine] != [name for name, *_ in theirs]:
            return
        records = {a: record for a, _, record in self.variables}
        for (name, owner, value), (_, _, other) in zip(mine, theirs, strict=True):
            record = None if owner is None else records.get(owner)
            extra = allowed.of_slot(*trainable[owner], number) if owner in trainable else 0.0
            layer = "optimizer" if record is None else record.layer
            what = name if record is None else f"{name} of {record.name}"
            order = (number + 1, self._place(layer), 1)
            yield Distance(OPTIMIZER, order, layer, what, self._gap(value, other, extra), step=number + 1)

    def _alone(self) -> Iterator[Distance]:
        for number, mine in self._first.replays.items():
            theirs = self._second.replays.get(number)
            call = self._first.calls[number]
            if theirs is None or mine.error:
                continue
            if theirs.error:
                yield Distance(FORWARD, (0, number), call.name, theirs.error, _INFINITE, True)
                continue
            gap = self._of_arrays(mine.outputs, theirs.outputs)
            yield Distance(FORWARD, (0, number), call.name, "output", gap, True)
            if not self._trains:
                continue
            place = self._place(call.path)
            gap = self._of_arrays(mine.training, theirs.training)
            yield Distance(FORWARD, (1, place), call.name, "output in training", gap, True, 1)
            scale = max(map(_size, mine.gradients.values()), default=0.0)
            for name, value in mine.gradients.items():
                gap = self._of_optional(value, theirs.gradients.get(name), scale)
                what = f"gradient of {_without_number(name)}"
                yield Distance(BACKWARD, (-place,), call.name, what, gap, True, 1)
            for name, value in mine.state.items():
                if "seed_generator" not in name and name in theirs.state:
                    gap = self._gap(value, theirs.state[name])
                    what = _without_number(name)
                    yield Distance(OPTIMIZER, (1, place, 0), call.name, what, gap, True, 1)

    def _trained_pairs(self) -> Iterator[tuple[int, int, int, VariableRecord]]:
        """Yield the number of each trained variable, the places of its gradients on both sides, and its record."""
        mine, theirs = _trained_places(self._first), _trained_places(self._second)
        for a, b, record in self.variables:
            if a in mine and b in theirs:
                yield a, mine[a], theirs[b], record

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
        return self._gap(np.asarray(mine, "float32"), np.asarray(theirs, "float32"), extra)

    def _of_optional(self, first: Array | None, second: Array | None, scale: float) -> Gap:
        if first is None and second is None:
            return Gap()
        if first is None or second is None:
            present = first if second is None else second
            assert present is not None
            zeros = np.zeros(present.shape, present.dtype)
            first, second = (zeros if first is None else first), (zeros if second is None else second)
        return gap_between(first, second, self._tolerance, scale=scale)

    def _gap(self, first: Array, second: Array, extra: Any = 0.0) -> Gap:
        if np.shape(extra) not in ((), first.shape):
            extra = 0.0
        return gap_between(first, second, self._tolerance, extra)


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


def _size(array: Array | None) -> float:
    if array is None:
        return 0.0
    wide = np.abs(array.astype("float64"))
    return float(np.max(wide, where=np.isfinite(wide), initial=0.0))


def _is_seed(record: VariableRecord) -> bool:
    return "seed_generator" in record.name


def _without_number(name: str) -> str:
    head, _, rest = name.partition(" ")
    return rest if head.isdigit() else name
