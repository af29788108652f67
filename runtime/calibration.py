"""What past runs tell of the next: facts of built artefacts, and rates by operator, from what a store holds.

It changes nothing but the notes that spare it the manifests (`runtime.facts`); what follows is `compiler.cost`'s. What
cannot be read, or whose operator this version does not have, tells nothing and is passed over. Failed attempts leave no
manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import attrs

from compiler import canonical, ir
from compiler import plan as plans
from compiler.cost.boards import BOARDS
from compiler.cost.calibration import Calibration, Known, Rate, Reached, Scored, scoring_kind
from compiler.cost.devices import DEVICES
from compiler.cost.estimate import MEMORY_REPEATED, REPEATED
from compiler.cost.flops import training_flops
from compiler.cost.flow import Flow, mean_text
from compiler.cost.interval import UNKNOWN, Interval
from compiler.cost.selectivity import (
    AGAIN,
    LEAST_JUDGED,
    LEAST_KEPT,
    LEAST_PACKAGES,
    PACKAGE_AGAIN,
    Counted,
    judge,
)
from compiler.cost.time import TRAIN_STARTUP, Load, rate_name, scoring_flops, work
from compiler.cost.walk import EVALUATIONS, VERDICTS, inflow, outflow, sources_read, vocabulary
from compiler.errors import UserError
from compiler.ir import OPERATORS
from compiler.plan import Plan, SourceSummary
from compiler.trainjob import TrainJob
from runtime.facts import Facts, facts, facts_of, known_of
from runtime.store import Store
from runtime.task import Artifact
from runtime.worker import task_key

ANY_LANGUAGE = ""


def calibration(store: Store, plan: Plan) -> Calibration:
    """What the store tells of a plan's tasks: of those that are built all, of others the rates of their kind."""
    built = _built(store, plan)
    known = {task.fingerprint: known_of(built[task.id].manifest) for task in plan.tasks if task.id in built}
    past = _Past.read(store, plan)
    return Calibration(
        known=known,
        rates=past.rates(),
        memory=_hulls(past.memory(), MEMORY_REPEATED),
        utilization=past.utilization(),
        bytes_per_token=_hulls(past.bytes_per_token(vocabulary(plan)), REPEATED).get(ANY_LANGUAGE),
        kept=past.kept(),
        package=past.package(),
        scored=past.scored(),
        samples=past.samples(plan, built),
        processors=os.cpu_count(),
    )


def _built(store: Store, plan: Plan) -> dict[str, Artifact]:
    """By id the tasks that will not run: those built before, and those that are cut off as their inputs are the same.

    The former are found by fingerprint, the latter by the key that their inputs' contents make.
    """
    built: dict[str, Artifact] = {}
    for task in plan.tasks:
        found = store.find(task.fingerprint)
        if found is None and all(item.task in built for item in task.inputs):
            inputs: dict[str, tuple[Artifact, ...]] = {}
            for item in task.inputs:
                inputs[item.role] = (*inputs.get(item.role, ()), built[item.task])
            found = store.artifact(task_key(task, inputs)[0])
        if found is not None and facts_of(store, found.path.name, found.manifest):
            built[task.id] = found
    return built


