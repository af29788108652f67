"""Refinement: the steps that turn the documents of a source into training data.

Each step says what it removes; the order is the order in which a data set lists them. No step touches data
here.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ocspec.base import Bytes, Spec, Tokens, Unit, distinct_identities
from ocspec.testsets import TestSet

MB = 1_000_000
GB = 1_000_000_000


class Step(Spec):
    """Base of all refinement steps."""

    abstract: ClassVar[bool] = True


class Admit(Step):
    """Let in files by size and language (OpenCoder 2.1: 8 MB, extensions known to Linguist)."""

    max_bytes: Bytes = Field(default=8 * MB, gt=0, description="Larger files are dropped.")
    languages: tuple[str, ...] = Field(default=(), description="Empty: every known language.")
    doc_types: tuple[Literal["code", "data", "text"], ...] = Field(
        default=("code", "data", "text"), min_length=1, description="Kinds of file let in."
    )


class MinHash(Spec):
    """MinHash-LSH over n-grams, by bands and rows or by a threshold: `bands * rows` permutations in all.

    Two items begin to collide near the similarity (1/bands)^(1/rows). Where `threshold` is given instead, the
    compiler chooses bands and rows for it, at most `permutations` in all; plan and report show what it chose.
    OpenCoder 2.1: 5-grams, 2048 permutations, 16 bands of 128 rows, a threshold near J = 0.979; the unit is not said.
    """

    bands: int | None = Field(
        default=None, ge=1, description="Groups of rows; sharing one whole band makes a candidate. Unsaid: 16."
    )
    rows: int | None = Field(default=None, ge=1, description="Hash functions in a band. Unsaid: 128.")
    threshold: float | None = Field(
        default=None, gt=0, lt=1, description="Jaccard similarity to tell apart, in place of bands and rows."
    )
    permutations: int | None = Field(
        default=None, ge=2, le=4096, description="With a threshold: most hash functions in a signature. Unsaid: 256."
    )
    ngram: int = Field(default=5, ge=1, description="Words or characters in a shingle.")
    unit: Literal["word", "character"] = Field(default="word", description="What n-grams are made of.")
    seed: int = Field(default=1, ge=0, description="Chooses the hash functions.")

    @model_validator(mode="after")
    def _one_way(self) -> MinHash:
        given = [f"{name}={value}" for name, value in (("bands", self.bands), ("rows", self.rows)) if value is not None]
        if self.threshold is not None and given:
            what = f"threshold={self.threshold} chooses bands and rows, but {' and '.join(given)} is given too"
            raise ValueError(f"{what}; fix: give either a threshold or bands and rows")
        if self.threshold is None and self.permutations is not None:
            what = f"permutations={self.permutations} without a threshold"
            raise ValueError(f"{what}; fix: give threshold=... too, or bands and rows, whose product it is")
        return self


class Deduplicate(Step):
    """Keep one of each cluster of equal or similar items: most stars, then latest commit, then lowest id.

    At `repository` granularity a repository is one item, and the verdict applies to all its files. At `chunk`
    granularity a document is cut into runs of lines and keeps the chunks that survive. Steps may follow one another,
    each on what the one before kept; a step by chunk comes last.
    """

    granularity: Literal["file", "repository", "chunk"] = Field(default="file", description="What one item is.")
    exact: bool = Field(default=True, description="Items with the same SHA-256 are one cluster.")
    near: MinHash | None = Field(default=MinHash(), description="Similar items too; None: only equal ones.")
    chunk_tokens: Tokens = Field(default=4096, gt=0, description="By chunk: most tokens of a chunk, which are words.")

    @model_validator(mode="after")
    def _something(self) -> Deduplicate:
        if not self.exact and self.near is None:
            raise ValueError("neither exact nor near; fix: set exact=True or near=MinHash(...)")
        return self


class Redact(Step):
    """Remove copyright notices from opening comments, personal data everywhere (OpenCoder 2.1)."""

    copyright: bool = Field(default=True, description="Remove copyright notices; the file stays.")
    pii: bool = Field(default=True, description="Replace passwords, e-mail and IP addresses by placeholders.")


class Rule(Spec):
    """One quality rule: drop a document when `signal` `comparison` `threshold` is true, or when `where` is.

    `where` is a SQL expression over signals and the columns language, doc_type, repo, path, stars and bytes, such
    as "frac_chars_comments > 0.8 AND num_lines < 20". A signal without a value is NULL, and NULL never drops.
    """

    name: str = Field(min_length=1, description="Named beside every document that the rule drops.")
    signal: str = Field(default="", description="The quality signal that is looked at.")
    comparison: Literal["<", ">", "=="] | None = Field(
        default=None, description="When the signal stands so to the threshold, drop."
    )
    threshold: float | None = Field(default=None, description="In the signal's own unit.")
    where: str = Field(default="", description="A condition in SQL, in place of signal, comparison and threshold.")
    languages: tuple[str, ...] = Field(default=(), description="Languages that it judges; empty: all.")
    doc_types: tuple[Literal["code", "data", "text"], ...] = Field(
        default=("code",), min_length=1, description="Kinds of file that it judges."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Rule:
        comparison = (self.signal or None, self.comparison, self.threshold)
        if self.where and any(part is not None for part in comparison):
            raise ValueError("both `where` and a signal; fix: give `where` alone, or signal, comparison and threshold")
        if not self.where and None in comparison:
            raise ValueError("neither `where` nor a whole comparison; fix: give signal, comparison and threshold")
        return self


class Filter(Step):
    """Quality rules; one hit drops the document (OpenCoder A.1). Empty `rules` means the catalogue's own."""

    catalogue: Literal["opencoder", "none"] = Field(default="opencoder", description="The rules that come along.")
    rules: tuple[Rule, ...] = Field(default=(), description="Rules of one's own, beside the catalogue's.")
    seed: int = Field(default=0, description="Chooses the documents that rules with a probability drop.")


