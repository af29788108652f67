"""Searching texts for evidence: candidates come from the compiled scan, and each is compared word by word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pyarrow as pa

from runtime.data.contamination.evidence import Evidence, Kind, Policy
from runtime.data.contamination.functions import defines
from runtime.data.contamination.scan import PhraseScanner
from runtime.data.contamination.words import phrase_hashes, words


@attrs.frozen(kw_only=True)
class Hit:
    """What a text shares with an item (its index): the first such phrase or name, and at how many places any stands.

    `offset` is that of the first one's first byte in the text as UTF-8.
    """

    item: int
    kind: Kind
    matched: str
    offset: int
    places: int = 1


class Searcher:
    """Finds evidence in texts. Memory: the phrases of the test sets, and what one call finds."""

    def __init__(self, evidence: Evidence, policy: Policy) -> None:
        self._evidence = evidence
        self._anywhere = policy.entry_points == "mentioned"
        phrases = {phrase: tuple(phrase.split(" ")) for phrase in evidence.phrases}
        wanted = [*phrases.values(), *((word,) for name in evidence.names for word in words(name))]
        lengths = sorted({len(phrase) for phrase in wanted})
        self._scanner = PhraseScanner(lengths, phrase_hashes(wanted))

    def search(self, texts: pa.Array[Any]) -> dict[int, list[Hit]]:
        """The hits in each text that has any, by its index; of an item and kind one, entry points first."""
        found: dict[int, dict[tuple[Kind, int], Hit]] = {}
        document, data = -1, b""
        for index, start, stop in self._scanner.scan(texts).tolist():
            if index != document:
                document, data = index, str(texts[index]).encode()
            for hit in self._verified(data, start, stop):
                hits = found.setdefault(index, {})
                first = hits.get((hit.kind, hit.item))
                hits[hit.kind, hit.item] = attrs.evolve(first, places=first.places + 1) if first else hit
        return {index: [hits[key] for key in sorted(hits)] for index, hits in found.items()}

    def _verified(self, data: bytes, start: int, stop: int) -> Iterator[Hit]:
        """The items that a candidate is evidence of: its words are compared, not their hashes."""
        raw = data[start:stop].decode("utf-8", "replace")
        phrase = " ".join(words(raw))
        for item in self._evidence.phrases.get(phrase, ()):
            yield Hit(item=item, kind="ngram", matched=phrase, offset=start)
        holders = self._evidence.names.get(raw, ())
        if holders and (self._anywhere or defines(data, start, stop)):
            for item in holders:
                yield Hit(item=item, kind="entry_point", matched=raw, offset=start)
