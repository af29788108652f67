"""Refinement: the steps that turn the documents of a source into training data.

Each step says what it removes; the order is the order in which a data set lists them. No step touches data
here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ocspec.base import Bytes, Spec, Tokens

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
    """MinHash-LSH over n-grams of words, with `bands * rows` permutations.

    Two documents begin to collide near the threshold (1/bands)^(1/rows).
    OpenCoder 2.1: 5-grams, 2048 permutations, 16 bands of 128 rows, a threshold near J = 0.979.
    """

    bands: int = Field(default=16, ge=1, description="Groups of rows; sharing one whole band makes a candidate.")
    rows: int = Field(default=128, ge=1, description="Hash functions in a band.")
    ngram: int = Field(default=5, ge=1, description="Words in a shingle.")
    seed: int = Field(default=1, ge=0, description="Chooses the hash functions.")

    @property
    def permutations(self) -> int:
        """Hash functions in a signature."""
        return self.bands * self.rows

    @property
    def threshold(self) -> float:
        """Jaccard similarity near which two documents begin to share a band.

        >>> round(MinHash(bands=16, rows=128).threshold, 3)
        0.979
        """
        return float((1 / self.bands) ** (1 / self.rows))


class Deduplicate(Step):
    """Keep one of each cluster of equal or similar items: most stars, then latest commit, then lowest id.

    At `repository` granularity a repository is one item, and the verdict applies to all its files.
    """

    granularity: Literal["file", "repository", "chunk"] = Field(default="file", description="What one item is.")
    exact: bool = Field(default=True, description="Items with the same SHA-256 are one cluster.")
    near: MinHash | None = Field(default=MinHash(), description="Similar items too; None: only equal ones.")
    chunk_tokens: Tokens = Field(default=4096, gt=0, description="Length of a chunk in tokens.")

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
    """One quality rule: drop a document when `signal` `comparison` `threshold` is true."""

    name: str = Field(min_length=1, description="Named beside every document that the rule drops.")
    signal: str = Field(min_length=1, description="The quality signal that is looked at.")
    comparison: Literal["<", ">", "=="] = Field(description="When the signal stands so to the threshold, drop.")
    threshold: float = Field(description="In the signal's own unit.")
    languages: tuple[str, ...] = Field(default=(), description="Languages that it judges; empty: all.")
    doc_types: tuple[Literal["code", "data", "text"], ...] = Field(
        default=("code",), min_length=1, description="Kinds of file that it judges."
    )


class Filter(Step):
    """Quality rules; one hit drops the document (OpenCoder A.1). Empty `rules` means the catalogue's own."""

    catalogue: Literal["opencoder", "none"] = Field(default="opencoder", description="The rules that come along.")
    rules: tuple[Rule, ...] = Field(default=(), description="Rules of one's own, beside the catalogue's.")


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
    """Drop documents that hold a benchmark's entry point or share an n-gram with it (OpenCoder 4.3)."""

    benchmarks: tuple[str, ...] = Field(min_length=1, description="Benchmarks whose test sets are looked for.")
    ngram: int = Field(default=10, ge=1, description="Words of an overlap that is too long.")


def exact_share(value: float | int | str | Fraction) -> Fraction:
    """A weight as an exact fraction, read as it was written.

    >>> exact_share(0.1)
    Fraction(1, 10)
    """
    return Fraction(str(value)) if isinstance(value, float) else Fraction(value)
