"""OC045: the rotary base is large enough for the context."""

from __future__ import annotations

import math
from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.model import Transformer

TURN = 0.25


def find(draft: Draft) -> Iterator[UserError]:
    """Models whose slowest pair of dimensions turns by more than a quarter within the context."""
    model = draft.experiment.model
    wavelength = slowest(model)
    if model.max_positions > TURN * wavelength:
        base = model.rope_theta
        while slowest(model.replace(rope_theta=base)) * TURN < model.max_positions:
            base *= 2
        yield draft.error(
            model,
            f"rope_theta {model.rope_theta:g} turns once in {wavelength:,.0f} positions at the most, and the context"
            f" has {model.max_positions:,}, {model.max_positions / wavelength:.2g} of a turn",
            f"raise rope_theta to {base:g} or more; Llama 3 and OpenCoder 8B have 500000 for 8192",
        )


def slowest(model: Transformer) -> float:
    """Positions in which the slowest pair of dimensions turns once: 2 pi theta^((d - 2) / d), d the width of a head.

    >>> from ocspec.model import Transformer
    >>> sizes = {"num_layers": 1, "intermediate_size": 8, "num_heads": 1, "num_kv_heads": 1, "max_positions": 8}
    >>> round(slowest(Transformer(hidden_size=128, **sizes)))
    54410
    """
    width = model.head_dim or model.hidden_size // model.num_heads
    return float(2 * math.pi * model.rope_theta ** (max(0, width - 2) / width))


RULE = Rule(
    "OC045",
    "rotary base",
    "Far positions that look like near ones are attended to like near ones.",
    find,
    severity="warning",
    teach="""\
Rotary embeddings turn pairs of dimensions by angles that grow with the position, the slowest once in about 2 pi
theta^((d-2)/d) positions (Su et al. 2021, arXiv 2104.09864, section 3). With theta 10,000 and heads of 128 that is
54,410: 8,192 positions are 0.15 of a turn, 32,768 are 0.6. A quarter, where the cosine is zero, is the bound here.
OpenCoder 1.5B keeps 10,000 for 4,096 positions, the 8B takes 500,000 for 8,192 (arXiv 2411.04905, table 4); Code
Llama raised theta to a million for 16,384 (arXiv 2308.12950, section 2.4). The value is baked in: another theta on
trained weights is another model.
""",
)
