"""What an exchange of weights did: as data and as a table."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class WeightsRow:
    """The weights of one layer, and where they came from.

    Attributes:
        layer: the layer's path in the Keras model.
        module: the torch module's name.
        kind: the class of torch.
        how: what told that they belong together: `"mapping"`, `"name"`, `"shape"`, `"structure"` or `"order"`.
        tensors: the names in the state_dict.
        notes: what to know of these weights.

    Example:
        >>> WeightsRow("dense", "fc", "Linear", "shape", ["fc.weight", "fc.bias"]).module
        'fc'
    """

    layer: str
    module: str
    kind: str
    how: str
    tensors: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WeightsReport:
    """What went where, and what is left on either side; prints as a table.

    Attributes:
        model: the Keras model's name.
        rows: one for each layer that has its weights from the state_dict.
        left_in_model: layers that kept their weights.
        left_in_state_dict: names that no layer took.
        ignored: names that hold no weights, such as counters, or that the mapping leaves out.
        warnings: settings that differ, or may, and change numbers without an error.
        parity: what the verification found; None without one.

    Example:
        >>> WeightsReport("mlp").complete
        True
    """

    model: str
    rows: list[WeightsRow] = field(default_factory=list)
    left_in_model: list[str] = field(default_factory=list)
    left_in_state_dict: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    parity: Any = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left on either side."""
        return not self.left_in_model and not self.left_in_state_dict

    def to_dict(self) -> dict[str, Any]:
        """Return the report as data for JSON.

        Returns:
            Dicts, lists, strings, numbers and None.
        """
        parity = None if self.parity is None else self.parity.to_dict()
        fields = {name: getattr(self, name) for name in ("model", "left_in_model", "left_in_state_dict")}
        return {
            "complete": self.complete,
            **fields,
            "rows": [asdict(row) for row in self.rows],
            "ignored": self.ignored,
            "warnings": self.warnings,
            "parity": parity,
        }

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

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("layer", "module", "kind", "found by", "tensors", title=f"weights of {self.model}")
        for row in self.rows:
            table.add_row(*map(Text, (row.layer, row.module, row.kind, row.how, ", ".join(row.tensors))))
        lines = [f"{row.layer}: {note}" for row in self.rows for note in row.notes]
        lines += [f"left in the model: {name}" for name in self.left_in_model]
        lines += [f"left in the state_dict: {name}" for name in self.left_in_state_dict]
        lines += [f"ignored: {', '.join(self.ignored)}"] if self.ignored else []
        lines += [f"warning: {text}" for text in self.warnings]
        lines += [] if self.parity is None else [f"verified: {self.parity.verdict}"]
        return Group(table, *map(Text, lines))

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=120)
        console.print(self.__rich__())
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]
