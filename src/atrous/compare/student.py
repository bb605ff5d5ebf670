"""Student's t distribution, for degrees of freedom that need not be whole.

Tails through the regularised incomplete beta function, by its continued fraction (Press et al.,
Numerical Recipes, 3rd ed. 2007, Sections 6.4 and 6.14.3); quantiles by bisection of the tail.
"""

import itertools
import math

__all__ = ["quantile", "two_sided"]

TINY = 1e-300
CLOSE = 1e-14
MOST_TERMS = 10_000


def two_sided(t: float, freedom: float) -> float:
    """Return how likely a value at least as far from 0 as `t` is.

    Example:
        >>> round(two_sided(12.706, 1), 4), round(two_sided(1.96, 1e9), 4)
        (0.05, 0.05)
    """
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(level: float, freedom: float) -> float:
    """Return the t beyond which, on both sides, `level` (in (0, 1)) of the distribution lies.

    Example:
        >>> round(quantile(0.05, 2), 3)
        4.303
    """
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > level:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided(middle, freedom) > level else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), for x in [0, 1]."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of I_x(a, b), by Lentz's method."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in itertools.islice(itertools.count(1), MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < CLOSE:
            break
    return value


def _away(value: float) -> float:
    """Keep a denominator from 0."""
    return value if abs(value) > TINY else TINY
