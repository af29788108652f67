"""How deep the tags of an HTML text nest, known before it is parsed.

The HTML grammar restores the list of open tags for every token, so that its time is the sum of the depths at all
tokens, quadratic in tags that are never closed: an hour for 3 MB of `<a>`. The parser's steps do not show it.
Not a parser of HTML: scripts and comments are not told apart, which adds little to a sum of this size.
"""

from __future__ import annotations

import re
from collections import Counter

MAX_DEPTHS = 100_000_000
"""The sum of the depths that is parsed: a second or so of the scanner. A page of 3 MB, 30 deep, has 10 million."""

_TAG = re.compile(rb"<(/?)([a-z][\w:-]*)|/>", re.IGNORECASE)
_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())
_BLOCKS = (
    b"address article aside blockquote details div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    b"header hr main nav ol p pre section"
)
# Elements whose end tag may be left out, and the tags that end them (WHATWG HTML, section 13.1.2.4).
_ENDED_BY = {
    name: frozenset(by.split())
    for names, by in (
        (b"p", _BLOCKS),
        (b"li", b"li"),
        (b"dt dd", b"dt dd"),
        (b"tr", b"tr"),
        (b"td th", b"td th tr"),
        (b"optgroup", b"optgroup"),
        (b"rb rt rp", b"rb rt rp"),
    )
    for name in names.split()
}


def too_deep(source: bytes, limit: int = MAX_DEPTHS) -> bool:
    """Whether the depths at all tags of `source` add up to more than `limit`.

    >>> too_deep(b"<p>" * 1000, 1000), too_deep(b"<b>" * 1000, 1000), too_deep(b"<b></b>" * 1000, 1000)
    (False, True, False)
    """
    if source.count(b"<") ** 2 <= 2 * limit:  # cannot be
        return False
    open_tags: list[bytes] = []
    counts: Counter[bytes] = Counter()
    depths = 0
    for match in _TAG.finditer(source):
        closes, name = match[1], (match[2] or b"").lower()
        if closes or not name:
            _close(open_tags, counts, name)
        else:
            while open_tags and (open_tags[-1] in _VOID or name in _ENDED_BY.get(open_tags[-1], ())):
                counts[open_tags.pop()] -= 1
            open_tags.append(name)
            counts[name] += 1
        depths += len(open_tags)
        if depths > limit:
            return True
    return False


def _close(open_tags: list[bytes], counts: Counter[bytes], name: bytes) -> None:
    """Take off the tags down to the one that is closed, if it is open; without a name, the last."""
    while open_tags and (not name or counts[name]):
        last = open_tags.pop()
        counts[last] -= 1
        if last == name or not name:
            return
