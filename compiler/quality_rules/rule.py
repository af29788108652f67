"""One quality rule as plain data: which signal, compared how, drops a document."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from typing import Literal

import attrs

Comparison = Literal[">", "<", "=="]

_COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt, "==": operator.eq}


@attrs.frozen(kw_only=True)
class QualityRule:
    """Drop a document for which `signal comparison threshold` holds.

    `languages` empty means every language but `except_languages`; `natural_languages` (`en`, `zh`) empty means
    all. A signal without a value for a document
    (None: not applicable) never drops it. With a `probability` below 1 a document for which the comparison
    holds is dropped with that probability, decided by a hash of the rule's name, `seed` and the document's id:
    the same on every machine, in every order.

    >>> rule = QualityRule(name="short", signal="num_chars", comparison="<", threshold=50)
    >>> rule.fires(49.0), rule.fires(50.0), rule.fires(None)
    (True, False, False)
    >>> rule.applies("python", "code", "en"), rule.applies("json", "data", "en")
    (True, False)
    """

    name: str
    signal: str
    comparison: Comparison
    threshold: float = attrs.field(converter=float)
    languages: tuple[str, ...] = ()
    doc_types: tuple[str, ...] = ("code",)
    except_languages: tuple[str, ...] = ()
    natural_languages: tuple[str, ...] = ()
    probability: float = 1.0
    seed: int = 0

    def applies(self, language: str | None, doc_type: str, natural_language: str) -> bool:
        """Whether documents of these languages and this type are judged by this rule."""
        if self.natural_languages and natural_language not in self.natural_languages:
            return False
        if doc_type not in self.doc_types or language in self.except_languages:
            return False
        return not self.languages or language in self.languages

    def fires(self, value: float | None) -> bool:
        """Whether the comparison holds for this value of the signal."""
        return value is not None and _COMPARE[self.comparison](value, self.threshold)

    def chooses(self, doc_id: str) -> bool:
        """Whether the document is among the share `probability` of all documents that the rule may drop."""
        if self.probability >= 1:
            return True
        key = f"{self.name}\0{self.seed}\0{doc_id}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        return number < self.probability * 2**64

    def drops(self, value: float | None, doc_id: str) -> bool:
        """Whether the document with this id and this value of the signal is dropped."""
        return self.fires(value) and self.chooses(doc_id)


def rule(
    name: str,
    signal: str,
    comparison: Comparison,
    threshold: float,
    doc_types: tuple[str, ...] = ("code",),
    *,
    languages: tuple[str, ...] = (),
    except_languages: tuple[str, ...] = (),
    natural_languages: tuple[str, ...] = (),
    probability: float = 1.0,
) -> QualityRule:
    """One row of a table of rules."""
    return QualityRule(
        name=name,
        signal=signal,
        comparison=comparison,
        threshold=threshold,
        doc_types=doc_types,
        languages=languages,
        except_languages=except_languages,
        natural_languages=natural_languages,
        probability=probability,
    )
