"""What a comparison found: as data, a table, a chart and a page."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.notebook_html import framed
from unikeras._base.optional import require
from unikeras.compare._distances import BACKWARD, OPTIMIZER, PHASES
from unikeras.errors import ArgumentValueError


@dataclass(frozen=True)
class Difference:
    """A place where two sides differ beyond the tolerance.

    Attributes:
        layer: the layer's path in the model of the first side; `"loss"`, `"outputs"` and `"optimizer"` stand for what
            belongs to no layer.
        phase: `"forward"`, `"backward"` or `"optimizer"`, which is what a training step leaves: weights, moving
            statistics, the optimizer's slots.
        what: what differs, such as `"gradient of kernel"`.
        sides: the names of the two sides.
        values: the values of the two sides at `index`; None where shapes differ.
        index: where the difference is largest, relative to what is allowed there.
        max_abs: the largest absolute difference.
        max_rel: that, relative to the largest value of the first side.
        ulps: that, in units in the last place of this largest value.
        step: the training step, from 1; None outside of training.
        alone: whether it was seen with the layer alone, on the first side's inputs.

    Example:
        >>> found = Difference("bn_7", "optimizer", "moving_mean", ("jax", "torch"), (0.5, 0.25), (3,), 0.25, 0.5, 1.0)
        >>> str(found)
        'bn_7, optimizer: moving_mean[3] is 0.5 on jax and 0.25 on torch (max abs 2.5e-01, relative 5.0e-01)'
    """

    layer: str
    phase: str
    what: str
    sides: tuple[str, str]
    values: tuple[float, float] | None
    index: tuple[int, ...]
    max_abs: float
    max_rel: float
    ulps: float
    step: int | None = None
    alone: bool = False

    def __str__(self) -> str:
        step = f", step {self.step}" if self.step and self.phase == OPTIMIZER else ""
        head = f"{self.layer}, {self.phase}{step}"
        if self.values is None:
            return f"{head}: {self.what} has other shapes on {self.sides[0]} and {self.sides[1]}"
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        a, b = (f"{value:.8g}" for value in self.values)
        size = f"max abs {self.max_abs:.1e}, relative {self.max_rel:.1e}"
        return f"{head}: {self.what}{place} is {a} on {self.sides[0]} and {b} on {self.sides[1]} ({size})"


@dataclass(frozen=True)
class LayerGap:
    """How far two sides are apart in one layer and phase.

    Attributes:
        max_abs: the largest absolute difference.
        max_rel: that, relative to the largest value of the first side.
        ulps: that, in units in the last place of this largest value.
        equal: whether all of it is within the tolerance.
        equal_alone: the same for the layer alone, on the first side's inputs; None where it was not run so.

    Example:
        >>> LayerGap(0.0, 0.0, 0.0, True).equal
        True
    """

    max_abs: float
    max_rel: float
    ulps: float
    equal: bool
    equal_alone: bool | None = None


@dataclass(frozen=True)
class LayerRow:
    """One layer of the first side, compared with one other side.

    Attributes:
        layer: its path.
        kind: the name of its class.
        side: the name of the other side.
        gaps: a `LayerGap` for each phase that was compared.

    Example:
        >>> LayerRow("dense", "Dense", "torch", {}).differs
        False
    """

    layer: str
    kind: str
    side: str
    gaps: dict[str, LayerGap]

    @property
    def differs(self) -> bool:
        """Whether the layer itself differs: alone, on the first side's inputs; in the model if it did not run so."""
        if not self.kind:
            return False
        alone = [gap.equal_alone for gap in self.gaps.values() if gap.equal_alone is not None]
        return not all(alone or [gap.equal for gap in self.gaps.values()])


