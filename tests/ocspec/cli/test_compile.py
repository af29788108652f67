"""ocspec compile: the files, the summary and the memory of what was compiled last."""

from __future__ import annotations

import json
from pathlib import Path

import compiler.plan
from runtime import operators

SUMMARY = """\
tiny: 28.5 k parameters, 19.2 k of them embeddings

  stage     steps  tokens  batch x length  learning rate    FLOPs
  pretrain      3     192  2 x 32          0 -> 0.001      2.30e7
  anneal        2     128  2 x 32          0.001 -> 1e-05  1.53e7
  in all 320 tokens, 3.83e7 FLOPs

code/deduplicate by file: 16 bands of 128 rows, collision threshold J = 0.979
14 tasks: 3 data, 7 group, 2 train, 2 eval
plan: build/tiny/plan.json
"""


def test_the_plan_is_written_and_summed_up(ocspec, spec: Path) -> None:
    result = ocspec("compile", str(spec))
    assert result.code == 0
    assert result.out == SUMMARY
    assert "ocspec submit" in result.err
    assert compiler.plan.load(Path("build/tiny")).experiment == "tiny"
    assert list(Path("build/tiny/sql").rglob("*.sql"))


def test_the_summary_as_json(ocspec, spec: Path) -> None:
    result = ocspec("compile", str(spec), "--json")
    summary = json.loads(result.out)
    assert (summary["format_version"], summary["kind"]) == (1, "compile")
    assert [stage["name"] for stage in summary["stages"]] == ["pretrain", "anneal"]
    assert summary["plan"] == "build/tiny/plan.json"
    assert summary["missing_operators"] == {}
    assert sum(summary["tasks"].values()) == 14


def test_out_and_shards(ocspec, spec: Path) -> None:
    result = ocspec("compile", str(spec), "--out", "elsewhere/plan", "--shards", "3")
    assert result.out.endswith("plan: elsewhere/plan/plan.json\n")
    assert compiler.plan.load(Path("elsewhere/plan")).task("code/sign").shards == 3


def test_the_last_compiled_is_what_other_verbs_take(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    Path("other.py").write_text(spec.read_text().replace('name="tiny"', 'name="other"'))
    ocspec("compile", "other.py", "--out", "elsewhere")
    assert "other: 14 tasks" in ocspec("status").out
    assert "tiny: 14 tasks" in ocspec("status", "build/tiny").out
    assert "tiny: 14 tasks" in ocspec("status", "build/tiny/plan.json").out


def test_an_experiment_may_be_called_latest(ocspec, spec: Path) -> None:
    """Its directory must not stand where the last compiled plan is remembered."""
    spec.write_text(spec.read_text().replace('name="tiny"', 'name="latest"'))
    assert ocspec("compile", str(spec)).code == 0
    assert ocspec("compile", str(spec)).code == 0
    assert "latest: 14 tasks" in ocspec("status").out


def test_the_profile_shapes_the_sbatch_scripts_and_not_the_plan(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    plan = Path("build/tiny/plan.json").read_bytes()
    Path("ocspec.toml").write_text("[profiles.cluster]\ndispatch = 'slurm'\npartition = 'gpu'\n")
    assert ocspec("compile", str(spec), "--profile", "cluster").code == 0
    assert "partition=gpu" in Path("build/tiny/sbatch/code/sign.sh").read_text()
    assert Path("build/tiny/plan.json").read_bytes() == plan


def test_an_operator_without_a_runtime_is_named(ocspec, spec: Path, monkeypatch) -> None:
    monkeypatch.delitem(operators.RUNTIMES, "train.torch")
    result = ocspec("compile", str(spec))
    assert result.code == 0
    assert "needs a runtime that this version lacks: train.torch, for 2 tasks\n" in result.out
    refused = ocspec("submit")
    assert (refused.code, refused.out) == (1, "")
    assert "error: operator train.torch has no runtime" in refused.err


def test_a_stage_of_several_phases_shows_each(ocspec, spec: Path) -> None:
    batches = "Batches(steps=3, global_batch=2, sequence_length=32),"
    spec.write_text(spec.read_text().replace(batches, batches + batches.replace("steps=3", "steps=4")))
    lines = ocspec("compile", str(spec)).out.splitlines()
    assert lines[3].split()[:4] == ["pretrain", "7", "448", "2"]
    assert "2 phases:" in lines[3]
    assert lines[4].split() == ["3", "192", "2", "x", "32"]
    assert lines[5].split() == ["4", "256", "2", "x", "32"]
