"""What flows into and out of every task of a plan, as bounds, and the bytes that are read and written on the way.

Not what it costs: `estimate.py` makes times and memory of it. What a built artefact told goes before what is supposed.

Sizes of artefacts are from the miniature's manifests (2026-11-30) and from how their files are made: a row of keys has
32 bytes of hash and 8 for each band (151 were written for 16 bands), a row of verdicts 5 to 31 bytes, a token in a
table 0.9, text 1/4.2 of its bytes. Megatron's .bin has 2 or 4 bytes a token and its .idx 20 a document and 42 beside
them (runtime/data/indexed.py), a drawn sequence 16; both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from compiler import ir
from compiler.cost.calibration import PRIORS, Calibration, Known
from compiler.cost.flow import NO_FLOW, Flow, mean_text, together
from compiler.cost.interval import NOTHING, UNKNOWN, Interval, total
from compiler.cost.selectivity import judge
from compiler.cost.size import DOCUMENT_BOUNDS, source_bounds
from compiler.cost.tokens import bytes_a_token, tokens_of
from compiler.plan import Plan, SourceSummary, Task

VERDICT = Interval(4, 60)
EDGE = 16  # bytes at most of a pair of positions
TOKEN = Interval(0.7, 4)
TEXT = Interval(1 / 8, 1 / 3)
VOCABULARY_ENTRY = Interval(30, 120)
DRAWN = 16
SMALLEST_WIDE_VOCABULARY = 65_501  # Megatron writes uint16 below it, else int32
PAGE_ROW = 2_300  # bytes of a page without its text: taken for at most a URL of 2,048, its domain and numbers
WORDS = 7  # of a byte of text in a table of words: at most one token, in decimal, and the space after it
SMALL_TABLES = 100_000  # bytes at most of tables with a row for a round, and of what Parquet needs for a file
SCORED_ROW = 300  # of a document that was scored: its id, taken for at most 280 bytes of it, and numbers
LAST_DOCUMENT = 100_000  # bytes: a sample ends with the document that passes its limit, taken for no longer
SELECTIONS = ir.Downsample | ir.Select | ir.Decontaminate
Languages = frozenset[str] | None
WEB = ir.SampleWeb | ir.TrainWeb | ir.ScoreWeb | ir.ExpandWeb | ir.SettleWeb
MIB = 1 << 20
VERDICTS = ir.DropTwins | ir.Cluster | SELECTIONS
EVALUATIONS = ir.BitsPerByte | ir.NGram


@attrs.frozen(kw_only=True)
class Step:
    """One task's part: what goes in, what comes out, and the bytes of all that it is given."""

    into: Flow
    out: Flow
    bytes_read: Interval


def walk(plan: Plan, calibration: Calibration) -> dict[str, Step]:
    """Every task's step by its id, in the plan's order."""
    steps: dict[str, Step] = {}
    languages: dict[str, Languages] = {}
    sources = {source.name: source for source in plan.sources}
    vocab = vocabulary(plan)
    for task in plan.tasks:
        languages[task.id] = _languages(task, languages)
        ratio = bytes_a_token(vocab, languages[task.id] or (), calibration.bytes_per_token)
        steps[task.id] = _step(task, steps, sources, calibration, vocab, ratio)
    return steps


def _step(
    task: Task,
    steps: Mapping[str, Step],
    sources: Mapping[str, SourceSummary],
    calibration: Calibration,
    vocab: int,
    ratio: Interval,
) -> Step:
    by_role: dict[str, list[Flow]] = {}
    for item in task.inputs:
        by_role.setdefault(item.role, []).append(steps[item.task].out)
    read, stored = sources_read(task.op, by_role, sources, ratio)
    into = inflow(task.op, by_role, read)
    facts = calibration.known.get(task.fingerprint)
    if isinstance(task.op, EVALUATIONS):
        out = scored(task.op, into, calibration.samples.get(task.fingerprint)).known(facts)
    else:
        out = outflow(task.op, into, vocab, ratio, calibration).known(facts)
    if isinstance(task.op, VERDICTS) and (facts is None or facts.text_bytes is None):
        out = attrs.evolve(out, text=mean_text(out.documents, into))
    given = total(steps[name].out.written for name in task.upstream)
    return Step(into=into, out=out, bytes_read=given + stored)


def vocabulary(plan: Plan) -> int:
    """Ids of the tokenizer."""
    ops = (task.op for task in plan.tasks)
    return next((op.vocab_size for op in ops if isinstance(op, ir.TrainBPE | ir.ImportTokenizer)), 0)


