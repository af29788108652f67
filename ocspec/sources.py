"""Sources: where documents come from, and how their columns map to ours.

A source names data; it does not read it. Paths are relative to the spec file, may hold `*`, and `~` and
`${NAME}` for what differs between machines.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from ocspec.base import DOC, EXECUTION, Bytes, ChangeClass, Spec, Tokens, Unit

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
FormerName = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$", max_length=80)]
AKA = "The name that it had first: identities and what is written keep it; empty: it was never renamed."


class Columns(Spec):
    """Names of a table's columns; an empty name means that the table has no such column."""

    content: str = Field(default="content", min_length=1, description="The text of a document.")
    doc_id: str = Field(default="", description="A unique id; without one it is made from repository and path.")
    repo: str = Field(default="repo", description="The repository, or the domain of a web page.")
    path: str = Field(default="path", description="The path inside the repository; its ending tells the language.")
    language: str = Field(default="", description="The language, where it is known already.")
    stars: str = Field(default="", description="Stars of the repository: who survives deduplication.")
    commit_time: str = Field(default="", description="Latest commit in seconds since 1970: breaks ties of stars.")


class Declared(Spec):
    """What is known of a source that cannot be seen from here, such as one on a cluster's file system.

    A source with a declaration may be absent when the spec is compiled; it must be there when the plan is
    submitted.
    """

    documents: int | None = Field(default=None, ge=0, description="Number of documents.")
    bytes: Bytes | None = Field(default=None, ge=0, description="Bytes of text.")
    tokens: Tokens | None = Field(default=None, ge=0, description="Tokens under the experiment's tokenizer.")
    revision: str = Field(default="", description="Version, date or hash that identifies the content.")


class Generator(Spec):
    """What wrote a synthetic source. Its text is known by its own digest: this is a record, and changes nothing."""

    change_class: ClassVar[ChangeClass] = "doc"

    model: str = Field(min_length=1, description="The model, as its makers call it; `unknown` where nobody says.")
    revision: str = Field(default="", description="Version, date or commit of the model.")
    recipe: str = Field(default="", description="The prompt or the way of making, or where it is written down.")
    seed_data: str = Field(default="", description="What the model was given to start from.")
    temperature: float | None = Field(default=None, ge=0, description="Sampling temperature, where it is known.")
    licence: str = Field(default="", description="Terms under which the text may be used.")

    @property
    def key(self) -> str:
        """A source has one generator."""
        return "generator"


class Source(Spec):
    """Base of all sources."""

    abstract: ClassVar[bool] = True

    name: Name = Field(description="What the source is called in plans and reports.")
    aka: FormerName = Field(default="", description=AKA)
    declared: Declared | None = Field(default=None, description="Sizes of a source that cannot be seen from here.")
    generator: Annotated[Generator | None, DOC] = Field(
        default=None, description="What wrote the text, where no person did; shown in the report."
    )
    note: Annotated[str, DOC] = Field(default="", description="Free text; it changes nothing.")


class Parquet(Source):
    """Parquet files: one row, one document."""

    path: Annotated[str, EXECUTION] = Field(min_length=1, description="Files, with `*`, `~` and `${NAME}`.")
    columns: Columns = Field(default=Columns(), description="How the table's columns are called.")


class JsonLines(Source):
    """JSON Lines, also compressed (.gz): one line, one document."""

    path: Annotated[str, EXECUTION] = Field(min_length=1, description="Files, with `*`, `~` and `${NAME}`.")
    columns: Columns = Field(default=Columns(), description="How the table's columns are called.")


class Directory(Source):
    """A directory whose first level are repositories and whose files are documents."""

    path: Annotated[str, EXECUTION] = Field(min_length=1, description="The directory.")


class Package(Spec):
    """One wheel on the package index, pinned by version and SHA-256."""

    name: Name = Field(description="Name on the package index.")
    version: str = Field(min_length=1, description="Exact version.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the wheel.")

    @property
    def key(self) -> str:
        """Name and version: several versions of one package may stand side by side."""
        return f"{self.name}@{self.version}"


