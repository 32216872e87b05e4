"""Adjusted mutual information, from counts instead of from pixels.

AMI = (MI - E[MI]) / (mean(H(classes), H(clusters)) - E[MI]), where E[MI] is what two labellings with these sizes share
by chance (Vinh, Epps and Bailey 2010, arithmetic mean). It needs no matching: 1 for the same segmentation with other
names, 0 for chance. scikit-learn's function takes one entry for each pixel and sums one term for each possible count,
which takes too long for the thousand million pixels of a data set.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stego_cli.scoring.confusion import Counts

Sizes = NDArray[np.float64]

# The sum over a hypergeometric distribution ends at this many deviations: the rest is lost in a float64's rounding.
_DEVIATIONS = 12.0
# Above this mean the expectation's expansion in 1/mean is used. Its error falls with the third power of the mean.
_LARGE_MEAN = 3000.0


def adjusted_mutual_information(counts: Counts) -> float:
    """Return the adjusted mutual information of two labellings, at most 1; NaN without any pixel.

    Args:
        counts: int64 (n, K), number of pixels in each class and cluster.
    """
    table = counts[counts.any(axis=1)][:, counts.any(axis=0)].astype(np.float64)
    total = float(table.sum())
    if not total:
        return math.nan
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if len(rows) == len(columns) == 1:
        return 1.0  # one segment on either side: the same segmentation
    shared = table[table > 0]
    expected_if_apart = np.outer(rows, columns)[table > 0] / total
    information = float((shared / total * np.log(shared / expected_if_apart)).sum())
    chance = _expected_information(rows, columns, total)
    bound = 0.5 * (_entropy(rows, total) + _entropy(columns, total)) - chance
    # The bound is 0 where every pixel is its own segment, on both sides: the same segmentation.
    return (information - chance) / bound if abs(bound) > 1e-15 else 1.0


def _entropy(sizes: Sizes, total: float) -> float:
    share = sizes / total
    return float(-(share * np.log(share)).sum())


def _expected_information(rows: Sizes, columns: Sizes, total: float) -> float:
    """Return E[MI] in nats over all tables with these margins: a sum of E[x log(x total / (a b))] / total."""
    return math.fsum(expected_term(a, b, total) for a in rows.tolist() for b in columns.tolist()) / total


def expected_term(a: float, b: float, total: float, large_mean: float = _LARGE_MEAN) -> float:
    """Return E[x log(x / mean)] for x hypergeometric: `a` drawn of `total`, `b` of which are special.

    Beyond `large_mean` it is computed by the expansion in 1/mean.
    """
    mean = a * b / total
    if total - a < 1 or total - b < 1:
        return 0.0  # x is the mean, always
    variance = mean * (total - a) / total * (total - b) / (total - 1)
    if mean > large_mean:
        return _expanded(a, b, total, mean, variance)
    from scipy.special import gammaln

    reach = _DEVIATIONS * math.sqrt(variance) + _DEVIATIONS**2 / 3  # the second part is for the Poisson-like tail
    low = max(1.0, a + b - total, math.floor(mean - reach))
    high = min(a, b, math.ceil(mean + reach))
    x = np.arange(low, high + 1)
    fixed = gammaln(a + 1) + gammaln(b + 1) + gammaln(total - a + 1) + gammaln(total - b + 1) - gammaln(total + 1)
    logs = fixed - gammaln(x + 1) - gammaln(a - x + 1) - gammaln(b - x + 1) - gammaln(total - a - b + x + 1)
    return float((np.exp(logs) * x * np.log(x / mean)).sum())


def _expanded(a: float, b: float, total: float, mean: float, variance: float) -> float:
    """Return the same by moments: x log(x/m) = d + d^2/2m - d^3/6m^2 + d^4/12m^3 - ..., d = x - m."""
    third = variance * (total - 2 * a) / (total - 2) * (total - 2 * b) / total if total > 2 else 0.0
    fourth = 3 * variance**2  # as for a normal distribution; the rest is smaller by another 1/mean
    return variance / (2 * mean) - third / (6 * mean**2) + fourth / (12 * mean**3)
