"""Predictions as pictures: a confusion matrix and test images, for the report's page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from unikeras.apps.demo.data import Array, Dataset


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Return a confusion matrix as a table; the larger its share of the true class, the stronger a cell."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(_cells(row, number))}</tr>'
        for number, (name, row) in enumerate(zip(classes, counts, strict=True))
    )
    total, right = sum(map(sum, counts)), sum(row[i] for i, row in enumerate(counts))
    return (
        '<h3>Confusion matrix</h3><div class="scroll"><table class="confusion">'
        "<caption>Rows: the true class; "
        f"columns: the predicted one. {total - right} of {total} images are wrong.</caption>"
        f'<thead><tr><td class="none"></td>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
    )


def _cells(row: Sequence[int], true: int) -> list[str]:
    total = max(1, sum(row))
    cells = []
    for number, count in enumerate(row):
        kind = "none" if count == 0 else "hit" if number == true else "miss"
        # Pale enough for text in both colour schemes; a single error must still be seen.
        share = 0.1 + 0.4 * count / total if number == true else 0.25 + 0.35 * count / total
        cells.append(f'<td class="{kind}" style="--share:{share:.2f}">{count}</td>')
    return cells


def samples(shown: Sequence[dict[str, Any]], data: Dataset) -> str:
    """Return test images with their true and predicted classes, as a list."""
    items = []
    for sample in shown:
        right = sample["label"] == sample["predicted"]
        label, predicted = escape(sample["label"]), escape(sample["predicted"])
        sure = "" if sample["probability"] is None else f" · {sample['probability']:.0%}"
        text = f"{predicted}{sure}" if right else f"{predicted}{sure}<br>true: {label}"
        alt = f"image of class {label}, predicted as {predicted}"
        source = _png(data.test.images[sample["index"]], data.peak)
        items.append(
            f'<li class="{"right" if right else "wrong"}"><figure><img alt="{alt}" src="{source}">'
            f"<figcaption>{text}</figcaption></figure></li>"
        )
    return f'<ul class="samples">{"".join(items)}</ul>'


def _png(image: Array, peak: int) -> str:
    """Return an image, (height, width, 1 or 3), as the address of a PNG that holds its bytes itself."""
    from PIL import Image

    pixels = np.round(image.astype("float64") * (255 / peak)).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
