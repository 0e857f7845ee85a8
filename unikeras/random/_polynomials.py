"""A logarithm and an inverse error function that give the same bits on every backend.

The backends' own differ, erfinv by up to 232,000 units in the last place near 1. Here are sums, products, quotients and
roots, which IEEE 754 rounds correctly; `rounded` keeps compilers from merging an operation with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# log: Sun's fdlibm, e_logf.c. Relative error below 1 unit in the last place.
_LOG = (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)
_LN2_HIGH, _LN2_LOW = 6.9313812256e-01, 9.0580006145e-06
_ROOT_OF_HALF = 0x3F3504F3  # the bits of sqrt(0.5)

# erfinv: Giles, Approximating the erfinv function, GPU Computing Gems 2 (2011), the constants that XLA has too.
_NEAR = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503),
    *(-0.00417768164, 0.246640727, 1.50140941),
)
_FAR = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613),
    *(0.00943887047, 1.00167406, 2.83297682),
)
_NEAR64 = (
    *(-3.6444120640178196996e-21, -1.685059138182016589e-19, 1.2858480715256400167e-18),
    *(1.115787767802518096e-17, -1.333171662854620906e-16, 2.0972767875968561637e-17),
    *(6.6376381343583238325e-15, -4.0545662729752068639e-14, -8.1519341976054721522e-14),
    *(2.6335093153082322977e-12, -1.2975133253453532498e-11, -5.4154120542946279317e-11),
    *(1.051212273321532285e-09, -4.1126339803469836976e-09, -2.9070369957882005086e-08),
    *(4.2347877827932403518e-07, -1.3654692000834678645e-06, -1.3882523362786468719e-05),
    *(0.0001867342080340571352, -0.00074070253416626697512, -0.0060336708714301490533),
    *(0.24015818242558961693, 1.6536545626831027356),
)
_MIDDLE64 = (
    *(2.2137376921775787049e-09, 9.0756561938885390979e-08, -2.7517406297064545428e-07),
    *(1.8239629214389227755e-08, 1.5027403968909827627e-06, -4.013867526981545969e-06),
    *(2.9234449089955446044e-06, 1.2475304481671778723e-05, -4.7318229009055733981e-05),
    *(6.8284851459573175448e-05, 2.4031110387097893999e-05, -0.0003550375203628474796),
    *(0.00095328937973738049703, -0.0016882755560235047313, 0.0024914420961078508066),
    *(-0.0037512085075692412107, 0.005370914553590063617, 1.0052589676941592334, 3.0838856104922207635),
)
_FAR64 = (
    *(-2.7109920616438573243e-11, -2.5556418169965252055e-10, 1.5076572693500548083e-09),
    *(-3.7894654401267369937e-09, 7.6157012080783393804e-09, -1.4960026627149240478e-08),
    *(2.9147953450901080826e-08, -6.7711997758452339498e-08, 2.2900482228026654717e-07),
    *(-9.9298272942317002539e-07, 4.5260625972231537039e-06, -1.9681778105531670567e-05),
    *(7.5995277030017761139e-05, -0.00021503011930044477347, -0.00013871931833623122026),
    *(1.0103004648645343977, 4.8499064014085844221),
)


def log(x: Any, a: Any) -> Any:
    """Compute the natural logarithm.

    Args:
        x: float32 of any shape; positive, finite and not subnormal.
        a: an `Arithmetic`.

    Returns:
        float32, within 1 unit in the last place.
    """
    bits = a.as_int(x) - _ROOT_OF_HALF
    exponent = a.cast(a.shift_signed(bits, 23), "float32")
    fraction = a.as_float((bits & 0x7FFFFF) + _ROOT_OF_HALF) - 1.0
    s = fraction / (fraction + 2.0)
    z = a.rounded(s * s)
    w = a.rounded(z * z)
    odd = a.rounded(z * (a.rounded(w * _LOG[2]) + _LOG[0]))
    even = a.rounded(w * (a.rounded(w * _LOG[3]) + _LOG[1]))
    half = a.rounded(a.rounded(fraction * 0.5) * fraction)
    product = a.rounded(s * a.rounded(half + a.rounded(odd + even)))
    small = a.rounded(product + a.rounded(exponent * _LN2_LOW))
    return a.rounded(exponent * _LN2_HIGH) + a.rounded(a.rounded(small - half) + fraction)


def erfinv(x: Any, a: Any) -> Any:
    """Compute the inverse of the error function.

    Args:
        x: float32 of any shape, from -1 to 1 and neither.
        a: an `Arithmetic`.

    Returns:
        float32; the relative error is about 3 units in the last place.
    """
    w = -log(a.rounded((1.0 - x) * (x + 1.0)), a)
    near = w < 5.0
    t = a.where(near, w - 2.5, a.sqrt(a.maximum(w, 0.0)) - 3.0)
    p = a.where(near, _NEAR[0], _FAR[0])
    for one, other in zip(_NEAR[1:], _FAR[1:], strict=True):
        p = a.rounded(p * t) + a.where(near, one, other)
    return a.rounded(p * x)


def erfinv64(x: Any, a: Any) -> Any:
    """Compute the inverse of the error function in float64; its logarithm is the backend's own."""
    w = -a.log((1.0 - x) * (x + 1.0))
    root = a.sqrt(a.maximum(w, 0.0))
    far = a.where(w < 16.0, _horner(_MIDDLE64, root - 3.25), _horner(_FAR64, root - 5.0))
    return a.where(w < 6.25, _horner(_NEAR64, w - 3.125), far) * x


def _horner(coefficients: Sequence[float], t: Any) -> Any:
    result = t * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * t + coefficient
    return result
