"""The verbs that look and change nothing: explain, logs, report, schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler import canonical
from compiler import plan as plans
from ocspec.cli.explain import tree_lines
from ocspec.schema import json_schema


def test_explain_shows_operator_inputs_sql_and_preimage(ocspec, built: Path) -> None:
    result = ocspec("explain", "code/hold-out")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "code/hold-out: data.drop_twins version 2"
    assert any(line.split() == ["reads", "code/sign", "as", "keys"] for line in lines)
    assert "sql twins" in lines
    assert "  CREATE TEMP TABLE twin AS" in lines
    assert "pre-image, as built: inputs by digest" in lines


def test_explain_of_a_task_that_is_not_built_shows_the_plan(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    lines = ocspec("explain", "pretrain/train").out.splitlines()
    assert any(line.split() == ["built", "no"] for line in lines)
    assert "pre-image, as planned: inputs by fingerprint" in lines
    assert any(line.strip() == "num_heads: int 2" for line in lines)


def test_explain_says_what_becomes_of_a_task_and_what_it_takes(ocspec, built: Path) -> None:
    """Why it has to run, every change behind that, and an estimate; of a built task, what it takes to run it again."""
    assert "plan\n  reuse\n" in ocspec("explain", "code/sign").out
    spec = Path("tiny.py")
    spec.write_text(spec.read_text().replace("peak=1e-3", "peak=2e-3").replace("Redact()", "Redact(pii=False)"))
    ocspec("compile", "tiny.py")
    text = ocspec("explain", "pretrain/train").out
    assert "plan\n  rebuild: job.schedule[0].end: 0.001 -> 0.002 and 2 more\n" in text
    assert "\n    code/refine: redact_pii: true -> false\n    pretrain/train: job.schedule[0].end: " in text
    estimate = text.partition("takes, where it is run\n")[2].partition("\n\n")[0]
    rows = dict(line.strip().split("  ", 1) for line in estimate.splitlines())
    assert rows["tokens"].strip() == "192"
    assert {"bytes read", "bytes written", "FLOPs", "CPU time", "wall time"} <= rows.keys()
    assert "GPU time" not in rows
    found = json.loads(ocspec("explain", "pretrain/train", "--json").out)["outlook"]
    assert (found["action"], found["reason"]["code"]) == ("rebuild", "operator_changed")
    assert found["estimate"]["tokens"] == {"low": 192, "high": 192}


def test_explain_as_json_has_the_task_and_the_manifest(ocspec, built: Path) -> None:
    explained = json.loads(ocspec("explain", "code/sign", "--json").out)
    assert explained["task"]["op"]["op"] == "data.sign"
    assert explained["manifest"]["task"] == "code/sign"


def test_every_preimage_can_be_shown(ocspec, built: Path) -> None:
    """And shows every leaf that is hashed."""
    plan = plans.load(Path("build/tiny/plan.json"))
    for preimage in map(plan.preimage, plan.tasks):
        text = "\n".join(tree_lines(preimage))
        for role, fingerprints in preimage[2][1]:
            assert role[1] in text
            assert all(leaf[1] in text for leaf in fingerprints[1])


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"x", {"a": (1, 2)}, frozenset({1})])
def test_every_kind_of_value_has_lines(value: object) -> None:
    assert list(tree_lines(canonical.to_tree(value)))


def test_a_mistyped_task_is_answered_with_the_nearest(ocspec, built: Path) -> None:
    for verb in ("explain", "logs"):
        result = ocspec(verb, "pretrain")
        assert (result.code, result.out) == (1, "")
        assert "did you mean pretrain/mix or pretrain/train?" in result.err


def test_logs_of_several_shards_are_told_apart(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    folder = Path("build/tiny/logs/code--sign")
    folder.mkdir(parents=True)
    for shard in (10, 2):
        (folder / f"{shard}.log").write_text(f"said {shard}\n")
    result = ocspec("logs", "code/sign")
    second, tenth = (f"==> {folder}/{shard}.log <==\nsaid {shard}\n" for shard in (2, 10))
    assert result == (0, second + tenth, "")
    assert ocspec("logs", "code/sign", "--paths").out == f"{folder}/2.log\n{folder}/10.log\n"


def test_logs_of_slurm_jobs_are_found(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    folder = Path("build/tiny/logs/slurm/code--sign")
    folder.mkdir(parents=True)
    (folder / "17_0_log.out").write_text("worse\n")
    assert ocspec("logs", "code/sign") == (0, "worse\n", "")


def test_an_empty_log_and_no_log_are_explained(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    nothing = ocspec("logs", "code/sign")
    assert nothing.code == 1
    assert "task 'code/sign' has no logs here" in nothing.err
    folder = Path("build/tiny/logs/code--sign")
    folder.mkdir(parents=True)
    (folder / "0.log").touch()
    empty = ocspec("logs", "code/sign")
    assert (empty.code, empty.out) == (0, "")
    assert "0.log is empty" in empty.err


def test_report_prints_its_path(ocspec, built: Path) -> None:
    result = ocspec("report", "-o", "mine.html")
    assert result == (0, "mine.html\n", "")
    assert "tiny" in Path("mine.html").read_text()


def test_schema_is_the_languages(ocspec) -> None:
    result = ocspec("schema")
    assert result.code == 0
    assert json.loads(result.out) == json.loads(json.dumps(json_schema()))
