"""lower_tokens: the tokenizer, and every data set of a mixture as token ids.

Documents are encoded in an array over shards, then packed by one task in an order that no shard can change.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import attrs

from compiler import ir
from compiler.draft import Draft
from compiler.plan import Input, Task
from ocspec.mixture import Mixture
from ocspec.model import PretrainedTokenizer, TrainedBPE
from ocspec.refinement import exact_share
from ocspec.training import Anneal, Pretrain

TOKENIZER = "tokenizer"
ONCE = Fraction(1)


def lower_tokens(draft: Draft) -> Draft:
    """Add the tokenizer, then an encode and a pack task for each data set that a mixture names."""
    draft = draft.add(_tokenizer(draft))
    used: dict[str, list[str]] = {}
    for stage, mixture in mixtures(draft).items():
        for part in mixture.parts:
            used.setdefault(part.dataset, []).append(f"curriculum.stages.{stage}.mixture.parts.{part.key}")
    for name, paths in used.items():
        encode = Task(
            id=f"{name}/encode",
            op=ir.Encode(dataset=name),
            inputs=(*chosen(draft, name), Input(role="tokenizer", task=TOKENIZER)),
            spec_paths=tuple(paths),
            origin=draft.where(draft.dataset(name)),
        )
        pack = Task(
            id=f"{name}/pack",
            op=ir.Pack(dataset=name),
            inputs=(Input(role="tokens", task=encode.id), Input(role="tokenizer", task=TOKENIZER)),
            spec_paths=encode.spec_paths,
            origin=encode.origin,
        )
        packed = attrs.evolve(draft.datasets[name], tokens=pack.id)
        draft = draft.add(encode, pack, datasets={**draft.datasets, name: packed})
    return draft


def mixtures(draft: Draft) -> dict[str, Mixture]:
    """The mixtures by stage, in the order of the curriculum."""
    stages = draft.experiment.curriculum.stages
    return {stage.name: stage.mixture for stage in stages if isinstance(stage, Pretrain | Anneal)}


def chosen(draft: Draft, dataset: str, suffix: str = "") -> tuple[Input, ...]:
    """A data set's clean documents and, where it has one, its selection."""
    tasks = draft.datasets[dataset]
    documents = Input(role=f"documents{suffix}", task=tasks.documents)
    if tasks.selection is None:
        return (documents,)
    return documents, Input(role=f"selection{suffix}", task=tasks.selection)


def held_out_documents(draft: Draft) -> tuple[Input, ...]:
    """The clean documents of all data sets, each once: held-out ones are marked among them."""
    tasks = dict.fromkeys(tasks.documents for tasks in draft.datasets.values())
    return tuple(Input(role="documents", task=task) for task in tasks)


def shares(mixture: Mixture) -> tuple[ir.DatasetShare, ...]:
    """Exact shares of a mixture, sorted by data set, summing to one."""
    total = mixture.total
    return tuple(
        ir.DatasetShare(
            dataset=part.dataset,
            share=exact_share(part.weight) / total,
            max_epochs=exact_share(part.max_epochs),
        )
        for part in sorted(mixture.parts, key=lambda part: part.dataset)
    )


def lasting_shares(draft: Draft, mixture: Mixture) -> dict[str, ir.DatasetShare]:
    """Shares by data set, in the names that fingerprints and files know the data sets by, and in their order."""
    names = {part.dataset: draft.dataset(part.dataset).identity_name for part in mixture.parts}
    exact = draft.memo.get("shares", (mixture,), partial(shares, mixture))
    found = {share.dataset: attrs.evolve(share, dataset=names[share.dataset]) for share in exact}
    return dict(sorted(found.items(), key=lambda item: item[1].dataset))


def _tokenizer(draft: Draft) -> Task:
    tokenizer = draft.experiment.tokenizer
    paths: tuple[str, ...] = ("tokenizer",)
    inputs: tuple[Input, ...] = ()
    if isinstance(tokenizer, PretrainedTokenizer):
        op: ir.Operator = ir.ImportTokenizer(
            vocab_size=tokenizer.vocab_size, digest=draft.tokenizer_digest, location=tokenizer.path
        )
    else:
        assert isinstance(tokenizer, TrainedBPE)
        stage, mixture = next(iter(mixtures(draft).items()))
        parts = lasting_shares(draft, mixture)
        paths = ("tokenizer", f"curriculum.stages.{stage}.mixture", *(f"data.{name}.aka" for name in parts))
        op = ir.TrainBPE(
            vocab_size=tokenizer.vocab_size,
            special_tokens=tokenizer.special_tokens,
            shares=tuple(attrs.evolve(share, max_epochs=ONCE) for share in parts.values()),  # it samples by share
            sample_bytes=tokenizer.sample_bytes,
            seed=tokenizer.seed,
        )
        inputs = tuple(item for name, share in parts.items() for item in chosen(draft, name, f":{share.dataset}"))
    return Task(id=TOKENIZER, op=op, inputs=inputs, spec_paths=paths, origin=draft.where(tokenizer))