def _languages(task: Task, before: Mapping[str, Languages]) -> Languages:
    """The languages that a task's documents may be in; None where all are let in, none where it has no documents."""
    if isinstance(task.op, ir.Sign):
        return frozenset(task.op.admit.languages) if task.op.admit and task.op.admit.languages else None
    if isinstance(task.op, ir.TrainBPE | ir.ImportTokenizer):
        return frozenset()
    found = [before[name] for name in task.upstream]
    named = [languages for languages in found if languages is not None]
    return frozenset().union(*named) if len(named) == len(found) else None


def sources_read(
    op: ir.Operator,
    by_role: Mapping[str, list[Flow]],
    sources: Mapping[str, SourceSummary],
    ratio: Interval = UNKNOWN,
) -> tuple[Flow, Interval]:
    """Documents that an operator reads from outside and from tasks that fetched them, and the bytes of the former.

    `ratio` is bytes of text for a token, for sources of which nothing but the tokens is declared.
    """
    found, stored = [NO_FLOW], NOTHING
    for reader in getattr(op, "readers", ()):
        summary = sources.get(reader.source)
        if reader.format == "documents":
            found += by_role.get(f"fetched:{reader.source}", [Flow()])
        elif summary is None:  # a plan of a version that noted no sources, or the seed of a crawl
            found, stored = [*found, Flow()], UNKNOWN
        else:
            found.append(_source(summary, ratio))
            stored = stored + (UNKNOWN if summary.stored_bytes is None else Interval.exact(summary.stored_bytes))
    return together(found), stored


def _source(summary: SourceSummary, ratio: Interval) -> Flow:
    documents, text = source_bounds(summary)
    if summary.tokens is None:
        return Flow(documents=documents, text=text)
    tokens = Interval.exact(summary.tokens)
    if not text.is_known and ratio.is_known:
        text = tokens * ratio
        documents = documents if documents.is_known else text / DOCUMENT_BOUNDS
    return Flow(documents=documents, text=text, tokens=tokens)


def inflow(op: ir.Operator, by_role: Mapping[str, list[Flow]], read: Flow) -> Flow:
    """What an operator works on: the last say about which documents are left goes before the documents themselves."""
    if isinstance(op, ir.TrainOp | ir.ImportTokenizer | ir.Draw | ir.DrawSamples):
        return NO_FLOW
    if isinstance(op, ir.FetchPackages | ir.ReadPairs):
        return Flow()
    if isinstance(op, ir.NGram):  # it scores documents, and counts what stages drew, not all that they drew from
        drawn = total(flow.tokens for role, flows in by_role.items() if role.startswith("blend") for flow in flows)
        return attrs.evolve(together(by_role.get("documents", [Flow()])), tokens=drawn)
    if "kept" in by_role:
        return together(by_role["kept"])
    if isinstance(op, ir.ExpandWeb | ir.SettleWeb):  # every page that was scored, in the last round where several are
        return by_role["score"][-1] if by_role.get("score") else Flow()
    if getattr(op, "readers", ()):
        return read
    for role in ("tokens", "pairs", "keys"):
        if role in by_role:
            return together(by_role[role])
    chosen = {role.partition(":")[2]: flows for role, flows in by_role.items() if role.startswith("documents")}
    chosen |= {role.partition(":")[2]: flows for role, flows in by_role.items() if role.startswith("selection")}
    several = [flow for role, flows in by_role.items() if role.startswith("tokens:") for flow in flows]
    flows = several or [flow for flows in chosen.values() for flow in flows]
    return together(flows) if flows else Flow()


def outflow(op: ir.Operator, into: Flow, vocab: int, ratio: Interval, past: Calibration = PRIORS) -> Flow:
    """What an operator makes of it, before anything of it was built; `ratio` is bytes of text for a token."""
    if isinstance(op, ir.FetchPackages) and past.package is not None:
        held, number = past.package, len(op.packages)
        text = held.text * number
        return Flow(documents=held.documents * number, text=text, written=text * TEXT)
    if isinstance(op, ir.Sign):
        bands = sum(key.bands for key in op.near)
        rows = into.documents * Interval.about(30 + 8 * bands, 2)
        return attrs.evolve(_judged(op, into, past), written=rows.or_more() if op.chunk_tokens else rows)
    if isinstance(op, VERDICTS):
        return attrs.evolve(into.survivors(), written=into.documents * VERDICT)
    if isinstance(op, ir.Edges):
        most = into.documents * (EDGE * (op.bands + op.exact))
        return attrs.evolve(into, written=most.or_less())
    if isinstance(op, ir.Refine | ir.RecallWeb):
        kept = _judged(op, into, past)
        return attrs.evolve(kept, written=kept.text * TEXT)
    if isinstance(op, WEB):
        return _of_pages(op, into)
    if isinstance(op, ir.DecontaminatePairs):
        return attrs.evolve(into.survivors(), written=UNKNOWN)
    if isinstance(op, ir.Encode):
        return _encoded(into, ratio)
    if isinstance(op, ir.Pack):
        width = 4 if vocab >= SMALLEST_WIDE_VOCABULARY else 2
        return attrs.evolve(into, written=into.tokens * width + into.documents * 20 + 42)
    return _trained_on(op)


