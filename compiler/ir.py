"""The typed operators of a plan: what is to be done, as frozen attrs classes.

Not how it is done: the SQL is in `compiler.emit`, the code in `runtime`. Every operator has an `op_id`, an
`op_version` (raised by whoever changes the bytes that it writes) and declared outputs. A field is part of the
operator's identity unless it is marked `execution`. One that is given another name keeps the old one in fingerprints:
`renamed("old")`; so does the class of a part, by `canonical = "Old"`. Nothing here imports pydantic, so a node can
load a plan without the language.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

import attrs

from compiler.quality_rules import ExpressionRule, QualityRule
from compiler.trainjob import TrainJob

OutputKind = Literal["table", "files", "parts", "log"]
"""`parts` are a share of something that a later task puts together: they differ with the number of shards, follow
from the other outputs of the same task, and stand outside its digest, as a `log` does."""
Granularity = Literal["file", "repository", "chunk"]


def label() -> Any:
    """A name for people and paths that does not change what is written: it does not enter a fingerprint."""
    return attrs.field(metadata={"role": "doc"})


def execution(*, default: Any) -> Any:
    """A field that says how or where to run, never what: it does not enter a fingerprint."""
    return attrs.field(default=default, metadata={"role": "execution"})


def renamed(aka: str, *, default: Any = attrs.NOTHING) -> Any:
    """A semantic field that once was called `aka`: fingerprints know it by its oldest name, and stay what they were."""
    return attrs.field(default=default, metadata={"aka": aka})


class Operator:
    """Base of all operators; subclasses are registered by `operator`.

    `unordered` are the roles whose inputs may be given in any order: what is written does not depend on it.
    """

    op_id: ClassVar[str]
    op_version: ClassVar[int]
    outputs: ClassVar[dict[str, OutputKind]]
    unordered: ClassVar[frozenset[str]] = frozenset()


OPERATORS: dict[str, type[Operator]] = {}
_Op = TypeVar("_Op", bound=Operator)


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(attrs.field, execution, label, renamed)
)
def operator(
    op_id: str, version: int, *, unordered: tuple[str, ...] = (), **outputs: OutputKind
) -> Callable[[type[_Op]], type[_Op]]:
    """Class decorator: freeze the class, give it its identity and register it under `op_id`."""

    def decorate(cls: type[_Op]) -> type[_Op]:
        frozen = attrs.frozen(kw_only=True)(cls)
        frozen.op_id, frozen.op_version, frozen.outputs = op_id, version, outputs
        frozen.unordered = frozenset(unordered)
        assert op_id not in OPERATORS, f"two operators are called {op_id}"
        OPERATORS[op_id] = frozen
        return frozen

    return decorate


# ---------------------------------------------------------------- parts of operators


@attrs.frozen(kw_only=True)
class Columns:
    """How a table's columns map to the columns of a document; an empty name means that the table has none."""

    content: str = "content"
    doc_id: str = ""
    repo: str = "repo"
    path: str = "path"
    language: str = ""
    stars: str = ""
    commit_time: str = ""


@attrs.frozen(kw_only=True)
class Reader:
    """Where documents are read from. `documents` means the output of an upstream task, given as input `fetched`.

    `digest` identifies the content of files that lie outside the store; where they lie is execution.
    """

    source: str
    format: Literal["documents", "parquet", "jsonl", "directory"]
    columns: Columns = Columns()
    digest: str = ""
    location: str = execution(default="")


@attrs.frozen(kw_only=True)
class PyPIPackage:
    """One wheel, pinned."""

    name: str
    version: str
    sha256: str


@attrs.frozen(kw_only=True)
class AdmitRule:
    """Size limit in bytes and the languages let in (empty: every language that is known)."""

    max_bytes: int
    languages: tuple[str, ...] = ()
    doc_types: tuple[str, ...] = ("code", "text", "data")


@attrs.frozen(kw_only=True)
class MinHashKey:
    """How band keys are made: n-grams of words or characters, bands x rows permutations. Steps refer to it by index."""

    granularity: Granularity
    bands: int
    rows: int
    ngram: int = 5
    seed: int = 1
    unit: Literal["word", "character"] = "word"


