"""What an import found: as data and as text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ImportTrial:
    """One comparison of an imported module with torch's.

    Attributes:
        shapes: of the inputs, by name.
        gaps: the largest error of each kind, relative to the larger of 1 and the numbers: `"eval"`, `"train"`,
            `"buffers"`, `"gradients"`, `"losses"`, `"parameters"` after optimizer steps.

    Example:
        >>> ImportTrial({"x": (3, 5)}, {"eval": 1e-7}).worst
        1e-07
    """

    shapes: dict[str, tuple[int, ...]]
    gaps: dict[str, float]

    @property
    def worst(self) -> float:
        """The largest error of all kinds."""
        return max(self.gaps.values(), default=0.0)


@dataclass(frozen=True)
class ImportReport:
    """What `from_torch` found; prints as text.

    Attributes:
        module: the class of the module.
        operators: how often each operator stands in the graph of eval mode.
        trials: the comparisons with torch; none with `verify=False`.
        seconds: what took how long: `"export"`, `"verify"`.
        notes: what was not compared, and why.

    Example:
        >>> print(ImportReport("MLP", {"aten.linear.default": 2}))
        MLP: 2 operators of 1 kind
        not verified
    """

    module: str
    operators: dict[str, int] = field(default_factory=dict)
    trials: list[ImportTrial] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether the model was compared with the module."""
        return bool(self.trials)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as data for JSON.

        Returns:
            Dicts, lists, strings and numbers.
        """
        return asdict(self)

    def to_json(self) -> str:
        """Return the report as JSON.

        Returns:
            The text, indented by two spaces.
        """
        return json.dumps(self.to_dict(), indent=2)

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self))

    def __str__(self) -> str:
        count, kinds = sum(self.operators.values()), len(self.operators)
        lines = [f"{self.module}: {count} operators of {kinds} kind{'' if kinds == 1 else 's'}"]
        for trial in self.trials:
            shapes = ", ".join(f"{name} {shape}" for name, shape in trial.shapes.items())
            lines.append(f"verified at {shapes}: " + ", ".join(f"{k} {v:.1e}" for k, v in trial.gaps.items()))
        lines += [] if self.trials else ["not verified"]
        lines += [f"{name}: {time:.1f} s" for name, time in self.seconds.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
