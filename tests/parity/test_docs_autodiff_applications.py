"""The page on gradients, run from top to bottom on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

PAGE = Path(__file__).parents[2] / "docs" / "autodiff.md"
# A block for all backends, or for the one that is named: (that name, the code).
BLOCKS = re.findall(r"^```python ?(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run(blocks: list[tuple[str, str]]) -> list[str]:
    """Run the blocks of this backend; return the names that a framework's own block computed again.

    What it computes under a name that was there before has to be equal to that.
    """
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
        exec(compile(code, f"{PAGE.name}: {framework or 'all'}", "exec"), names)
        if not framework:
            shared = names
            continue
        for name in ("loss", "gradients", "per_example", "product"):
            if name in shared and names[name] is not shared[name]:
                for own, ours in zip(arrays(names[name]), arrays(shared[name]), strict=True):
                    np.testing.assert_allclose(own, ours, rtol=1e-4, atol=1e-5, err_msg=name)
                again.append(name)
        shared.update({name: value for name, value in names.items() if name not in shared})
    return again


@pytest.mark.parametrize("backend", uk.backends.available())
def test_the_page_runs(backend):
    again = uk.run_on(backend, run, BLOCKS, timeout=300)
    assert {"gradients", "per_example", "product"} <= set(again)
    assert {framework for framework, _ in BLOCKS} == {"", "tensorflow", "torch", "jax"}
