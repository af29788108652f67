"""OC029: a MinHash catches what it is meant to catch."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.banding import Banding, banding
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.refinement import Deduplicate, MinHash

NEAR_EXACT = 0.95
OFF = 0.05


def find(draft: Draft) -> Iterator[UserError]:
    """Bands and rows that are written down and catch near copies only, or the reverse of a known pair; misfits."""
    seen: set[MinHash] = set()
    for dataset in draft.experiment.data:
        for step in dataset.steps:
            near = step.near if isinstance(step, Deduplicate) else None
            if near is None or near in seen:
                continue
            seen.add(near)
            chosen = banding(near)
            if near.threshold is not None:
                if abs(chosen.threshold - near.threshold) > OFF:
                    yield _misfit(draft, near, chosen)
            elif (near.bands is not None or near.rows is not None) and chosen.threshold > NEAR_EXACT:
                yield _near_exact(draft, near, chosen)


def _near_exact(draft: Draft, near: MinHash, chosen: Banding) -> UserError:
    swapped = Banding(chosen.rows, chosen.bands)
    return draft.error(
        near,
        f"{chosen.bands} bands of {chosen.rows} rows collide near J = {chosen.threshold:.3f}: of pairs at J = 0.9"
        f" {chosen.collision(0.9):.1%} are found, at 0.97 {chosen.collision(0.97):.0%}",
        f"if near-exact copies are meant, leave it; {swapped.bands} bands of {swapped.rows} rows would be"
        f" J = {swapped.threshold:.3f}, and threshold=0.85 chooses for you",
    )


def _misfit(draft: Draft, near: MinHash, chosen: Banding) -> UserError:
    return draft.error(
        near,
        f"{chosen.permutations} permutations are too few for J = {near.threshold:g}: {chosen.bands} bands of"
        f" {chosen.rows} rows collide near J = {chosen.threshold:.3f}",
        "raise permutations",
    )


RULE = Rule(
    "OC029",
    "collisions",
    "16 bands of 128 rows and 128 bands of 16 rows read alike and are J = 0.979 and J = 0.738.",
    find,
    severity="warning",
    teach="""\
Two items become candidates when one whole band of their signatures agrees: with probability 1 - (1 - J^rows)^bands,
which turns upward near J = (1/bands)^(1/rows). OpenCoder's 16 bands of 128 rows (arXiv 2411.04905, section 2.1) turn
at 0.979: of pairs that are 0.95 similar 2 % are found, of 0.9 none, which fits the further 6 % of files that the
paper removes beyond exact copies. The two numbers swapped would turn at 0.738, and no code was released to tell which
was run. A reader who wants "near duplicates at 0.85" and copies the paper's numbers gets exact deduplication at the
price of 2,048 permutations. Write `threshold=` to have bands and rows chosen for a similarity.
""",
)
