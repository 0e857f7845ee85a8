"""docs/torch_operators.md, made from the rules in unikeras/interop/operators.

python tests/helpers/operators_table.py     write it
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "torch_operators.md"
MARK = "do not edit what follows. -->\n"


def core_operators() -> list[str]:
    """Return the operators of torch's Core ATen, all overloads that the installed torch has."""
    import torch

    found = []
    for full_name in torch._C._dispatch_get_all_op_names():
        space, _, name = full_name.partition("::")
        packet = getattr(torch.ops.aten, name.partition(".")[0], None) if space == "aten" else None
        overload = getattr(packet, name.partition(".")[2] or "default", None)
        if overload is not None and torch.Tag.core in overload.tags:
            found.append(str(overload))
    return sorted(found)


def without_reason() -> list[str]:
    """Return the operators of Core ATen that have neither a rule nor a reason why not."""
    from unikeras.interop import operators

    return [name for name in core_operators() if not operators.find(name) and not operators.reason(name)]


def tables() -> str:
    """Return the operators with a rule by family, and those without one, with the reason."""
    from unikeras.interop import operators

    families = defaultdict(list)
    for name in operators.known():
        families[_module_of(operators.find(name).compute)].append(name)
    rows = ["| what | operators |", "|---|---|"]
    for module in sorted(families):
        what = inspect.getdoc(sys.modules[module]).partition("\n")[0].rstrip(".")
        rows.append(f"| {what} | {' '.join(f'`{name}`' for name in families[module])} |")
    core = core_operators()
    covered = sum(operators.find(name) is not None for name in core)
    count = (
        f"{len(operators.known())} names have a rule, among them {covered} of the {len(core)} of Core ATen."
    )
    missing = ["| operator | why it has no rule |", "|---|---|"]
    missing += [f"| `{name}` | {text} |" for name, text in sorted(operators.refused().items())]
    missing += [
        f"| `{name}` | {operators.reason(name)} |" for name in core if name.endswith("_backward.default")
    ]
    return "\n".join([count, "", *rows, "", *missing]) + "\n"


def _module_of(compute: object) -> str:
    return getattr(inspect.unwrap(compute), "__module__", "")


def written() -> str:
    """Return the tables that stand in the page."""
    return PAGE.read_text().partition(MARK)[2].strip() + "\n"


if __name__ == "__main__":
    head, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{head}{mark}\n{tables()}")