class PyPI(Source):
    """Python packages, fetched with pip and only unpacked, never built. Each version is a repository."""

    packages: tuple[Package, ...] = Field(min_length=1, description="The wheels, each pinned.")

    @field_validator("packages")
    @classmethod
    def _distinct(cls, packages: tuple[Package, ...]) -> tuple[Package, ...]:
        keys = [package.key for package in packages]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}; fix: list each version once")
        return packages


class FastText(Spec):
    """A linear classifier of text by the mean of its words' and word n-grams' vectors (Joulin et al. 2016).

    OpenCoder's paper states none of these numbers: they are fastText's own defaults, but for pairs of words,
    which its tutorial on classification advises.
    """

    dim: int = Field(default=100, ge=1, description="Length of a vector; not stated in the paper.")
    epochs: int = Field(default=5, ge=1, description="Passes over the examples; not stated in the paper.")
    learning_rate: float = Field(default=0.1, gt=0, description="Falls linearly to 0; not stated in the paper.")
    word_ngrams: int = Field(default=2, ge=1, description="Longest run of words that counts; not stated in the paper.")
    min_count: int = Field(default=1, ge=1, description="Rarer words are left out; not stated in the paper.")
    buckets: int = Field(default=2_000_000, ge=1, description="Word n-grams are hashed to; not stated in the paper.")


class WebRecall(Source):
    """Code-related pages recalled from a crawl by the iterative fastText loop (OpenCoder 2.2).

    `pages` holds (url, text) rows. `seed` holds pages that are code-related, and with a column `label` also
    some that are not. A domain (a host, without `www.`) counts as code-related when more than `domain_share`
    of its pages are recalled; its pages that match a URL pattern but were not recalled join the seed.
    """

    pages: Annotated[str, EXECUTION] = Field(min_length=1, description="Parquet files with the columns url, text.")
    seed: Annotated[str, EXECUTION] = Field(
        min_length=1, description="Parquet files with the column text, and if known url and label (true: code-related)."
    )
    iterations: int = Field(default=3, ge=1, description="Rounds of train, recall, find domains, grow the seed.")
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Pages of at least this score are recalled; not stated in the paper."
    )
    domain_share: float = Field(
        default=0.10, gt=0, lt=1, description="A domain is code-related above this share of recalled pages."
    )
    url_patterns: tuple[str, ...] = Field(
        default=(),
        description="URLs known to be code-related, `%` for anything: pages that match join the seed.",
    )
    classifier: FastText = Field(default=FastText(), description="How the classifier is trained.")
    vocab_size: int = Field(
        default=50_000, ge=257, description="Of the BPE that cuts text into words; not stated in the paper."
    )
    sample_pages: Annotated[int, Unit("pages")] = Field(
        default=500_000,
        ge=1,
        description="About so many pages of the crawl are negatives, and at most so many seeds positives; the paper's"
        " seed has 500,000.",
    )
    page_bytes: Bytes = Field(
        default=8192, ge=1, description="The classifier reads the first bytes of a page; not stated in the paper."
    )
    held_out_share: float = Field(
        default=0.1, ge=0, lt=1, description="Part of the seed on which precision and recall are measured."
    )
    random_seed: int = Field(default=0, ge=0, description="Chooses negatives and what is held out.")


class Instructions(Source):
    """Instruction pairs in Parquet or JSON Lines."""

    path: Annotated[str, EXECUTION] = Field(min_length=1, description="Files, with `*`, `~` and `${NAME}`.")
    format: Literal["parquet", "jsonl"] = Field(default="parquet", description="How the files are written.")
    instruction: str = Field(default="instruction", min_length=1, description="Column of the instruction.")
    output: str = Field(default="output", min_length=1, description="Column of the answer.")


class FunctionPairs(Source):
    """Instruction pairs made from a data set's own functions: signature and docstring -> body.

    A stand-in for synthetic instruction data where no large model is at hand: it says what it is.
    """

    dataset: Name = Field(description="The data set whose functions are taken.")
    languages: tuple[str, ...] = Field(default=("python",), min_length=1, description="Languages to take from.")
    min_docstring_chars: Annotated[int, Unit("characters")] = Field(
        default=10, ge=1, description="Functions with a shorter docstring are left out."
    )
