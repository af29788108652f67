"""Take copyright notices and personal data out of a document, leaving the document.

Not a guarantee: it takes out what has a recognisable form, and lets odd ones pass rather than damage code.
docs/how-to/redaction.md says what goes and what stays, and gives precision and recall as measured. The
placeholders are in the style of OpenCoder (arXiv 2411.04905, section 2.1: `<name>`, `<password>`), whose own
patterns were never published.

`notices` finds what goes from the head; `credentials` and `personal` find what a placeholder replaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs

from runtime.data import credentials, personal
from runtime.data.detectors import Span
from runtime.data.notices import notices

KINDS = ("copyright", "email", "ip_address", "key", "name", "password")


@attrs.frozen
class Redacted:
    """A cleaned text, and how many pieces of each kind that occurred were taken out."""

    text: str
    counts: dict[str, int]


# Taking out a notice can turn what follows into the head of the file; real files take three rounds.
_MAX_ROUNDS = 10


def redact(text: str, language: str | None, *, copyright: bool = True, pii: bool = True) -> Redacted:
    r"""Remove head comments that state copyright or licence; replace personal data by placeholders.

    Applying it again changes nothing.

    >>> redact("# Copyright 2020 Jo\n\nmail = 'jo@site.org'\n", "python")
    Redacted(text="mail = '<email>'\n", counts={'copyright': 1, 'email': 1})
    """
    counts: Counter[str] = Counter()
    for _ in range(_MAX_ROUNDS):
        # Notices first and until none is left: that reads the head alone, and the rest then mostly once.
        spans = find(text, language, pii=False) if copyright else []
        if pii and not spans:
            spans = find(text, language, copyright=False)
        if not spans:
            break
        counts.update(span.kind for span in spans)
        text = _replaced(text, spans)
    return Redacted(text, dict(counts))


def find(text: str, language: str | None, *, copyright: bool = True, pii: bool = True) -> list[Span]:
    r"""What one round of `redact` takes out, sorted and disjoint; kind is one of KINDS.

    >>> find("x = 'jo@site.org'\n", "python")
    [Span(kind='email', start=5, end=16)]
    """
    found: list[Span] = []
    if copyright:
        found += (Span("copyright", start, end) for start, end in notices(text, language))
    if pii:
        found += _personal_data(text, language)
    return _disjoint(found) if len(found) > 1 else found


def _personal_data(text: str, language: str | None) -> Iterator[Span]:
    """The finds of all detectors, the surest first; they may overlap."""
    lower = text.lower()
    for detector in (*credentials.DETECTORS, *personal.DETECTORS):
        yield from detector.find(text, lower)
    if language in credentials.SETTINGS_LANGUAGES:
        for detector in credentials.SETTINGS:
            yield from detector.find(text, lower)


def _disjoint(found: list[Span]) -> list[Span]:
    """Without those that overlap one that came before, by place."""
    order = sorted(range(len(found)), key=lambda index: (found[index].start, found[index].end))
    kept: list[int] = []
    for index in order:
        while kept and found[index].start < found[kept[-1]].end and index < kept[-1]:
            kept.pop()
        if not kept or found[index].start >= found[kept[-1]].end:
            kept.append(index)
    return [found[index] for index in kept]


def _replaced(text: str, spans: list[Span]) -> str:
    """The text with a placeholder for each span; a notice leaves none."""
    pieces: list[str] = []
    position = 0
    for span in spans:
        pieces += (text[position : span.start], "" if span.kind == "copyright" else f"<{span.kind}>")
        position = span.end
    return "".join((*pieces, text[position:]))