def scored(op: EVALUATIONS, into: Flow, sample: Known | None = None) -> Flow:
    """What is measured on, and the small tables that come of it: a row for a document, a line for a language.

    `sample` is the very same, counted before. Else it is some of the documents, up to a limit of bytes that the last
    may pass, as many as there are in it at most.
    """
    limit = op.max_bytes or math.inf
    text = into.text.at_most(limit + LAST_DOCUMENT).or_less()
    chosen = Flow(documents=into.documents.at_most(limit).or_less(), text=text)
    chosen = attrs.evolve(chosen, tokens=NOTHING).known(sample)
    return attrs.evolve(chosen, written=(chosen.documents * SCORED_ROW + SMALL_TABLES).or_less())


def _judged(op: ir.Operator, into: Flow, past: Calibration) -> Flow:
    """What a filter leaves: as much as it has left of other documents, or anything from one document to all."""
    judged = judge(op) if past.kept else None
    kept = past.kept.get(judged) if judged else None
    return into.reduced(kept) if kept else into.survivors()


def _of_pages(op: ir.Operator, into: Flow) -> Flow:
    """Steps of web recall, bounded from above alone: no table has more rows than there are pages.

    What a sample or a candidate has of a page's text is no longer than it is cut to. Domains and what joins the seed
    are each at most what the scores hold. A model has a row of floats for each word and bucket, and those words.
    """
    if isinstance(op, ir.TrainWeb):
        return Flow(written=Interval(0, 2 * (op.model_mb + 1) * MIB + SMALL_TABLES))
    kept = into.survivors()
    table = (into.documents * PAGE_ROW + SMALL_TABLES).or_less()
    if isinstance(op, ir.SampleWeb | ir.ScoreWeb):
        text = into.text.at_most((into.documents * op.page_bytes).high).or_less()
        kept = attrs.evolve(kept, text=text)
        if isinstance(op, ir.SampleWeb):
            return attrs.evolve(kept, written=table + text)
        return attrs.evolve(kept, written=table + (table + text * WORDS if op.url_patterns else NOTHING))
    if isinstance(op, ir.ExpandWeb):
        return attrs.evolve(kept, written=into.written.or_less() + table)
    return attrs.evolve(kept, written=table * 2)


def _encoded(into: Flow, ratio: Interval) -> Flow:
    """Held-out documents are left out, so that all of them is the most; declared tokens are a bound, too.

    What is declared is taken to be of the text alone, without the one that ends each document.
    """
    kept = into.survivors()
    tokens = tokens_of(kept.text, ratio).at_most(into.tokens.high) + kept.documents
    return Flow(documents=kept.documents, text=kept.text, tokens=tokens, written=tokens * TOKEN)


def _trained_on(op: ir.Operator) -> Flow:
    """Tokenizers, draws and training: sizes that the spec alone tells."""
    if isinstance(op, ir.TrainBPE | ir.ImportTokenizer):
        return Flow(documents=NOTHING, text=NOTHING, tokens=NOTHING, written=op.vocab_size * VOCABULARY_ENTRY)
    if isinstance(op, ir.Draw):
        drawn = sum(phase.instances for phase in op.phases)
        tokens = sum(phase.instances * phase.sequence_length for phase in op.phases)
        return Flow(
            documents=NOTHING, text=NOTHING, tokens=Interval.exact(tokens), written=Interval(0, 4096) + DRAWN * drawn
        )
    if isinstance(op, ir.DrawSamples):
        drawn = op.steps * op.global_batch
        tokens = drawn * op.sequence_length
        return Flow(
            documents=NOTHING, text=NOTHING, tokens=Interval.exact(tokens), written=Interval(0, 4096) + DRAWN * drawn
        )
    if isinstance(op, ir.TrainOp):
        return Flow(documents=NOTHING, text=NOTHING, tokens=Interval.exact(op.job.tokens), written=_checkpoint(op))
    return Flow()


def _checkpoint(op: ir.TrainOp) -> Interval:
    """Weights in bf16 or fp32 and the optimizer's state, with or without a master copy; the tokenizer; some text.

    Weights and state are there twice where a following stage starts from a step on the way.
    """
    model, states = op.job.model, 1 if op.job.save_at is None else 2
    return (
        model.parameters * states * Interval(10, 16)
        + model.vocab_size * Interval(0, VOCABULARY_ENTRY.high)
        + op.job.steps * Interval(0, 1_000)
        + Interval(0, 1_000_000)
    )