@attrs.define
class _Past:
    """All that was ever built in a store, by key, each with its operator."""

    facts: dict[str, Facts]
    operators: dict[str, ir.Operator]
    sources: dict[tuple[str, str], SourceSummary]
    """By name and digest, of what the plan reads: the sizes that were noted are those of these files alone."""
    flows: dict[str, Flow] = attrs.field(factory=dict)

    @classmethod
    def read(cls, store: Store, plan: Plan) -> _Past:
        """Of tasks of this plan the operator is the plan's, with how it was run; of others it is the manifest's."""
        planned = {task.fingerprint: task.op for task in plan.tasks}
        known = facts(store)
        made = {text: _operator_in(text) for text in {one.operator for one in known.values()}}
        operators = {key: planned.get(one.fingerprint) or made[one.operator] for key, one in known.items()}
        there = {key: op for key, op in operators.items() if op is not None}
        summaries = {source.name: source for source in plan.sources}
        readers = (reader for op in planned.values() for reader in getattr(op, "readers", ()))
        sources = {(one.source, one.digest): summaries[one.source] for one in readers if one.source in summaries}
        return cls(known, there, sources)

    def rates(self) -> dict[str, Rate]:
        """Seconds of a shard for a unit of its operator's work, of the larger tasks of each `rate_name`.

        Measuring a model is as slow as the model, which its units do not know: that is `scored`.
        """
        found: dict[str, list[tuple[float, float]]] = {}
        for key, op in self.operators.items():
            if isinstance(op, ir.BitsPerByte | ir.Benchmark):
                continue
            into = self.inflow(key)
            text = self._text(key) if isinstance(op, ir.NGram) else into.text
            load = Load(documents=into.documents, text=text, tokens=into.tokens)
            units, _ = work(op, load, self.facts[key].shards)
            if units.is_known and units.middle > 0:
                name = rate_name(op, self._vocabulary(key))
                found.setdefault(name, []).append((units.middle, self.facts[key].known.seconds or 0.0))
        return {name: Rate.of(tasks, REPEATED) for name, tasks in found.items()}

    def memory(self) -> Iterator[tuple[str, float]]:
        """Peaks of shards in MB, by operator."""
        for key, op in self.operators.items():
            if not isinstance(op, ir.TrainOp):  # that is counted, and depends on the model
                yield op.op_id, self.facts[key].known.peak_memory_mb or 0.0

    def utilization(self) -> dict[str, tuple[Reached, ...]]:
        """The share of the peak that each training reached, by device and back end.

        A stage that went on where another attempt was interrupted says how long the last one took, not how much it did.
        """
        found: dict[str, list[Reached]] = {}
        for key, op in self.operators.items():
            told = self.facts[key]
            whole = told.resumed_from_step == 0
            if whole and isinstance(op, ir.TrainOp) and told.known.tokens == op.job.tokens:
                device = device_type(told.device)
                reached = self._reached(key, op.job, device) if device else None
                if reached:
                    found.setdefault(f"{device}/{op.job.backend}", []).append(reached)
        return {name: tuple(runs) for name, runs in found.items()}

    def _reached(self, key: str, job: TrainJob, device: str) -> Reached | None:
        """None where it was over before it had begun."""
        asked, took = self.facts[key], self.facts[key].known.seconds or 0.0
        devices, flops = (asked.cpus if device == "cpu" else asked.gpus) * asked.nodes, training_flops(job)
        if took <= TRAIN_STARTUP or not devices:
            return None
        share = flops / ((took - TRAIN_STARTUP) * DEVICES[device].peak * devices)
        return Reached(share=Interval.about(share, REPEATED), flops=flops, parameters=job.model.parameters)

    def scored(self) -> dict[str, tuple[Scored, ...]]:
        """Models that were measured, on processors: of a GPU no manifest says which it was."""
        found: dict[str, list[Scored]] = {}
        for key, op in self.operators.items():
            made, told = self._checkpoint(key), self.facts[key]
            devices = 0 if told.gpus else told.cpus * told.nodes
            if isinstance(op, ir.BitsPerByte) and made and told.known.text_bytes and told.known.seconds and devices:
                model, text = made.job.model, self._text(key)
                flops = scoring_flops(model, text).high / devices
                run = Scored(seconds=told.known.seconds, flops=flops, parameters=model.parameters)
                found.setdefault(scoring_kind("cpu", model), []).append(run)
        return {name: tuple(runs) for name, runs in found.items()}

    def samples(self, plan: Plan, built: Mapping[str, Artifact]) -> dict[str, Known]:
        """By fingerprint what an evaluation of the plan will measure on, where another did on the same documents."""
        counted: dict[_Sample, Known] = {}
        for key, op in self.operators.items():
            known = self.facts[key].known
            if isinstance(op, EVALUATIONS) and known.text_bytes:
                sample = _sample(op, self.facts[key].inputs.get("documents", ()))
                counted[sample] = Known(documents=known.documents, text_bytes=known.text_bytes)
        found: dict[str, Known] = {}
        for task in plan.tasks:
            read = [item.task for item in task.inputs if item.role == "documents"]
            if isinstance(task.op, EVALUATIONS) and all(name in built for name in read):
                same = counted.get(_sample(task.op, [built[name].path.name for name in read]))
                found |= {task.fingerprint: same} if same else {}
        return found

    def _checkpoint(self, key: str) -> ir.TrainOp | None:
        """What trained the model that a task measures."""
        made = (self.operators.get(one) for one in self.facts[key].inputs.get("checkpoint", ()))
        return next((op for op in made if isinstance(op, ir.TrainOp)), None)

    def _text(self, key: str) -> Interval:
        text = self.facts[key].known.text_bytes
        return UNKNOWN if text is None else Interval.exact(text)

    def bytes_per_token(self, vocab_size: int) -> Iterator[tuple[str, Interval]]:
        """Of texts that were encoded with a vocabulary of this size, whatever their language."""
        for key, op in self.operators.items():
            tokens, documents = self.facts[key].known.tokens, self.facts[key].known.documents
            if isinstance(op, ir.Encode) and tokens and documents and self._vocabulary(key) == vocab_size:
                text = mean_text(Interval.exact(documents), self.inflow(key))
                if text.is_known:
                    yield ANY_LANGUAGE, text / tokens

    def kept(self) -> dict[str, Counted]:
        """Shares that filters kept, by what judges a document, within what those of other documents may be."""
        found: dict[str, Counted] = {}
        for key, op in self.operators.items():
            known, judged, name = self.facts[key].known, self.facts[key].judged or 0, judge(op)
            if name and judged >= LEAST_JUDGED and (known.documents or 0) >= LEAST_KEPT:
                share = Interval.exact((known.documents or 0) / judged)
                text = _ratio(known.text_bytes, self.inflow(key).text) or share * Interval.about(1, AGAIN)
                counted = Counted(share, text).about(AGAIN)
                found[name] = found[name].hull(counted) if name in found else counted
        return found

    def package(self) -> Counted | None:
        """What a fetched package held in the mean, within what others may differ by."""
        found = []
        for key, op in self.operators.items():
            known = self.facts[key].known
            number = len(op.packages) if isinstance(op, ir.FetchPackages) else 0
            if number >= LEAST_PACKAGES and known.documents and known.text_bytes:
                mean = Counted(Interval.exact(known.documents / number), Interval.exact(known.text_bytes / number))
                found.append(mean.about(PACKAGE_AGAIN))
        return reduce(Counted.hull, found) if found else None

    def _vocabulary(self, key: str) -> int | None:
        tokenizers = [self.operators.get(one) for one in self.facts[key].inputs.get("tokenizer", ())]
        return next((getattr(op, "vocab_size", None) for op in tokenizers), None)

    def inflow(self, key: str) -> Flow:
        """What went into a task that was built, as its inputs' manifests count it.

        Of files that the plan reads no more, or that have changed, no size is known.
        """
        op, by_role = self.operators[key], self._by_role(key)
        readers = ((one.source, one.digest) for one in getattr(op, "readers", ()))
        sources = {one[0]: self.sources[one] for one in readers if one in self.sources}
        read, _ = sources_read(op, by_role, sources)
        return inflow(op, by_role, read)

    def _by_role(self, key: str) -> dict[str, list[Flow]]:
        return {role: [self.flow(one) for one in keys] for role, keys in self.facts[key].inputs.items()}

    def flow(self, key: str) -> Flow:
        """What a built task hands on; nothing is known of one that is gone or strange."""
        if key not in self.operators:
            return Flow()
        if key not in self.flows:
            op = self.operators[key]
            drawn = isinstance(op, ir.Draw | ir.DrawSamples)  # of which the operator tells more than the manifest
            out = (outflow(op, Flow(), 0, UNKNOWN) if drawn else Flow()).known(self.facts[key].known)
            if isinstance(self.operators[key], VERDICTS):
                out = attrs.evolve(out, text=mean_text(out.documents, self.inflow(key)))
            self.flows[key] = out
        return self.flows[key]


