"""ocspec check and `ocspec explain CODE`: findings, exit codes, the catalogue; severities, which are never silent."""

from __future__ import annotations

import json
import re
from pathlib import Path

from compiler.rules import RULES

COLLIDING = ('Deduplicate(granularity="file")', "Deduplicate(near=MinHash(bands=16, rows=128))")
UNEVEN = ("schedule=WSD", "micro_batch=3, schedule=WSD")


def change(spec: Path, *edits: tuple[str, str]) -> None:
    """The spec with some texts in place of others."""
    text = spec.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)


def test_a_spec_that_keeps_all_rules(ocspec, spec: Path) -> None:
    result = ocspec("check", str(spec))
    assert (result.code, result.out, result.err) == (0, "tiny.py (tiny): 0 errors, 0 warnings\n", "")
    assert not Path("build").exists()


def test_warnings_pass_and_errors_exit_3_with_everything_listed(ocspec, spec: Path) -> None:
    change(spec, COLLIDING)
    warned = ocspec("check", str(spec))
    assert warned.code == 0
    assert warned.out.splitlines()[:2] == [
        "tiny.py (tiny): 0 errors, 1 warning",
        "  tiny.py:6: warning OC029 collisions: 16 bands of 128 rows collide near J = 0.979: of pairs at J = 0.9 0.0%"
        " are found, at 0.97 28%",
    ]
    assert warned.out.splitlines()[2].startswith("    fix: ")
    change(spec, UNEVEN)
    refused = ocspec("check", str(spec))
    assert refused.code == 3
    assert [line.split(": ")[1] for line in refused.out.splitlines() if line.startswith("  t")] == [
        "error OC006 batch",
        "warning OC029 collisions",
    ]


def test_many_specs_each_under_its_name_and_lines_are_named_from_here(ocspec, spec: Path) -> None:
    folder = Path("more")
    folder.mkdir()
    change(spec, COLLIDING)
    text = spec.read_text().replace("repositories", "../repositories", 1)
    (folder / "other.py").write_text(text.replace('name="tiny"', 'name="other"'))
    (folder / "broken.py").write_text("from ocspec import *\nexperiment = Experiment(nmae='x')\n")
    result = ocspec("check", str(spec), "more/other.py", "more/broken.py")
    assert result.code == 3
    headings = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert headings[:2] == ["tiny.py (tiny): 0 errors, 1 warning", "more/other.py (other): 0 errors, 1 warning"]
    assert re.match(r"more/broken.py: \d+ errors, 0 warnings", headings[2])
    assert "  more/other.py:6: warning OC029" in result.out
    assert "more/broken.py:2: error: " in result.out


def test_a_file_is_all_experiments_that_it_defines(ocspec, spec: Path) -> None:
    """Also where it imports what they start from: an arm that nobody names is checked, and one in a tuple."""
    Path("arms.py").write_text(
        "from tiny import experiment\n"
        "from ocspec import edit, sweep\n"
        "good = experiment.replace(name='good')\n"
        "bad = edit(good, {'name': 'bad', 'curriculum.stages.pretrain.micro_batch': 3})\n"
        "swept = sweep(good, {'pretrain.seed': (1, 2)})\n"
    )
    result = ocspec("check", "arms.py", "tiny.py")
    assert result.code == 3, result.out
    assert [line.split(":")[:2] for line in result.out.splitlines() if not line.startswith(" ")] == [
        ["arms.py", "good (good)"],
        ["arms.py", "bad (bad)"],
        ["arms.py", "swept (good-seed_1)"],
        ["arms.py", "swept (good-seed_2)"],
        ["tiny.py (tiny)", " 0 errors, 0 warnings"],
    ]
    assert "error OC006" in result.out
    specs = json.loads(ocspec("check", "arms.py", "--json").out)["specs"]
    assert [one["spec"] for one in specs] == ["arms.py:good", "arms.py:bad", "arms.py:swept", "arms.py:swept"]
    assert ocspec("check", "arms.py:good").out == "arms.py:good (good): 0 errors, 0 warnings\n"
    Path("again.py").write_text("from tiny import experiment\n")
    assert ocspec("check", "again.py").out == "again.py (tiny): 0 errors, 0 warnings\n"


