"""Bands and rows of a MinHash: as the spec gives them, or chosen for a threshold; and the curve that follows.

It chooses as `datasketch.MinHashLSH(threshold, num_perm)` does with its default weights, half each: of all bands and
rows with bands * rows <= permutations, those that minimise

    1/2 * integral from 0 to t of P(s) ds  +  1/2 * integral from t to 1 of (1 - P(s)) ds,

the chances to take a pair below the threshold t for similar and to miss one above it, where
P(s) = 1 - (1 - s^rows)^bands and similarities are taken to be uniform. Plain Python, since a compiler needs no SciPy:
Gauss-Legendre quadrature, whose nodes crowd at the ends, which is where P is steep.
"""

from __future__ import annotations

import math
from functools import cache

import attrs

from ocspec.refinement import MinHash

DEFAULT_BANDS, DEFAULT_ROWS = 16, 128  # OpenCoder 2.1
DEFAULT_PERMUTATIONS = 256
_NODES = 96


@attrs.frozen
class Banding:
    """Bands and rows, which together say what collides.

    >>> chosen = Banding(16, 128)
    >>> chosen.permutations, round(chosen.threshold, 3), round(chosen.collision(0.97), 3)
    (2048, 0.979, 0.279)
    """

    bands: int
    rows: int

    @property
    def permutations(self) -> int:
        """Hash functions in a signature."""
        return self.bands * self.rows

    @property
    def threshold(self) -> float:
        """Jaccard similarity near which two items begin to share a band: (1 / bands)^(1 / rows)."""
        return float((1 / self.bands) ** (1 / self.rows))

    def collision(self, jaccard: float) -> float:
        """Probability that two items of that similarity share a band: 1 - (1 - J^rows)^bands."""
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


def banding(near: MinHash) -> Banding:
    """The bands and rows that a MinHash stands for.

    >>> banding(MinHash(threshold=0.85)), banding(MinHash(rows=64))
    (Banding(bands=13, rows=19), Banding(bands=16, rows=64))
    """
    if near.threshold is not None:
        return optimal(near.threshold, near.permutations or DEFAULT_PERMUTATIONS)
    return Banding(near.bands or DEFAULT_BANDS, near.rows or DEFAULT_ROWS)


@cache
def optimal(threshold: float, permutations: int) -> Banding:
    """The bands and rows of least error for a threshold in 0 .. 1; of equally good ones those of fewest bands."""
    nodes, weights = _gauss_legendre(_NODES)
    below = [threshold * (1 + x) / 2 for x in nodes]
    above = [threshold + (1 - threshold) * (1 + x) / 2 for x in nodes]
    points = below + above
    # The error is half of t + the integral of Q above - the integral of Q below, with Q = 1 - P; t is the same for all.
    signed = [-threshold * w / 2 for w in weights] + [(1 - threshold) * w / 2 for w in weights]
    best = (math.inf, 0, 0)
    for rows in range(1, permutations + 1):
        missed = [1 - s**rows for s in points]
        terms = signed
        for bands in range(1, permutations // rows + 1):
            terms = [term * miss for term, miss in zip(terms, missed, strict=True)]
            best = min(best, (sum(terms), bands, rows))
    return Banding(best[1], best[2])


def _gauss_legendre(count: int) -> tuple[list[float], list[float]]:
    """Nodes and weights on -1 .. 1 for an even number of nodes: roots of a Legendre polynomial, by Newton's method.

    >>> nodes, weights = _gauss_legendre(4)
    >>> round(sum(w * x**6 for x, w in zip(nodes, weights)), 12) == round(2 / 7, 12)
    True
    """
    nodes, weights = [], []
    for number in range(count):
        x = math.cos(math.pi * (number + 0.75) / (count + 0.5))
        for _ in range(100):
            value, slope = _legendre(count, x)
            step = value / slope
            x -= step
            if abs(step) < 1e-15:
                break
        _, slope = _legendre(count, x)
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * slope * slope))
    return nodes, weights


def _legendre(degree: int, x: float) -> tuple[float, float]:
    """The Legendre polynomial of that degree at x, and its slope there."""
    before, value = 1.0, x
    for n in range(2, degree + 1):
        before, value = value, ((2 * n - 1) * x * value - (n - 1) * before) / n
    return value, degree * (x * value - before) / (x * x - 1)
