"""What replaces the functions of keras.random where random numbers are portable; the arguments are the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras import backends
from unikeras._keras.draws import seed_state
from unikeras.errors import ArgumentValueError, TraceError
from unikeras.random import _finishes, _polynomials

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_SORTED_AT_ONCE = (1, 1625, 2642245)  # above each, a shuffle sorts once more
_LEAST = 1e-12  # of a gamma proposal; one that is not positive becomes this, and is not accepted
_PROPOSALS = 6  # of a gamma draw; each is accepted with a probability of at least 0.95


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Draw as keras.random.uniform: equal in every bit on each backend."""
    dtype = _float_dtype(dtype)
    finish = _finishes.UNIFORM[dtype]
    if _is_number(minval) and _is_number(maxval):
        return _cast(_generate(finish, [_key(seed)], shape, _range(minval, maxval, dtype)), dtype)
    low, high = (ops.cast(ops.convert_to_tensor(limit), dtype) for limit in (minval, maxval))
    unit = _cast(_generate(finish, [_key(seed)], shape, _range(0.0, 1.0, dtype)), dtype)
    return ops.maximum(_rounded(unit * (high - low)) + low, low)


def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Draw as keras.random.normal: of float16, bfloat16 and float32, equal in every bit on each backend."""
    dtype = _float_dtype(dtype)
    return _normal(shape, mean, stddev, dtype, seed, *_below_one(dtype), math.inf)


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Draw as keras.random.truncated_normal, within two standard deviations."""
    dtype = _float_dtype(dtype)
    kind = np.float64 if dtype == "float64" else np.float32
    end = float(kind(math.erf(math.sqrt(2))))
    limit = float(np.nextafter(kind(2), kind(0)))
    return _normal(shape, mean, stddev, dtype, seed, -end, end, limit)


def _normal(
    shape: Any, mean: Any, stddev: Any, dtype: str, seed: Any, low: float, high: float, limit: float
) -> Any:
    kind = np.float64 if dtype == "float64" else np.float32
    plain = _is_number(mean) and _is_number(stddev)
    scale = [kind(stddev), kind(mean)] if plain else [kind(1), kind(0)]
    params = [*_range(low, high, dtype), kind(limit), *scale]
    drawn = _cast(_generate(_finishes.NORMAL[dtype], [_key(seed)], shape, params), dtype)
    if plain:
        return drawn
    mean, stddev = (ops.cast(ops.convert_to_tensor(value), dtype) for value in (mean, stddev))
    return _rounded(drawn * stddev) + mean


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    """Draw as keras.random.randint: equal in every bit on each backend."""
    dtype = keras.backend.standardize_dtype(dtype)
    info = np.iinfo(dtype)
    low, high = (_whole(limit, name) for limit, name in ((minval, "minval"), (maxval, "maxval")))
    if not info.min <= low < high <= int(info.max) + 1 or high - low >= 2**63:
        raise ArgumentValueError(
            f"randint draws from minval to less than maxval, within {dtype} and with less than 2**63 results; not "
            f"from {low} to {high}"
        )
    keys, span = _split(_key(seed), 2), high - low
    if span > 2**32:
        return _generate(_finishes.offset64, keys, shape, _halves(span, _multiplier(span, 64))) + low
    params = [np.int64(span), np.int64(_multiplier(span, 32))]
    numbers = _generate(_finishes.offset32, keys, shape, params)
    if info.bits < 64:
        numbers = numbers + _as_int32(low)  # wraps to the right bits
    wide = ops.cast(numbers, dtype)
    if dtype == "uint32" or info.bits == 64:  # PyTorch has int64 for uint32
        wide = ops.where(wide < 0, wide + 2**32, wide) if _has_64_bits(wide) else wide
    return wide + low if info.bits == 64 else wide


