"""The pages of the documentation, run from top to bottom on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

DOCS = Path(__file__).parents[2] / "docs"
# What a framework's own block computes again, and has to compute alike.
AGAIN = {
    "autodiff.md": {"gradients", "per_example", "product"},
    "training.md": set(),
    "recurrent.md": {"answers"},
}


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Return the blocks for all backends, or for the one that is named: (that name, the code)."""
    return re.findall(r"^```python ?(\w*)\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run(page: str, blocks: list[tuple[str, str]], folder: str) -> list[str]:
    """Run the blocks of this backend; return the names that a framework's own block computed again.

    What it computes under a name that was there before has to be equal to that.
    """
    import contextlib

    import keras
    import numpy as np

    import unikeras as uk

    def arrays(value):
        return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(value)]

    shared: dict = {"__name__": "page"}
    again = []
    for framework, code in blocks:
        if framework not in ("", uk.backend()):
            continue
        names = dict(shared)
        with contextlib.chdir(folder):  # where the files go that a page writes
            exec(compile(code, f"{page}: {framework or 'all'}", "exec"), names)
        if not framework:
            shared = names
            continue
        for name in ("answers", "loss", "gradients", "per_example", "product"):
            if name in shared and names[name] is not shared[name]:
                for own, ours in zip(arrays(names[name]), arrays(shared[name]), strict=True):
                    np.testing.assert_allclose(own, ours, rtol=1e-4, atol=1e-5, err_msg=name)
                again.append(name)
        shared.update({name: value for name, value in names.items() if name not in shared})
    return again


@pytest.mark.parametrize("backend", uk.backends.available())
@pytest.mark.parametrize("page", AGAIN)
def test_the_page_runs(page, backend, tmp_path):
    blocks = blocks_of(page)
    again = uk.run_on(backend, run, page, blocks, str(tmp_path), timeout=300)
    assert AGAIN[page] <= set(again)
    assert {framework for framework, _ in blocks} == {"", "tensorflow", "torch", "jax"}
