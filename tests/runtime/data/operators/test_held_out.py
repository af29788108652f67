"""Held-out text for stages that measure themselves: what is in it, and that it is what bits per byte scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from compiler import ir
from compiler.errors import UserError
from ocspec import Experiment
from runtime.data.bpe import TOKENIZER_FILE, Encoder
from runtime.data.indexed import IndexedReader
from runtime.data.operators.held_out import LANGUAGES_FILE, held_out_text
from runtime.data.operators.tokens import END_OF_TEXT, PREFIX
from runtime.task import Artifact
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.data.operators.conftest import TEXT, Bench, refined, refined_of


def made(bench: Bench, tokenizer: Artifact, documents: list[Artifact], **sample: int) -> tuple[Artifact, dict]:
    """The operator's artefact and its table of languages and bytes."""
    op = ir.HeldOutText(**sample)
    artifact = bench.run(held_out_text, op, documents=documents, tokenizer=[tokenizer])
    return artifact, json.loads((artifact.path / "held_out" / LANGUAGES_FILE).read_text())


def test_held_out_documents_are_encoded_between_ends(bench: Bench, tokenizer: Artifact) -> None:
    """In the order of their ids, over all data sets; documents for training are left out."""
    texts = {"r/b": TEXT, "r/a": "naïve = 1\n", "s/c": "int x;\n"}
    first = refined_of(bench, [refined("r/b", TEXT, held_out=True), refined("r/t", "no", held_out=False)])
    second = refined_of(
        bench,
        [refined("s/c", texts["s/c"], held_out=True, language="c"), refined("r/a", texts["r/a"], held_out=True)],
        files=2,
    )
    artifact, about = made(bench, tokenizer, [first, second])
    encoder = Encoder.load(tokenizer.path / "tokenizer" / TOKENIZER_FILE)
    end = encoder.special(END_OF_TEXT)
    reader = IndexedReader(artifact.path / "held_out" / PREFIX)
    sequences = [reader[number].tolist() for number in range(len(reader))]
    ordered = [texts[name] for name in sorted(texts)]
    assert sequences == [[end, *encoder.encode(text).tolist(), end] for text in ordered]
    assert about == {"languages": ["python", "python", "c"], "bytes": [len(text.encode()) for text in ordered]}
    assert about["bytes"][0] == len("naïve = 1\n") + 1


def test_a_sample_is_taken_of_each_language(bench: Bench, tokenizer: Artifact) -> None:
    """Documents until the bytes are reached, others by another seed; a small language is whole beside a large one."""
    many = [refined(f"r/{number:02}", f"{number:02}" * 50, held_out=True) for number in range(30)]
    few = [refined(f"s/{number}", "y" * 10, held_out=True, language="c") for number in range(2)]
    documents = [refined_of(bench, many + few)]
    _, about = made(bench, tokenizer, documents, max_bytes=450)
    assert (about["languages"].count("python"), about["languages"].count("c")) == (5, 2)
    drawn = []
    for seed in (0, 0, 1):
        artifact, _ = made(bench, tokenizer, documents, max_bytes=450, seed=seed)
        drawn.append((artifact.path / "held_out" / "tokens.bin").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(made(bench, tokenizer, documents)[1]["bytes"]) == 32


def test_nothing_held_out_is_an_error(bench: Bench, tokenizer: Artifact) -> None:
    """As it is for the measurements after a stage."""
    with pytest.raises(UserError, match="no held-out document is left to measure on"):
        made(bench, tokenizer, [refined_of(bench, [refined("r/a", TEXT)])])


def measured(corpus: Path) -> Experiment:
    """The tiny experiment, its first two stages measuring themselves; scored afterwards on the same 20 kB of Python."""
    plain = tiny(corpus)
    stages = tuple(
        stage.replace(validate_every=0 if stage.name == "sft" else 4, validate_bytes=20_000)
        for stage in plain.curriculum.stages
    )
    evaluation = plain.evaluations[0].replace(ngram_order=None)
    return plain.replace(curriculum=plain.curriculum.replace(stages=stages), evaluations=(evaluation,))


def test_the_last_measurement_is_the_evaluation_of_the_stage(finished: Any, tmp_path: Path, corpus: Path) -> None:
    """Through plan, store and workers: equal documents, equal bits, to the last digit; the text is made once.

    The data is there already, so that only what is new runs.
    """
    shutil.copytree(finished[0].store.root, tmp_path / "store")
    workbench = Workbench(tmp_path, corpus)
    plan, path = workbench.compile(measured(corpus))
    assert [task.id for task in plan.tasks if task.op.op_id == "text.held_out"] == ["pretrain/held-out"]
    assert not workbench.run(plan, path, until="pretrain/bits_per_byte").failed
    trained, scored = (workbench.store.find(plan.task(f"pretrain/{n}").fingerprint) for n in ("train", "bits_per_byte"))
    assert trained is not None and scored is not None
    lines = [json.loads(line) for line in (trained.path / "metrics" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 6]
    result = json.loads((scored.path / "result" / "bits_per_byte.json").read_text())
    assert lines[-1]["documents"] == result["total"]["documents"] > 0
    assert lines[-1]["bits_per_byte"] == result["total"]["bits_per_byte"]
    assert lines[-1]["languages"] == {name: total["bits_per_byte"] for name, total in result["languages"].items()}
