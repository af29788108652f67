"""OC019: the weights of a mixture are in one unit."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures
from compiler.rules.base import Rule
from ocspec.refinement import exact_share

LEAST = Fraction(1, 1000)


def find(draft: Draft) -> Iterator[UserError]:
    """Parts of less than a thousandth of their mixture."""
    for name, mixture in mixtures(draft).items():
        total = mixture.total
        for part in mixture.parts:
            share = exact_share(part.weight) / total
            if share < LEAST:
                yield draft.error(
                    part,
                    f"{part.dataset!r} is {float(share * 100):.2g} % of stage {name!r}: weight"
                    f" {float(part.weight):g} of {float(total):g}",
                    "give all weights in one unit, tokens or per cent, or take the part out",
                )


RULE = Rule(
    "OC019",
    "units",
    "0.91 for 91 %, beside weights in per cent, makes a part vanish without an error.",
    find,
    severity="warning",
    teach="""\
A weight may be a share, a percentage or billions of tokens, as long as all of one mixture are the same. Of mixed
units one part is a hundred times too small, and training on the rest looks entirely healthy. The smallest part of
OpenCoder's pretraining mixture is 3 of 960 billion tokens, 0.3 % (arXiv 2411.04905, table 2); a part of less than 0.1
% is either a slip or too little to measure. marin #4547 tells of the opposite slip: a fixed total of tokens per arm
does not fix the exposure to mathematics.
""",
)