class Downsample(Step):
    """Keep at most so many bytes per language, at random but seeded (OpenCoder 2.1: Java and HTML)."""

    caps: dict[str, Bytes] = Field(min_length=1, description="Most bytes of a language; others are left alone.")
    seed: int = Field(default=0, description="Chooses the documents that stay.")

    @field_validator("caps")
    @classmethod
    def _positive(cls, caps: dict[str, int]) -> dict[str, int]:
        for language, cap in caps.items():
            if cap < 0:
                raise ValueError(f"{language} has a cap of {cap} bytes; fix: give 0 or more")
        return caps


class SelectKeywords(Step):
    """Keep documents that hold one of the keywords, in any case (OpenCoder 3: the algorithmic corpus)."""

    keywords: tuple[str, ...] = Field(min_length=1, description="One of them is enough.")


class Decontaminate(Step):
    """Drop documents that define a benchmark's function or share an n-gram with an item (OpenCoder 4.4).

    Words are runs of letters, digits and underscores in lower case; of Chinese and Japanese, each character. An item
    of fewer words than `ngram` is looked for as a whole. Some words come up in any text or program and are no
    evidence: n-grams and names that several items share, n-grams of numbers, and `stop_phrases`.
    """

    benchmarks: tuple[TestSet, ...] = Field(min_length=1, description="Test sets that are looked for.")
    ngram: Annotated[int, Unit("words")] = Field(default=10, ge=1, description="Words in a row that are too many.")
    entry_points: Literal["defined", "mentioned", "ignored"] = Field(
        default="defined",
        description="defined: a document that defines a function of an item's name is dropped; mentioned: one in"
        " which the name is a word.",
    )
    entry_point_parts: int = Field(
        default=2, ge=1, description="Least parts of a name that is looked for: `sort` has 1, `sort_array` 2."
    )
    template_items: int = Field(
        default=3, ge=0, description="What so many items of a test set share is a template, no evidence; 0: nothing is."
    )
    stop_phrases: tuple[str, ...] = Field(
        default=(), description="An n-gram that holds one of them, or lies within one, is no evidence."
    )
    numbers: bool = Field(default=False, description="Whether n-grams without a letter are evidence.")

    @field_validator("benchmarks")
    @classmethod
    def _distinct(cls, benchmarks: tuple[TestSet, ...]) -> tuple[TestSet, ...]:
        names = [benchmark.name for benchmark in benchmarks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}; fix: give each name=... of its own")
        return distinct_identities(benchmarks)

    @field_validator("template_items")
    @classmethod
    def _not_every(cls, template_items: int) -> int:
        if template_items == 1:
            raise ValueError("every n-gram stands in one item; fix: 2 or more, or 0 for no templates")
        return template_items

    @field_validator("stop_phrases")
    @classmethod
    def _words(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in phrases:
            if not any(character.isalnum() for character in phrase):
                raise ValueError(f"the phrase {phrase!r} has no word; fix: write words")
        return phrases


@lru_cache(maxsize=4096, typed=True)
def exact_share(value: float | int | str | Fraction) -> Fraction:
    """A weight as an exact fraction, read as it was written.

    >>> exact_share(0.1)
    Fraction(1, 10)
    """
    return Fraction(str(value)) if isinstance(value, float) else Fraction(value)