def test_findings_as_json(ocspec, spec: Path) -> None:
    change(spec, COLLIDING)
    found = json.loads(ocspec("check", str(spec), "--json").out)
    assert (found["kind"], found["errors"], found["warnings"], found["changed"]) == ("check", 0, 1, [])
    (one,) = found["specs"]
    assert (one["spec"], one["experiment"]) == ("tiny.py", "tiny")
    (finding,) = one["findings"]
    assert (finding["code"], finding["severity"], finding["where"]) == ("OC029", "warning", "tiny.py:6")


def test_the_catalogue(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ocspec("check", "--list").out.splitlines()
    codes = [line.split()[0] for line in lines[1:] if line.startswith("OC")]
    assert codes == [rule.code for rule in RULES]
    listed = json.loads(ocspec("check", "--list", "--json").out)
    assert [rule["code"] for rule in listed["rules"]] == codes
    assert {rule["severity"] for rule in listed["rules"]} == {"error", "warning"}


def test_without_a_spec_it_says_what_it_takes(ocspec, spec: Path) -> None:
    result = ocspec("check")
    assert result.code == 64
    assert "SPEC" in result.err


def test_compile_says_warnings_on_stderr_and_refuses_errors(ocspec, spec: Path) -> None:
    change(spec, COLLIDING)
    warned = ocspec("compile", str(spec))
    assert warned.code == 0 and "plan: build/tiny/plan.json" in warned.out
    assert "warning: tiny.py:6: 16 bands of 128 rows" in warned.err and "[OC029]" in warned.err
    change(spec, UNEVEN)
    refused = ocspec("compile", str(spec))
    assert refused.code == 1 and refused.out == ""
    assert "[OC006]" in refused.err and "warning: " in refused.err


def test_a_changed_severity_is_named_with_the_line_that_changes_it(ocspec, spec: Path) -> None:
    change(spec, COLLIDING, UNEVEN)
    Path("ocspec.toml").write_text('[rules]\nOC006 = "warning"\nOC029 = "off"\n')
    for verb in ("check", "compile"):
        result = ocspec(verb, str(spec))
        assert result.code == 0
        assert result.err.splitlines()[:2] == [
            "OC006 is a warning here, by default an error (ocspec.toml:2)",
            "OC029 is off here, by default a warning (ocspec.toml:3)",
        ]
        assert "OC029 collisions" not in result.out and "[OC029]" not in result.err
    plan = Path("build/tiny/plan.json").read_bytes()
    Path("ocspec.toml").write_text('[rules]\nOC006 = "off"\n')
    assert ocspec("compile", str(spec)).code == 0
    assert Path("build/tiny/plan.json").read_bytes() == plan
    Path("ocspec.toml").write_text('[rules]\nOC06 = "off"\n')
    refused = ocspec("check", str(spec))
    assert (refused.code, refused.out) == (1, "")
    assert "ocspec.toml:2: no rule is called 'OC06'\n  fix: did you mean OC006?" in refused.err


def test_explain_teaches_a_rule_with_a_spec_on_either_side(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = ocspec("explain", "OC007").out
    assert told.startswith("OC007 heads: error\n\n16 heads over 32 ranks")
    assert "marin #4898" in told and "ranks [OC007]" in told and "keeps it:" in told
    assert max(map(len, told.split("breaks it:")[0].splitlines())) <= 80
    assert ocspec("explain", "oc7").out == told
    as_json = json.loads(ocspec("explain", "OC007", "--json").out)
    assert as_json["kind"] == "rule" and as_json["examples"]["failing"]
    missing = ocspec("explain", "OC999")
    assert missing.code == 1 and "no rule is called OC999" in missing.err


def test_explain_says_the_severity_that_holds_here(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ocspec.toml").write_text('[rules]\nOC029 = "off"\n')
    assert ocspec("explain", "OC029").out.startswith("OC029 collisions: warning, off here\n")


def test_of_many_arms_warnings_and_changes_are_said_once(ocspec, spec: Path) -> None:
    change(spec, COLLIDING)
    Path("ocspec.toml").write_text('[rules]\nOC044 = "error"\n')
    result = ocspec("compile", str(spec), "--sweep", "pretrain.schedule.peak=1e-3,2e-3,3e-3")
    assert result.code == 0, result.err
    assert result.err.count("OC044 is an error here") == 1
    assert result.err.count("[OC029]") == 1