@attrs.frozen(kw_only=True)
class FastText:
    """How a fastText classifier is trained."""

    dim: int
    epochs: int
    learning_rate: float
    word_ngrams: int
    min_count: int
    buckets: int


@attrs.frozen(kw_only=True)
class TestSet:
    """A benchmark's items, one a row: which fields name an item, are its text, and tell its function's name.

    `first` and `last` bound the number at the end of an item's name. `digest` identifies the content of the files;
    where they lie is execution.
    """

    __test__ = False  # for pytest, which would collect a class of this name

    name: str
    format: Literal["parquet", "jsonl"]
    item: str
    texts: tuple[str, ...]
    entry_point: str = ""
    defined_in: str = ""
    called_in: str = ""
    first: int | None = None
    last: int | None = None
    digest: str = ""
    location: str = execution(default="")


@attrs.frozen(kw_only=True)
class DatasetShare:
    """A data set's part of a mixture, as an exact share, and how often it may be repeated."""

    dataset: str
    share: Fraction
    max_epochs: Fraction = Fraction(1)


@attrs.frozen(kw_only=True)
class DrawPhase:
    """`instances` sequences of `sequence_length` tokens."""

    instances: int
    sequence_length: int


# ---------------------------------------------------------------- data


@operator("data.fetch_packages", version=1, documents="table", dropped="table")
class FetchPackages(Operator):
    """Download pinned wheels and unpack them into documents; a shard takes a run of packages."""

    source: str
    packages: tuple[PyPIPackage, ...]


@operator("data.sign", version=2, keys="table", signatures="parts", chunks="table", dropped="table")
class Sign(Operator):
    """First read of the content: admit, SHA-256, MinHash band keys. Writes keys and verdicts, no content.

    Where `chunk_tokens` is set, documents are cut into chunks of at most so many words, and `chunks` has their keys.
    """

    dataset: str = label()
    readers: tuple[Reader, ...]
    admit: AdmitRule | None = None
    near: tuple[MinHashKey, ...] = ()
    hold_out: tuple[str, ...] = ()
    chunk_tokens: int = 0


@operator("data.drop_twins", version=2, unordered=("held",), kept="table", dropped="table")
class DropTwins(Operator):
    """Training documents that share their SHA-256 or a band key with a held-out document, in DuckDB."""

    step: str
    key: int | None
    bands: int = 0
    threshold: float | None = None


@operator("data.merge_signatures", version=2, keys="table")
class MergeSignatures(Operator):
    """Per-shard signatures of repositories -> one signature each -> band keys; `index` is the key's in Sign."""

    key: MinHashKey | None
    index: int | None


@operator("data.edges", version=2, edges="table")
class Edges(Operator):
    """Pairs that share an exact hash or a band key, in DuckDB; a shard takes some bands, or parts of a band."""

    granularity: Granularity
    exact: bool
    key: int | None
    bands: int = 0


@operator("data.cluster", version=2, kept="table", dropped="table")
class Cluster(Operator):
    """Connected components over the edges, then one survivor each: most stars, latest commit, lowest id.

    By chunk, a kept document has in `parts` the bytes that are left of it: start and stop of one chunk after the other.
    """

    step: str
    granularity: Granularity
    threshold: float | None = None


@operator("data.refine", version=2, documents="table", dropped="table")
class Refine(Operator):
    """Second read of the content: survivors only; redact, signals, rules. Writes the clean text once.

    `expressions` judge the documents that all `rules` keep.
    """

    dataset: str = label()
    readers: tuple[Reader, ...]
    redact_copyright: bool = False
    redact_pii: bool = False
    rules: tuple[QualityRule, ...] = ()
    expressions: tuple[ExpressionRule, ...] = ()


@operator("data.downsample", version=2, selection="table", dropped="table")
class Downsample(Operator):
    """Keep at most so many bytes of a language, chosen by a seeded hash of the document id."""

    step: str
    caps: tuple[tuple[str, int], ...]
    seed: int = 0


@operator("data.select", version=2, selection="table", dropped="table")
class Select(Operator):
    """Documents whose text holds one of the keywords (any case)."""

    step: str
    keywords: tuple[str, ...]


