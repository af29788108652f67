"""OC018: weights that look like percentages or shares sum to 100 or to 1."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures
from compiler.rules.base import Rule

WHOLES = (100, 1)
NEAR = Fraction(5, 100)
EXACT = Fraction(1, 10**9)
"""Weights may be sums of floats: 12.44 + 2.71 + 0.91 is not 16.06 to the last bit."""


def find(draft: Draft) -> Iterator[UserError]:
    """Weights whose sum is within 5 % of 100 or of 1, and is neither."""
    for name, mixture in mixtures(draft).items():
        total = mixture.total
        whole = next((whole for whole in WHOLES if EXACT < abs(total / whole - 1) <= NEAR), None)
        if whole is not None and len(mixture.parts) > 1:
            off = float(total - whole)
            yield draft.error(
                mixture,
                f"the weights of stage {name!r} sum to {float(total):g}, {abs(off):.3g} {'more' if off > 0 else 'less'}"
                f" than {whole}",
                f"correct the weight that is wrong; weights are relative, so all shares are off by"
                f" {abs(off) / whole * 100:.2g} %",
            )


RULE = Rule(
    "OC018",
    "sums",
    "A sum near 100 that is not 100 is a weight that was changed, or copied wrongly.",
    find,
    severity="warning",
    teach="""\
Weights are relative and nothing has to sum to anything, which is why a slip goes through. The first version of the
OpenCoder paper gives 84.21 B tokens of RefineCode for annealing, a sum of 100.27; later versions print 83.94, which
makes it 100.00 (arXiv 2411.04905, table 3). OLMo-core's mixture config refuses ratios that do not sum to 1. Here a
sum that is near 100 or 1 and is neither draws a warning; billions of tokens, such as RefineCode's 960, are left
alone.
""",
)
