"""A traced step computes what its Python computes: every layer, optimizer, metric and loss that Keras has.

On PyTorch a program without passes runs the very operators that eager runs, in the same order: its numbers are equal
bit by bit. With the passes, sums may be reordered: a step is within 4 ulps of the largest value of each tensor. On
TensorFlow and JAX a compiler rewrites the program: what it may differ by is `COMPILED`, relative to the largest value.
Values that are the rounding of a zero (the gradient of a bias before a normalization) are compared with `ZERO`.
"""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from helpers import steps
from helpers.arrays import numpy

import unikeras as uk
from unikeras import backends

pytestmark = pytest.mark.usefixtures("backend")

FALLS_BACK = backends.current().falls_back
# Of half precision, whose numbers come in float32 too: its ulps are those of the policy.
HALF = {"LossScaleOptimizer", "LossScaleOptimizer accumulating", "mixed_bfloat16", "bfloat16"}
BITWISE, ULPS, COMPILED, ZERO = 0.0, 4.0, 2e-4, 2e-6
# Where a compiler of the framework's own makes the programs, every sixth entry of a table is tried.
STEP = 1 if FALLS_BACK else 6

# What runs as Python on PyTorch, and why.
UNTRACED = {
    "CTC": "torch's loss reads the lengths as numbers",
    "Equalization": "counts of torch.bincount have a size that depends on values",
    "HashedCrossing": "Keras hashes with TensorFlow on PyTorch",
    "Hashing": "Keras hashes with TensorFlow on PyTorch",
    "IntegerLookup": "Keras looks up in a table of TensorFlow's",
    "RandAugment": "one of its layers is Equalization",
    "SpectralNormalization": "a tape goes back through keras.ops.cond",
    "jvp": "torch.func.jvp loses the device of tangents in a trace",
    "hvp": "torch.func.jvp loses the device of tangents in a trace",
}
# What eager does not compute twice, so that nothing can be compared with it.
UNEQUAL = {
    "RandomElasticTransform": "on PyTorch, Keras draws displacements from torch's global generator",
    "AugMix": "chooses layers with Python's random",
    "ScheduleFreeAdamW": "on PyTorch, eager Keras reads its momentum after changing it in place",
}


def run(make, jit_compile, tolerance, half=False):
    keras.utils.set_random_seed(0)
    eager = make()
    keras.utils.set_random_seed(0)
    traced = make()
    f = uk.function(traced.run, jit_compile=jit_compile)
    for _ in range(2):
        for before, variable in zip(eager.state, traced.state, strict=True):
            variable.assign(before.value)
        expected = eager.run(*map(keras.ops.convert_to_tensor, eager.inputs))
        actual = f(*traced.inputs)
        compare("result", actual, expected, tolerance, half)
        for one, other in zip(traced.state, eager.state, strict=True):
            compare(other.path, one.value, other.value, tolerance, half)
    return f


def compare(name, actual, expected, tolerance, half):
    for one, other in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        a, b = numpy(one), numpy(other)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if tolerance == BITWISE or not keras.backend.is_float_dtype(str(b.dtype)):
            assert a.tobytes() == b.tobytes(), (name, np.max(np.abs(a.astype("float64") - b)))
        elif b.size:
            ulp = 2.0**-7 if half else {"float64": 2.0**-52}.get(str(b.dtype), 2.0**-23)
            a, b = a.astype("float64"), b.astype("float64")
            allowed = tolerance * (ulp if tolerance == ULPS else ulp / 2.0**-23) * np.max(np.abs(b))
            zero = ZERO * ulp / 2.0**-23
            np.testing.assert_allclose(a, b, rtol=0, atol=max(allowed, zero), err_msg=name)


@pytest.fixture(params=[False, "auto"] if FALLS_BACK else ["auto"])
def jit_compile(request):
    return request.param


def check(name, make, jit_compile):
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", ".*implementation doesn't accept a copy keyword", DeprecationWarning
        )
        warnings.filterwarnings("ignore", ".*deprecated on 0-D tensors", UserWarning)
        warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
        if FALLS_BACK and name in UNTRACED:
            with pytest.warns(UserWarning, match=r"runs as Python on"):
                f = run(make, jit_compile, ULPS)
            assert f.trace_count == 0
            return
        tolerance = (ULPS if jit_compile else BITWISE) if FALLS_BACK else COMPILED
        f = run(make, jit_compile, tolerance, name in HALF)
    assert f.trace_count == 1


# Keras hashes and looks up with TensorFlow on every backend, which a program on JAX cannot.
BY_TENSORFLOW = {"HashedCrossing", "Hashing", "IntegerLookup"}


def names(table):
    left_out = BY_TENSORFLOW if uk.backend() == "jax" else set()
    return sorted(name for name in table if name not in UNEQUAL and name not in left_out)[::STEP]


@pytest.mark.rotated("name", parts=8)
@pytest.mark.parametrize("name", names(steps.LAYERS))
def test_layers(name, jit_compile):
    if name in BY_TENSORFLOW:
        pytest.importorskip("tensorflow", reason=f"Keras' {name} computes with TensorFlow")
    check(name, steps.LAYERS[name].step, jit_compile)


@pytest.mark.rotated("name", parts=8)
@pytest.mark.parametrize("name", names(steps.OPTIMIZERS))
def test_optimizers(name, jit_compile):
    check(name, steps.OPTIMIZERS[name], jit_compile)


@pytest.mark.rotated("name", parts=8)
@pytest.mark.parametrize("name", names(steps.METRICS))
def test_metrics(name, jit_compile):
    check(name, steps.METRICS[name], jit_compile)


@pytest.mark.rotated("name", parts=8)
@pytest.mark.parametrize("name", names(steps.LOSSES))
def test_losses(name, jit_compile):
    check(name, steps.LOSSES[name], jit_compile)


@pytest.mark.rotated("name", parts=8)
@pytest.mark.parametrize("name", names(steps.TRANSFORMS))
def test_transforms(name, jit_compile):
    check(name, steps.TRANSFORMS[name], jit_compile)


@pytest.mark.parametrize(
    ("module", "base", "table", "exceptions"),
    [
        (keras.layers, keras.Layer, steps.LAYERS, steps.NOT_IN_STEPS),
        (keras.optimizers, keras.Optimizer, steps.OPTIMIZERS, steps.OPTIMIZERS_NOT_IN_STEPS),
        (keras.metrics, keras.Metric, steps.METRICS, steps.METRICS_NOT_IN_STEPS),
        (keras.losses, keras.Loss, steps.LOSSES, steps.LOSSES_NOT_IN_STEPS),
    ],
)
def test_everything_that_keras_exports_is_in_a_table(module, base, table, exceptions):
    exported = {
        name: kind for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, base)
    }
    tried = {exported[word] for name in table if (word := name.split()[0]) in exported}
    missing = {name for name, kind in exported.items() if kind not in tried}
    assert missing == set(exceptions)