@operator(
    "data.decontaminate",
    version=1,
    selection="table",
    dropped="table",
    hits="table",
    items="table",
    templates="table",
)
class Decontaminate(Operator):
    """Drop documents that share an n-gram or an entry point with an item of a benchmark."""

    step: str
    benchmarks: tuple[TestSet, ...]
    ngram: int
    entry_points: Literal["defined", "mentioned", "ignored"] = "defined"
    entry_point_parts: int = 2
    template_items: int = 3
    stop_phrases: tuple[str, ...] = ()
    numbers: bool = False


@operator("data.sample_web", version=1, sample="table")
class SampleWeb(Operator):
    """About `pages` pages of a crawl, chosen by a seeded hash of their URL; text cut to `page_bytes`."""

    readers: tuple[Reader, ...]
    pages: int
    page_bytes: int
    seed: int = 0


@operator("data.segment_web", version=1, segmenter="files", seed="table", negatives="table")
class SegmentWeb(Operator):
    """Learn a BPE on seed and sample and cut both into words; the sample less the seed are the negatives."""

    readers: tuple[Reader, ...]
    vocab_size: int
    page_bytes: int
    held_out: Fraction
    seed: int = 0


@operator("data.train_web", version=1, model="files", quality="table")
class TrainWeb(Operator):
    """fastText on the seed, what joined it, and negatives; measured on the held-out part of the seed."""

    classifier: FastText
    threshold: float
    pages: int
    seed: int = 0
    model_mb: int = execution(default=0)


@operator("data.score_web", version=1, scores="table", candidates="table")
class ScoreWeb(Operator):
    """The score of every page, and the words of those that match a URL pattern and are below the threshold."""

    readers: tuple[Reader, ...]
    page_bytes: int
    threshold: float
    url_patterns: tuple[str, ...] = ()
    model_mb: int = execution(default=0)


@operator("data.expand_web", version=1, domains="table", joined="table", rounds="table")
class ExpandWeb(Operator):
    """Code-related domains by their share of recalled pages; candidates in them join the seed. In DuckDB."""

    iteration: int
    threshold: float
    domain_share: Fraction


@operator("data.settle_web", version=1, verdicts="table", domains="table", rounds="table")
class SettleWeb(Operator):
    """After the last round: which pages stay and why the others do not, in DuckDB."""

    source: str
    threshold: float


@operator("data.recall_web", version=1, documents="table", dropped="table")
class RecallWeb(Operator):
    """The pages of a crawl that stay, as documents: repository = domain, path = the URL after its host."""

    readers: tuple[Reader, ...]
    threshold: float


# ---------------------------------------------------------------- text to tokens


@operator("text.train_bpe", version=1, tokenizer="files")
class TrainBPE(Operator):
    """Byte-level BPE on a sample of the mix, `sample_bytes` in all, apportioned by share."""

    vocab_size: int
    special_tokens: tuple[str, ...]
    shares: tuple[DatasetShare, ...]
    sample_bytes: int
    seed: int = 0


@operator("text.import_tokenizer", version=1, tokenizer="files")
class ImportTokenizer(Operator):
    """A tokenizer.json made elsewhere, checked for its vocabulary size."""

    vocab_size: int
    digest: str = ""
    location: str = execution(default="")


@operator("text.encode", version=1, tokens="table")
class Encode(Operator):
    """Documents for training (held-out ones left out) -> token ids, one row each."""

    dataset: str = label()


@operator("text.pack", version=1, tokens="files")
class Pack(Operator):
    """All rows of a data set in an order given by a seeded hash of the id, as Megatron .bin/.idx."""

    dataset: str = label()
    seed: int = 0


@operator("text.held_out", version=1, unordered=("documents",), held_out="files")
class HeldOutText(Operator):
    """Held-out documents as a stage measures itself on them: token files, and each document's language and bytes.

    Of each language a seeded sample up to `max_bytes` bytes; 0: all.
    """

    max_bytes: int = 0
    seed: int = 0


@operator("instruct.make_pairs", version=1, pairs="table")
class MakePairs(Operator):
    """Instruction pairs out of source code: signature and docstring -> body."""

    dataset: str = label()
    languages: tuple[str, ...]
    min_docstring_chars: int = 10