_Sample = tuple[tuple[str, ...], int, int, tuple[str, ...]]


def _sample(op: EVALUATIONS, documents: Sequence[str]) -> _Sample:
    """What decides which text is scored: how it is chosen, and the keys of the documents that it is chosen from."""
    return op.languages, op.max_bytes, op.seed, tuple(sorted(documents))


def operator_of(tree: canonical.Tree) -> ir.Operator | None:
    """The operator of a canonical tree, without labels and how it was run; None where this version has it not.

    >>> operator_of(["op", "text.encode/1", {}])
    Encode(dataset='')
    >>> operator_of(["op", "text.encode/0", {}])
    """
    try:
        _, name, fields = tree
        op_id, _, version = name.rpartition("/")
        cls: Any = OPERATORS[op_id]
        labels = {field.name: "" for field in attrs.fields(cls) if field.metadata.get("role") == "doc"}
        plain = {"op": op_id, "version": int(version), **labels, **_plain(fields)}
        if "job" in plain:
            plain["job"] = {"stage": "", **plain["job"]}
        op: ir.Operator = plans.CONVERTER.structure(plain, ir.Operator)
    except (AttributeError, LookupError, ValueError, TypeError, UserError, ExceptionGroup):
        return None
    return op


def _operator_in(noted: str) -> ir.Operator | None:
    try:
        return operator_of(json.loads(noted))
    except ValueError:
        return None


def _plain(tree: Any) -> Any:
    """The values of a canonical tree, as JSON has them."""
    if isinstance(tree, dict):
        return {name: _plain(value) for name, value in tree.items()}
    tag, payload = tree[0], tree[-1]
    if tag == "null":
        return None
    if tag == "bool":
        return payload == "true"
    if tag in {"int", "float"}:
        return int(payload) if tag == "int" else float(payload)
    if tag in {"seq", "set"}:
        return [_plain(item) for item in payload]
    if tag == "map":
        return {_plain(key): _plain(value) for key, value in payload}
    return _plain(payload) if tag == "part" else payload


def device_type(said: str | None) -> str | None:
    """The type of device of that name, which is "cpu" or CUDA's; None for any that is not known."""
    return said if said == "cpu" else BOARDS.get(said or "")


def _ratio(part: int | None, whole: Interval) -> Interval | None:
    return Interval.exact(part) / whole if part and whole.is_known and whole.high else None


def _hulls(found: Iterable[tuple[str, float | Interval]], repeated: float) -> dict[str, Interval]:
    """By name the smallest interval that holds all that was found, and as much again as may be otherwise next time."""
    by_name: dict[str, list[Interval]] = {}
    for name, value in found:
        by_name.setdefault(name, []).append(value if isinstance(value, Interval) else Interval.exact(value))
    hulls = {name: reduce(Interval.hull, values) for name, values in by_name.items()}
    return {name: Interval(hull.low / repeated, hull.high * repeated) for name, hull in hulls.items()}
