"""What becomes of random words: one number for each position, by the algorithms of `jax.random`.

Each function takes one pair of words for each key, parameters and an `Arithmetic`. What needs more than one operation's
rounding is computed in float32, for float16 and bfloat16 too, and converted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unikeras.random import _polynomials

Pairs = Sequence[tuple[Any, Any]]
_ROOT_OF_2 = 1.4142135381698608  # of float32
_TINY = 1.1754943508222875e-38  # the smallest normal float32


def word(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return the random words themselves, as int32."""
    return a.signed(_word(pairs[0]))


def first_word(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return the first word of each pair, as int32."""
    return a.signed(pairs[0][0])


def second_word(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return the second word of each pair, as int32."""
    return a.signed(pairs[0][1])


def less_than(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return whether the upper 23 bits are a number less than the parameter."""
    return a.shift(_word(pairs[0]), 9) < params[0]


def uniform32(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return float32 from `params[0]` on, `params[1]` wide, of 23 random bits."""
    return _between(_unit(pairs, a), params, a)


def uniform16(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `uniform32`, of the 10 random bits that float16 has."""
    return _between(_unit_of_ten(pairs, a), params, a)


def uniform8(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `uniform32`, of the 7 random bits that bfloat16 has."""
    return _between(_unit_of_seven(pairs, a), params, a)


def uniform64(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `uniform32`, in float64, of 52 random bits."""
    return _between(_unit_of_fifty_two(pairs, a), params, a)


def normal32(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return normal numbers of the distribution's part from `params[0]` on, `params[1]` wide, at most `params[2]`.

    Their standard deviation is `params[3]`, their mean `params[4]`.
    """
    return _normal(_unit(pairs, a), params, a)


def normal16(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `normal32`, of the 10 random bits that float16 has."""
    return _normal(_unit_of_ten(pairs, a), params, a)


def normal8(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `normal32`, of the 7 random bits that bfloat16 has."""
    return _normal(_unit_of_seven(pairs, a), params, a)


def normal64(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `normal32`, in float64, of 52 random bits."""
    u = _between(_unit_of_fifty_two(pairs, a), params, a)
    z = _polynomials.erfinv64(u, a) * 1.4142135623730951
    return a.rounded(_within(z, params[2], a) * params[3]) + params[4]


def gumbel32(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return numbers of the standard Gumbel distribution."""
    return -_polynomials.log(-_polynomials.log(a.maximum(_unit(pairs, a), _TINY), a), a)


def log_unit32(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return logarithms of numbers that are uniform between 0 and 1."""
    return _polynomials.log(a.maximum(_unit(pairs, a), _TINY), a)


def offset32(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """Return int32 from 0 to less than `params[0]`, of two words; from 2**31 on, they are negative."""
    high, low = (a.wide(_word(pair)) for pair in pairs)
    span, multiplier = (a.number(param, high) for param in params)
    high, low = a.remainder(high, span), a.remainder(low, span)
    return a.to_int32(a.remainder(a.low(high * multiplier + low), span))


def offset64(pairs: Pairs, params: Sequence[Any], a: Any) -> Any:
    """As `offset32`, of words of 64 bits, as int64; `params` are upper halves, then lower ones."""
    high, low = (a.join(*pair) for pair in pairs)
    halves = [a.number(param, high) for param in params]
    span, multiplier = (halves[i] * 2**32 + halves[i + 2] for i in range(2))
    high, low = a.remainder(high, span), a.remainder(low, span)
    return a.to_int64(a.remainder(high * multiplier + low, span))


UNIFORM: dict[str, Callable[..., Any]] = {
    "float16": uniform16,
    "bfloat16": uniform8,
    "float32": uniform32,
    "float64": uniform64,
}
NORMAL: dict[str, Callable[..., Any]] = {
    "float16": normal16,
    "bfloat16": normal8,
    "float32": normal32,
    "float64": normal64,
}


def _word(pair: tuple[Any, Any]) -> Any:
    return pair[0] ^ pair[1]


def _unit(pairs: Pairs, a: Any) -> Any:
    return a.cast(a.shift(_word(pairs[0]), 9), "float32") * 2.0**-23


def _unit_of_ten(pairs: Pairs, a: Any) -> Any:
    return a.cast(a.shift(_word(pairs[0]), 6) & 0x3FF, "float32") * 2.0**-10


def _unit_of_seven(pairs: Pairs, a: Any) -> Any:
    return a.cast(a.shift(_word(pairs[0]), 1) & 0x7F, "float32") * 2.0**-7


def _unit_of_fifty_two(pairs: Pairs, a: Any) -> Any:
    high, low = pairs[0]
    upper = (
        a.cast(a.shift(high, 1), "float64") * 2.0**-31
    )  # without the last bit, which int32 has no place for
    last = a.cast(a.signed(high) & 1, "float64") * 2.0**-32
    return upper + last + a.cast(a.shift(low, 12), "float64") * 2.0**-52


def _between(unit: Any, params: Sequence[Any], a: Any) -> Any:
    return a.maximum(a.rounded(unit * params[1]) + params[0], params[0])


def _within(z: Any, limit: Any, a: Any) -> Any:
    return a.maximum(a.minimum(z, limit), -limit)


def _normal(unit: Any, params: Sequence[Any], a: Any) -> Any:
    z = a.rounded(_polynomials.erfinv(_between(unit, params, a), a) * _ROOT_OF_2)
    return a.rounded(_within(z, params[2], a) * params[3]) + params[4]