@operator("instruct.read_pairs", version=1, pairs="table")
class ReadPairs(Operator):
    """Instruction pairs from Parquet or JSON Lines with the columns instruction and output.

    `dataset` is what the ids of pairs begin with.
    """

    dataset: str
    format: Literal["parquet", "jsonl"]
    instruction: str = "instruction"
    output: str = "output"
    digest: str = ""
    location: str = execution(default="")


@operator(
    "instruct.decontaminate",
    version=1,
    pairs="table",
    dropped="table",
    hits="table",
    items="table",
    templates="table",
)
class DecontaminatePairs(Operator):
    """Drop pairs that share an n-gram or an entry point with an item of a benchmark."""

    benchmarks: tuple[TestSet, ...]
    ngram: int
    entry_points: Literal["defined", "mentioned", "ignored"] = "defined"
    entry_point_parts: int = 2
    template_items: int = 3
    stop_phrases: tuple[str, ...] = ()
    numbers: bool = False


@operator("instruct.encode", version=1, tokens="files")
class EncodePairs(Operator):
    """Pairs -> Megatron samples and the position at which each answer starts."""

    dataset: str = label()
    max_length: int
    max_samples: int = 0
    seed: int = 0


@operator("mix.draw", version=1, blend="files")
class Draw(Operator):
    """A weighted draw of sequences to an exact token budget."""

    stage: str = label()
    shares: tuple[DatasetShare, ...]
    phases: tuple[DrawPhase, ...]
    seed: int = 0


@operator("mix.draw_samples", version=1, blend="files")
class DrawSamples(Operator):
    """Every fine-tuning sample once per epoch, in a seeded order, cut to `steps` full batches."""

    stage: str = label()
    datasets: tuple[str, ...]
    epochs: int
    global_batch: int
    sequence_length: int
    steps: int
    seed: int = 0


# ---------------------------------------------------------------- text of a rehearsal (`ocspec compile --smoke`)


@operator("smoke.tokenizer", version=1, tokenizer="files")
class SmokeTokenizer(Operator):
    """A byte-level BPE of made-up code, as small as a rehearsal's model."""

    vocab_size: int
    special_tokens: tuple[str, ...]


@operator("smoke.data", version=1, tokens="files")
class SmokeData(Operator):
    """Made-up code as Megatron .bin/.idx: documents of `num_tokens` tokens or more in all, or `num_samples` pairs.

    Pairs, each cut to `max_length` tokens, have the position at which the answer starts beside them.
    """

    dataset: str
    num_tokens: int = 0
    num_samples: int = 0
    max_length: int = 0


# ---------------------------------------------------------------- training and evaluation


@operator("train.torch", version=2, checkpoint="files", state="files", metrics="files", log="log")
class TrainTorch(Operator):
    """One stage of training on plain torch."""

    job: TrainJob


@operator("train.nemo", version=1, checkpoint="files", state="files", metrics="files", log="log")
class TrainNeMo(Operator):
    """One stage of training on NeMo."""

    job: TrainJob


@operator("train.megatron", version=1, checkpoint="files", state="files", metrics="files", log="log")
class TrainMegatron(Operator):
    """One stage of training on Megatron-core."""

    job: TrainJob


TrainOp = TrainTorch | TrainNeMo | TrainMegatron


@operator("eval.bits_per_byte", version=1, unordered=("documents",), bits="table", result="files")
class BitsPerByte(Operator):
    """Bits per UTF-8 byte of held-out documents under a checkpoint."""

    stage: str = label()
    languages: tuple[str, ...] = ()
    max_bytes: int = 0
    seed: int = 0


@operator("eval.ngram", version=1, unordered=("documents",), bits="table", result="files")
class NGram(Operator):
    """The yardstick: a byte n-gram model trained on the very tokens that a stage and those before it saw."""

    stage: str = label()
    order: int = 5
    languages: tuple[str, ...] = ()
    max_bytes: int = 0
    seed: int = 0


@operator("eval.benchmark", version=1, result="files")
class Benchmark(Operator):
    """A generation benchmark such as HumanEval.

    `settings` are those that differ from what the benchmark declares; `defaults` are the others, so that who runs it
    knows them all. Names and values in JSON.
    """

    stage: str = label()
    benchmark: str
    settings: tuple[tuple[str, str], ...]
    defaults: tuple[tuple[str, str], ...] = attrs.field(default=(), metadata={"role": "doc"})