@dataclass(frozen=True)
class SideRow:
    """One side of a comparison.

    Attributes:
        name: the backend's name, or that of what is compared with.
        versions: of what ran it.
        losses: before each training step.
        seconds: how long it took; None where it did not finish.
        error: why it did not finish; None where it did.

    Example:
        >>> SideRow("torch", error="the worker ran out of memory").seconds is None
        True
    """

    name: str
    versions: dict[str, str] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found; prints as a table.

    Attributes:
        model: the model's name.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        sides: what was compared; the others are compared with the first that finished.
        layers: one row for each layer and other side, in the order of the computation.
        differences: the first difference of each other side that differs.
        notes: what to know of the comparison.

    Example:
        >>> report = ParityReport("mlp", 1e-5, 1e-6, [SideRow("jax"), SideRow("torch")])
        >>> report.equal, report.first
        (True, None)
    """

    model: str
    rtol: float
    atol: float
    sides: list[SideRow] = field(default_factory=list)
    layers: list[LayerRow] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether every side finished and none differs from the first beyond the tolerance."""
        return not self.differences and all(side.error is None for side in self.sides)

    @property
    def first(self) -> Difference | None:
        """The first difference in the order of the computation; None where no two sides differ."""
        order = {row.layer: number for number, row in enumerate(self.layers)}

        def place(found: Difference) -> tuple[int, int, int]:
            number = order.get(found.layer, len(order))
            return PHASES.index(found.phase), found.step or 0, -number if found.phase == BACKWARD else number

        return min(self.differences, key=place, default=None)

    @property
    def verdict(self) -> str:
        """One sentence: where the sides differ first, or how equal they are."""
        finished = [side.name for side in self.sides if side.error is None]
        if self.first is not None:
            return f"different: {self.first}"
        if len(finished) < 2:
            return "nothing was compared: fewer than two sides finished"
        gaps = [gap for row in self.layers for gap in row.gaps.values()]
        size = (
            f"max abs {max((gap.max_abs for gap in gaps), default=0.0):.1e}, "
            f"relative {max((gap.max_rel for gap in gaps), default=0.0):.1e}, "
            f"{max((gap.ulps for gap in gaps), default=0.0):.0f} ulps"
        )
        failed = "" if len(finished) == len(self.sides) else "; a side did not finish"
        return f"equal on {', '.join(finished)}: {size}{failed}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as data for JSON.

        Returns:
            Dicts, lists, strings, numbers and None; infinities and NaN are strings.
        """
        first = self.first
        data = {
            "equal": self.equal,
            "verdict": self.verdict,
            "first": None if first is None else asdict(first),
            **asdict(self),
        }
        return dict(_plain(data))

    def to_json(self) -> str:
        """Return the report as JSON.

        Returns:
            The text, indented by two spaces.
        """
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def table(self) -> Any:
        """Return the report as a table for a terminal.

        Returns:
            A `rich` renderable.
        """
        return self.__rich__()

    def plot(self) -> Any:
        """Draw the relative difference of each layer, in each phase, by the order of the layers.

        Returns:
            A `matplotlib` figure.

        Raises:
            MissingDependency: matplotlib is not installed.
        """
        require("matplotlib", "demo", "a chart")
        from unikeras.compare._parity_chart import figure

        return figure(self)

    def save(self, path: str | Path) -> None:
        """Write the report as a page that needs nothing else (.html), as data (.json) or as a chart (.png, .svg).

        Args:
            path: where to; what stands there is replaced.

        Raises:
            ArgumentValueError: the suffix is another one.
            MissingDependency: a chart needs matplotlib, which is not installed.
            OutputError: the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".html", ".json", ".png", ".svg"):
            raise ArgumentValueError(
                f"a report is saved as .html, .json, .png or .svg; received {str(path)!r}"
            )
        if suffix in (".png", ".svg"):
            content = io.BytesIO()
            self.plot().savefig(content, format=suffix[1:])
            data = content.getvalue()
        else:
            data = (self._page() if suffix == ".html" else self.to_json()).encode()
        with written_atomically(path) as temporary:
            temporary.write_bytes(data)

    def __rich__(self) -> Any:
        from unikeras.compare._parity_tables import tables

        return tables(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=120)
        console.print(self.__rich__())
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        return framed(self._page())

    def _page(self) -> str:
        from unikeras.compare._parity_page import page

        return page(self)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
