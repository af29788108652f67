"""`why` and `data show`: what they print at 80 columns and as JSON, their exit codes, and their errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest

from ocspec.cli.excerpts import head, lines
from runtime.dispatch.inline import InlineDispatcher
from runtime.journal import Journal
from runtime.lineage.removed import Example
from runtime.report.built import Built
from runtime.run import run_plan
from runtime.store import Store


@pytest.fixture
def twins(ocspec, spec: Path) -> Path:
    """A built data set in which one file is a copy, one is near to another and one is no text."""
    alpha = Path("repositories/alpha")
    names = sorted(path.name for path in alpha.iterdir())
    text = (alpha / names[0]).read_text()
    (alpha / "z_copy.py").write_text(text)
    (alpha / "z_near.py").write_text(text + "\n# one line more\n")
    (alpha / "z_broken.py").write_bytes(b"caf\xe9 = 1\n")
    (alpha / "z_esc.py").write_text("# \x1b[31mred\n" * 3)
    text = spec.read_text().replace("Redact()", "Redact(), Filter()")
    spec.write_text(text.replace('granularity="file"', "near=MinHash(bands=16, rows=16)"))
    ran = ocspec("compile", str(spec))
    assert ran.code == 0, ran.err
    file = Path("build/tiny/plan.json").resolve()
    built = Built.look(file, Store(Path(".ocspec").resolve()))
    wanted = {"code/sign", "code/hold-out", "code/deduplicate/edges", "code/deduplicate/cluster", "code/refine"}
    part = attrs.evolve(built.plan, tasks=tuple(task for task in built.plan.tasks if task.id in wanted))
    run_plan(
        part, built.store, InlineDispatcher(file, built.store.root), Journal(file.parent / "journal"), lambda _: None
    )
    return alpha / names[0]


def test_a_near_duplicate(ocspec, twins: Path) -> None:
    """Step by step, up to the one that dropped it; the lowest id of a cluster stays."""
    result = ocspec("why", "z_near.py")
    assert (result.code, result.err) == (0, "")
    kept = f"library/alpha/{twins.name}"
    assert " ".join(result.out.split()).startswith(
        "library/alpha/z_near.py code: dropped by deduplicate, near_duplicate python (code), "
    )
    assert re.search(r"^  admit +kept$", result.out, re.MULTILINE)
    assert re.search(r"^  filter +not reached$", result.out, re.MULTILINE)
    said = " ".join(result.out.split())
    assert re.search(
        rf"near_duplicate \(threshold 0\.840896\); kept instead: {kept}; Jaccard index 0\.9\d+; 2 dropped", said
    )
    assert max(map(len, result.out.splitlines())) <= 80


def test_a_document_that_a_rule_dropped(ocspec, twins: Path) -> None:
    """Every rule that judges it, with the first that fired, and others that would drop it, too."""
    result = ocspec("why", "z_esc.py")
    assert result.code == 0
    assert "code: dropped by filter, num_chars_min" in result.out
    assert re.search(r"num_chars_min +\d+ +dropped it +< 50$", result.out, re.MULTILINE)
    assert re.search(r"num_lines_min +3 +would drop it +< 10$", result.out, re.MULTILINE)
    assert re.search(r"num_lines_max +3 +> 100,000$", result.out, re.MULTILINE)


def test_a_kept_document_names_its_readers(ocspec, twins: Path) -> None:
    result = ocspec("why", f"library/alpha/{twins.name}")
    said = " ".join(result.out.split())
    assert "code: kept" in said
    assert "2 dropped in favour of it, a cluster of 3" in said
    assert "pretrain (100 % of its tokens), anneal (100 % of its tokens)" in said


def test_a_document_that_was_never_admitted(ocspec, twins: Path) -> None:
    result = ocspec("why", "z_broken.py")
    assert "code: dropped by admit, undecodable\n  never admitted\n" in result.out


def test_a_changed_source_differs(ocspec, twins: Path) -> None:
    """Loudly: on stderr, in the table, in JSON, and by the exit code."""
    twins.write_text(twins.read_text() + "# changed\n")
    result = ocspec("why", f"library/alpha/{twins.name}")
    assert result.code == 2
    assert result.err.startswith("error: code, admit: recorded SHA-256 ")
    assert result.err.endswith("; the source changed\n")
    assert "DIFFERS: recorded" in result.out
    asked = ocspec("why", f"library/alpha/{twins.name}", "--json")
    assert asked.code == 2
    assert json.loads(asked.out)["mismatches"]
    checked = ocspec("why", "--check", "100")
    assert checked.code == 2
    assert f"error: library/alpha/{twins.name}: code/sign: recorded SHA-256" in checked.err


def test_json_has_the_whole_history(ocspec, twins: Path) -> None:
    found = json.loads(ocspec("why", "z_near.py", "--json").out)
    assert (found["format_version"], found["kind"]) == (1, "why")
    (code,) = found["datasets"]
    assert [step["state"] for step in code["steps"]] == ["kept", "kept", "dropped", "not reached"]
    assert code["steps"][2]["drop"]["kept"] == f"library/alpha/{twins.name}"


def test_what_a_rule_removed(ocspec, twins: Path) -> None:
    result = ocspec("why", "--rule", "num_chars_min")
    assert result.code == 0
    assert result.out.splitlines()[0].startswith("num_chars_min in code/refine: removed 1 of ")
    assert re.search(r"^python +1 +100\.0%$", result.out, re.MULTILINE)
    assert "library/alpha/z_esc.py\n  value 33, threshold 50\n  | # \\x1b[31mred\n" in result.out
    (step,) = json.loads(ocspec("why", "--rule", "num_chars_min", "--json").out)["steps"]
    assert step["examples"][0]["head"] == ["# \\x1b[31mred"] * 3


def test_check_counts_what_it_decided(ocspec, twins: Path) -> None:
    result = ocspec("why", "--check", "1000")
    assert result.code == 0
    assert re.search(r"^code +code/sign +34 +0$", result.out, re.MULTILINE)
    assert result.err.startswith("code: 34 documents (")
    (code,) = json.loads(ocspec("why", "--check", "5", "--json").out)["datasets"]
    assert (sum(code["documents"].values()), code["mismatches"]) == (5, [])


def test_data_show_puts_dropped_beside_kept(ocspec, twins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One above the other at 80 columns, side by side at 120; the same documents either way."""
    below = ocspec("data", "show", "code", "--rule", "near_duplicate", "-n", "1").out
    assert below.splitlines()[0].startswith("near_duplicate in code/deduplicate/cluster: dropped 1 of ")
    assert below.index("\ndropped:\n") < below.index("z_near.py") < below.index("\nkept:\n")
    monkeypatch.setenv("COLUMNS", "120")
    beside = ocspec("data", "show", "code", "--rule", "near_duplicate", "-n", "1").out
    assert re.search(rf"^library/alpha/z_near\.py +library/alpha/{twins.name}$", beside, re.MULTILINE)
    rules = json.loads(ocspec("data", "show", "code", "-n", "1", "--json").out)["rules"]
    assert {"undecodable", "exact_duplicate", "near_duplicate", "num_chars_min"} <= {rule["rule"] for rule in rules}


