"""What is evidence of an item, and what is not: n-grams and names, without those that come up anywhere.

An n-gram of a test set is none if `template_items` of its items or more hold it, if it has no letter, or if it holds a
stop phrase or lies within one. A function's name is none if so many items have it or if it has too few parts. Test sets
are judged apart: adding one takes nothing from another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs

from compiler import ir
from compiler.errors import UserError
from runtime.data.contamination.functions import parts
from runtime.data.contamination.items import Item
from runtime.data.contamination.words import words

Kind = Literal["ngram", "entry_point"]
Policy = ir.Decontaminate | ir.DecontaminatePairs
_LETTER = re.compile(r"[^\W\d_]")


@attrs.frozen(kw_only=True)
class Excused:
    """A phrase or name that is no evidence: `reason` is template, numbers, stop_phrase or short_name."""

    benchmark: str
    kind: Kind
    phrase: str
    items: int
    reason: str


@attrs.frozen(kw_only=True)
class Evidence:
    """Which items (as indices into `items`) a phrase, its words parted by blanks, or a name is evidence of.

    `ngrams` says how many n-grams each item has, `counted` how many of them are evidence.
    """

    items: tuple[Item, ...]
    phrases: Mapping[str, tuple[int, ...]]
    names: Mapping[str, tuple[int, ...]]
    excused: tuple[Excused, ...]
    ngrams: tuple[int, ...]
    counted: tuple[int, ...]

    def is_looked_for(self, item: int) -> bool:
        """Whether anything is evidence of an item."""
        return self.counted[item] > 0 or item in self.names.get(self.items[item].entry_point, ())


def gather_evidence(items: Iterable[Item], policy: Policy) -> Evidence:
    """The evidence of items; those of one test set stand together.

    Raises UserError where nothing is left of a test set: its rows are one item in several guises.
    """
    items = tuple(items)
    of_phrase: dict[str, list[int]] = {}
    ngrams = []
    for index, item in enumerate(items):
        own = item_ngrams(item, policy.ngram)
        ngrams.append(len(own))
        for phrase in own:
            of_phrase.setdefault(phrase, []).append(index)
    of_name: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        if item.entry_point and policy.entry_points != "ignored":
            of_name.setdefault(item.entry_point, []).append(index)
    stops = [f" {' '.join(words(phrase))} " for phrase in policy.stop_phrases]
    reasons = {phrase: _reason(phrase, stops, policy.numbers) for phrase in of_phrase}
    phrases, excused = _sift(items, of_phrase, reasons, "ngram", policy.template_items)
    short = {name: "short_name" for name in of_name if len(parts(name)) < policy.entry_point_parts}
    names, more = _sift(items, of_name, short, "entry_point", policy.template_items)
    counted = Counter(index for indices in phrases.values() for index in indices)
    evidence = Evidence(
        items=items,
        phrases=phrases,
        names=names,
        excused=tuple(sorted([*excused, *more], key=lambda one: (one.benchmark, one.kind, -one.items, one.phrase))),
        ngrams=tuple(ngrams),
        counted=tuple(counted[index] for index in range(len(items))),
    )
    _refuse_nothing(evidence)
    return evidence


def item_ngrams(item: Item, ngram: int) -> set[str]:
    """The n-grams of an item's texts; of a text with fewer words, all of them as one.

    >>> sorted(item_ngrams(Item(benchmark="b", name="1", texts=("a b, c", "One two")), 3))
    ['a b c', 'one two']
    """
    found: set[str] = set()
    for text in item.texts:
        cut = words(text)
        starts = range(max(len(cut) - ngram, 0) + 1) if cut else ()
        found.update(" ".join(cut[start : start + ngram]) for start in starts)
    return found


def _reason(phrase: str, stops: Sequence[str], numbers: bool) -> str:
    """Why a phrase is no evidence whoever holds it; "" for none."""
    if not numbers and not _LETTER.search(phrase):
        return "numbers"
    padded = f" {phrase} "
    return "stop_phrase" if any(stop in padded or padded in stop for stop in stops) else ""


def _sift(
    items: Sequence[Item],
    holders: Mapping[str, Sequence[int]],
    reasons: Mapping[str, str],
    kind: Kind,
    template_items: int,
) -> tuple[dict[str, tuple[int, ...]], list[Excused]]:
    """What is evidence, with the items it is evidence of, and what is not."""
    kept: dict[str, tuple[int, ...]] = {}
    excused = []
    for phrase, indices in holders.items():
        left: list[int] = []
        for benchmark, own in _by_benchmark(items, indices):
            reason = reasons.get(phrase) or ("template" if 0 < template_items <= len(own) else "")
            if reason:
                excused.append(Excused(benchmark=benchmark, kind=kind, phrase=phrase, items=len(own), reason=reason))
            else:
                left += own
        if left:
            kept[phrase] = tuple(left)
    return kept, excused


def _by_benchmark(items: Sequence[Item], indices: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = {}
    for index in indices:
        groups.setdefault(items[index].benchmark, []).append(index)
    return iter(groups.items())


def _refuse_nothing(evidence: Evidence) -> None:
    everything = Counter(item.benchmark for item in evidence.items)
    left = Counter(item.benchmark for index, item in enumerate(evidence.items) if evidence.is_looked_for(index))
    for benchmark in everything:
        if not left[benchmark]:
            raise UserError(
                f"nothing of test set {benchmark!r} is evidence: all words of its {everything[benchmark]} items are"
                " shared by too many of them, numbers or stop phrases",
                fix="give each language its own test set, raise template_items (0: no templates), or name other texts",
            )
