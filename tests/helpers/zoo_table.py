"""The table of docs/interop.md: each module of the zoo, and the formats that it leaves in.

PYTHONPATH=tests python -m helpers.zoo_table   writes it into the page
"""

from __future__ import annotations

from pathlib import Path

from helpers import torch_zoo

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
START, END = "<!-- modules: made by tests/helpers/zoo_table.py -->\n", "<!-- end of modules -->\n"


def table() -> str:
    """Return the table; needs torch."""
    lines = ["| Module | JAX, PyTorch, TensorFlow | SavedModel | LiteRT |", "|---|---|---|---|"]
    for family, names in torch_zoo.FAMILIES.items():
        for name in names:
            leaves = [
                "yes" if one in torch_zoo.find(name).formats else "no" for one in ("saved_model", "litert")
            ]
            lines.append(
                f"| {name} ({TITLES[family]}) | outputs, gradients, three steps | {' | '.join(leaves)} |"
            )
    return "\n".join([*lines, ""])


TITLES = {
    "hugging_face": "transformers",
    "pictures": "timm",
    "sequences": "torch.nn",
    "programs": "hand-written",
}


def written(page: str, content: str) -> str:
    """Return the page with a table in the place of the former one."""
    before, _, rest = page.partition(START)
    return before + START + content + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), table()))