def _multiplier(span: int, bits: int) -> int:
    """Return by what the upper word counts; 0 for many results, as its square wraps in JAX."""
    return (2 ** (bits // 2) % span) ** 2 % 2**bits % span


def _halves(*numbers: int) -> list[Any]:
    return [np.int64(half) for half in (*(n >> 32 for n in numbers), *(n % 2**32 for n in numbers))]


def _has_64_bits(tensor: Any) -> bool:
    return bool(np.iinfo(keras.backend.standardize_dtype(tensor.dtype)).bits == 64)


def _as_int32(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Draw as keras.random.categorical: equal in every bit on each backend, for equal logits."""
    logits = ops.convert_to_tensor(logits)
    if keras.backend.standardize_dtype(logits.dtype) != "float64":
        logits = ops.cast(logits, "float32")
    rows, classes = ops.shape(logits)
    noise = _generate(_finishes.gumbel32, [_key(seed)], (rows, classes, num_samples))
    drawn = ops.argmax(_rounded(logits)[..., None] + ops.cast(noise, logits.dtype), axis=1)
    return ops.cast(drawn, dtype)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Drop out as keras.random.dropout: equal in every bit on each backend."""
    inputs = ops.convert_to_tensor(inputs)
    if rate == 1.0:
        return ops.zeros_like(inputs)
    if rate == 0.0:
        return inputs
    sizes = ops.shape(inputs)
    given = sizes if noise_shape is None else noise_shape
    shape = [size if wanted is None else wanted for size, wanted in zip(sizes, given, strict=True)]
    keep = 1.0 - rate
    # The same as a uniform float32 below `keep`, but for whole numbers.
    threshold = np.int32(math.ceil(float(np.float32(keep)) * 2**23))
    kept = _generate(_finishes.less_than, [_key(seed)], shape, [threshold])
    # A product: XLA would divide by a constant in its own way.
    scale = ops.convert_to_tensor(1.0 / keep, dtype=inputs.dtype)
    return ops.where(kept, inputs * scale, ops.zeros_like(inputs))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """Shuffle as keras.random.shuffle: the same order on each backend. What lies along other axes stays together."""
    x = ops.convert_to_tensor(x)
    size = ops.shape(x)[axis]
    key, order = _key(seed), ops.arange(size, dtype="int32")
    dynamic = not isinstance(size, int)
    for i, least in enumerate(_SORTED_AT_ONCE):
        if not dynamic and size <= least:
            break
        key, sub = _split(key, 2)
        words = _generate(_finishes.word, [sub], (size,))
        # The words have no sign: this turns their order into that of int32.
        sorted_ = ops.take(order, ops.argsort(ops.bitwise_xor(words, -(2**31))), axis=0)
        order = ops.where(size > least, sorted_, order) if dynamic and i else sorted_
    return ops.take(x, order, axis=axis)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw as keras.random.gamma, with float32's resolution; the last bits may differ between backends."""
    dtype = _float_dtype(dtype)
    d, cube, _, raised = _gamma_parts(shape, alpha, _key(seed))
    return ops.cast(_rounded(d * cube) * ops.exp(raised), dtype)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw as keras.random.beta, with float32's resolution; the last bits may differ between backends."""
    dtype = _float_dtype(dtype)
    a = backends.current().arithmetic
    logs = []
    for parameter, key in zip((alpha, beta), _split(_key(seed), 2), strict=True):
        d, _, log_cube, raised = _gamma_parts(shape, parameter, key)
        logs.append(_rounded(_polynomials.log(d, a) + log_cube) + raised)
    larger = ops.maximum(*logs)
    one, other = (ops.exp(log - larger) for log in logs)
    return ops.cast(one / (one + other), dtype)


def _gamma_parts(shape: Any, alpha: Any, key: Any) -> tuple[Any, Any, Any, Any]:
    """Draw gamma numbers d * cube * exp(raised), by Marsaglia and Tsang with a fixed number of proposals.

    A position for which none is accepted, one of 60 million, takes the distribution's mode in place of a draw.

    Source: A simple method for generating gamma variables (2000), https://doi.org/10.1145/358407.358414

    Returns:
        d, cube, the cube's logarithm, raised.
    """
    a = backends.current().arithmetic
    alpha = ops.broadcast_to(ops.cast(ops.convert_to_tensor(alpha), "float32"), shape)
    alpha = ops.where(alpha > 0.0, alpha, ops.full_like(alpha, math.nan))
    small = alpha < 1.0
    d = _rounded(ops.where(small, _rounded(alpha + 1.0), alpha) - 1.0 / 3.0)
    c = ops.full_like(d, 1.0 / 3.0) / _rounded(a.sqrt(d))
    keys = _split(key, 3)
    normals = _generate(_finishes.normal32, [keys[0]], (_PROPOSALS, *shape), _STANDARD)
    logs = _generate(_finishes.log_unit32, [keys[1]], (_PROPOSALS, *shape))
    cube, log_cube, found = ops.ones_like(d), ops.zeros_like(d), ops.zeros_like(small)
    for i in range(_PROPOSALS):
        x = normals[i]
        v = _rounded(c * x) + 1.0
        v = ops.where(v > 0.0, v, ops.full_like(v, _LEAST))
        cubed, log_cubed = _rounded(_rounded(v * v) * v), _rounded(_polynomials.log(v, a) * 3.0)
        bound = _rounded(_rounded(x * x) * 0.5) + _rounded(d * _rounded(_rounded(1.0 - cubed) + log_cubed))
        accepted = ops.logical_and(ops.logical_not(found), logs[i] < bound)
        cube, log_cube = ops.where(accepted, cubed, cube), ops.where(accepted, log_cubed, log_cube)
        found = ops.logical_or(found, accepted)
    log_unit = _generate(_finishes.log_unit32, [keys[2]], shape)
    return d, cube, log_cube, ops.where(small, log_unit / alpha, ops.zeros_like(alpha))


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw as keras.random.binomial, on the host, by numpy: equal on each backend that has the same numpy."""
    dtype = _float_dtype(dtype)
    key, backend = _key(seed), backends.current()
    if backend.is_symbolic(key):
        raise TraceError(
            "keras.random.binomial draws on the host where random numbers are portable, and cannot be traced; draw "
            "outside of the function, and pass the numbers"
        )
    words = [int(word) & 0xFFFFFFFF for word in backend.to_numpy(key)]
    generator = np.random.Generator(np.random.Philox(key=words[0] << 32 | words[1]))
    counts, probabilities = (
        np.asarray(ops.convert_to_numpy(ops.convert_to_tensor(value))) for value in (counts, probabilities)
    )
    drawn = generator.binomial(counts.astype("int64"), probabilities.astype("float64"), tuple(shape))
    return ops.convert_to_tensor(drawn, dtype)


BY_NAME: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(uniform, normal, truncated_normal, randint, categorical),
        *(dropout, shuffle, gamma, beta, binomial),
    )
}


def _key(seed: Any) -> Any:
    return seed if backends.current().is_tensor(seed) else seed_state(seed)


def _split(key: Any, count: int) -> list[Any]:
    """Return keys that are functions of one key, and whose draws have nothing to do with each other."""
    first, second = (
        _generate(finish, [key], (count,)) for finish in (_finishes.first_word, _finishes.second_word)
    )
    return [ops.stack([first[i], second[i]]) for i in range(count)]


def _generate(finish: Callable[..., Any], keys: Sequence[Any], shape: Any, params: Sequence[Any] = ()) -> Any:
    shape = tuple(int(size) if isinstance(size, np.integer) else size for size in shape)
    if all(isinstance(size, int) for size in shape) and math.prod(shape) > 2**32:
        raise ArgumentValueError(
            f"a portable draw has at most 2**32 numbers, not the {math.prod(shape)} of {shape}"
        )
    return backends.current().generate(finish, keys, shape, params)


def _rounded(product: Any) -> Any:
    return backends.current().arithmetic.rounded(product)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def _float_dtype(dtype: Any) -> str:
    name: str = keras.backend.standardize_dtype(dtype or keras.config.floatx())
    if name not in _FLOATS:
        raise ArgumentValueError(f"portable random numbers are {', '.join(_FLOATS)}, not {name}")
    return name


def _cast(drawn: Any, dtype: str) -> Any:
    return drawn if keras.backend.standardize_dtype(drawn.dtype) == dtype else ops.cast(drawn, dtype)


def _range(low: float, high: float, dtype: str) -> list[Any]:
    """Return the lower limit and the width, in the type that is computed in."""
    kind = np.float64 if dtype == "float64" else np.float32
    return [kind(low), kind(high) - kind(low)]


def _below_one(dtype: str) -> tuple[float, float]:
    """Return the least number above -1 that the dtype has, and 1."""
    digits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype]
    return -1.0 + 2.0**-digits, 1.0


_STANDARD = [*_range(*_below_one("float32"), "float32"), np.float32(math.inf), np.float32(1), np.float32(0)]


def _whole(limit: Any, name: str) -> int:
    """Return a limit as a Python number; a tensor's value is read."""
    backend = backends.current()
    if backend.is_symbolic(limit):
        raise TraceError(
            f"{name} of randint must be a number where random numbers are portable, not a traced tensor"
        )
    number = backend.to_numpy(limit) if backend.is_tensor(limit) else limit
    if np.ndim(number) or int(number) != number:
        raise ArgumentValueError(f"{name} of randint must be one whole number, not {limit!r}")
    return int(number)