def test_errors_say_what_to_do(ocspec, spec: Path) -> None:
    """Nothing built, no such data set, and command lines that ask for two things or none."""
    ocspec("compile", str(spec))
    for asked in (("why", "x.py"), ("why", "--check", "3"), ("data", "show", "code")):
        result = ocspec(*asked)
        assert result.code == 1, asked
        assert "run `ocspec submit`" in result.err, asked
    assert "choose one of code" in ocspec("data", "show", "coed").err
    assert ocspec("why").code == 64
    assert ocspec("why", "--rule", "a", "--check", "3").code == 64
    assert ocspec("why", "a.py", "build/tiny", "--rule", "a").code == 64
    assert ocspec("data").code == 64


def test_unknown_documents_and_rules_are_answered_with_the_nearest(ocspec, twins: Path) -> None:
    assert "did you mean library/alpha/z_" in ocspec("why", "library/alpha/z_naer.py").err
    assert "part of several ids" in ocspec("why", "library/alpha").err
    assert "did you mean num_chars_min" in ocspec("why", "--rule", "num_char_min").err
    assert "did you mean near_duplicate" in ocspec("data", "show", "code", "--rule", "near_duplicates").err


@pytest.mark.parametrize(("text", "said"), [("\x1b]0;x\x07", ["\\x1b]0;x\\x07"]), ("", []), ("\n \n", [])])
def test_heads_steer_no_terminal(text: str, said: list[str]) -> None:
    assert head(text) == said


def test_an_example_without_text_says_so() -> None:
    gone = lines(Example(doc_id="a\nb", value=1.0))
    assert gone == ["a\\nb", "  value 1", "  | (gone from the source, or not text)"]
