"""How sure an accuracy is that was measured on few images."""

from __future__ import annotations

from statistics import NormalDist

CONFIDENCE = 0.95


def wilson(right: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval of a share.

    Unlike the share plus and minus its standard error, it stays between 0 and 1 and does not collapse where
    all images are right.

    Args:
        right: how many are right.
        total: of how many, at least 1.
        confidence: the probability with which such an interval holds the share of all images there could be.

    Returns:
        (lower end, upper end), from 0 to 1.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), pp. 209 to 212.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = right / total, z * z / total
    center = (share + weight / 2) / (1 + weight)
    half = z * (share * (1 - share) / total + weight / (4 * total)) ** 0.5 / (1 + weight)
    # Rounding alone could leave the range.
    return max(0.0, center - half), min(1.0, center + half)
