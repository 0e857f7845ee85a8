"""From two runs to the rows of a report and the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unikeras.compare._distances import PHASES, Distance, Distances
from unikeras.compare._gaps import Tolerance, largest
from unikeras.compare._matched_calls import match_calls
from unikeras.compare._parity_report import Difference, LayerGap, LayerRow
from unikeras.compare._side_records import SideRun


class Verdict:
    """How the run of a second side compares with that of the first.

    Args:
        names: of the two sides.
        first: the run of the first side.
        second: that of the second.
        tolerance: what counts as equal.
        pairs: which calls belong together, by number; found by name, order and class where not given.
    """

    def __init__(
        self,
        names: tuple[str, str],
        first: SideRun,
        second: SideRun,
        tolerance: Tolerance,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self._names = names
        self._first, self._second = first, second
        self._pairs = match_calls(first.calls, second.calls) if pairs is None else pairs
        training_pairs = match_calls(first.training, second.training)
        self._distances = Distances(first, second, self._pairs, training_pairs, tolerance)
        self._found = sorted(self._distances.measure(), key=lambda one: one.place)

    @property
    def difference(self) -> Difference | None:
        """The first difference; None where the whole models are equal within the tolerance.

        A layer may differ alone where nothing reaches the difference in the model. That is no difference of the models,
        but where they differ, it names the layer.
        """
        beyond = [one for one in self._found if not one.gap.equal]
        in_model = next((one for one in beyond if not one.alone), None)
        if in_model is None:
            return None
        same_phase = [one for one in beyond if one.phase == in_model.phase]
        return self._difference_of(same_phase[0])

    def rows(self) -> Iterator[LayerRow]:
        """Yield a row for each layer, in the order of the computation."""
        kinds = {call.name: call.kind for call in self._first.calls}
        for layer in dict.fromkeys([*kinds, *(one.layer for one in self._found)]):
            mine = [one for one in self._found if one.layer == layer]
            gaps = {
                phase: self._gap_of([one for one in mine if one.phase == phase])
                for phase in PHASES
                if any(one.phase == phase for one in mine)
            }
            if gaps:
                yield LayerRow(layer, kinds.get(layer, ""), self._names[1], gaps)

    def notes(self) -> Iterator[str]:
        """Yield what to know of the comparison."""
        a, b = self._names
        weights: dict[str, list[str]] = {}
        for layer, name, gap in self._distances.initial_weights():
            weights.setdefault(layer, []).append(f"{name} by {gap.max_abs:.1e}")
        if weights:
            listed = "; ".join(f"{layer} ({', '.join(names)})" for layer, names in weights.items())
            yield f"weights differ between {a} and {b} before anything runs: {listed}"
        unmatched = len(self._first.calls) - len(self._pairs), len(self._second.calls) - len(self._pairs)
        if self._second.calls and any(unmatched):
            yield f"{unmatched[0]} calls of layers on {a} and {unmatched[1]} on {b} have no counterpart"
        for number, replay in self._first.replays.items():
            if replay.error:
                yield f"{self._first.calls[number].name} did not run alone: {replay.error}"
        nans = sum(one.gap.nans for one in self._found if not one.alone)
        if nans:
            yield f"{nans} values are NaN on both {a} and {b}, which counts as equal"

    @staticmethod
    def _gap_of(distances: Sequence[Distance]) -> LayerGap:
        whole = largest(one.gap for one in distances if not one.alone)
        alone = [one.gap.equal for one in distances if one.alone]
        return LayerGap(whole.max_abs, whole.max_rel, whole.ulps, whole.equal, all(alone) if alone else None)

    def _difference_of(self, found: Distance) -> Difference:
        gap = found.gap
        return Difference(
            found.layer,
            found.phase,
            found.what,
            self._names,
            gap.values,
            gap.index,
            gap.max_abs,
            gap.max_rel,
            gap.ulps,
            found.step,
            found.alone,
        )
