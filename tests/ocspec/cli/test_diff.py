"""ocspec diff: causes as a tree, the tasks that they touch and why, what that takes, and the same as a function."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.diff import Change
from ocspec.cli import changes

PEAK = ("peak=1e-3", "peak=2e-3")
DIFFERENCE = """\
1 change
  ~ curriculum.stages.pretrain.schedule.peak  0.001 -> 0.002  [train]

task                  action       TIME     because
pretrain/train        rebuild      TIME     schedule.peak: 0.001 -> 0.002
anneal/train          rebuild      TIME     schedule.peak: 0.001 -> 0.002 through
                                            pretrain/train
anneal/bits_per_byte  may cut off  TIME     schedule.peak: 0.001 -> 0.002 through
                                            anneal/train

Plan: 11 reuse, 2 rebuild, 1 may cut off - TAKEN
"""


def changed(spec: Path, *replacements: tuple[str, str]) -> str:
    text = spec.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    Path("changed.py").write_text(text)
    return "changed.py"


def words(text: str) -> list[str]:
    """A difference without what depends on rates: times, sums and the width of their columns."""
    text = re.sub(r"( - |\n {6})[\d>].* written", " - TAKEN", text)
    text = re.sub(r"(<= |>= )?[\d.]+( \w+)?(-[\d.]+)? (s|min|h|d)(?=  )", "TIME", text)
    return text.replace("  time  ", "  TIME  ").split()


# ---------------------------------------------------------------- what is shown


def test_a_cause_and_what_it_touches(ocspec, spec: Path) -> None:
    other = changed(spec, PEAK)
    result = ocspec("diff", str(spec), other)
    assert (result.code, words(result.out), result.err) == (0, words(DIFFERENCE), "")
    assert ocspec("diff", str(spec), other, "--exit-code").code == 2
    assert max(map(len, result.out.splitlines())) <= 80


def test_more_of_what_it_takes_where_there_is_room(ocspec, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens of the stages are exact: 3 and 2 steps of 2 x 32."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = ocspec("diff", str(spec), changed(spec, PEAK)).out.splitlines()
    assert lines[3].split() == ["task", "action", "time", "tokens", "FLOPs", "CPU", "time", "because"]
    assert re.match(r"pretrain/train +rebuild .* 192 ", lines[4])
    assert lines[-1].startswith("Plan: 11 reuse, 2 rebuild, 1 may cut off - 320 tokens, ")


def test_a_spec_does_not_differ_from_its_plan(ocspec, spec: Path) -> None:
    """By path, by directory, by the name that it was compiled under."""
    ocspec("compile", str(spec))
    for side in ("build/tiny", "build/tiny/plan.json", "tiny", "tiny.py:experiment"):
        result = ocspec("diff", str(spec), side, "--exit-code")
        assert result == (0, "no difference; all 14 tasks are the same\n", "")


def test_a_note_is_a_difference_that_touches_nothing(ocspec, spec: Path) -> None:
    for change in (('name="tiny",', 'name="tiny", note="x",'), ('name="tiny",', 'name="tiny", shards=3,')):
        result = ocspec("diff", str(spec), changed(spec, change), "--exit-code")
        assert result.code == 2
        assert result.out.splitlines()[0] == "1 change"
        assert result.out.splitlines()[-1] == "Plan: 14 reuse - 0 tasks to build"


def test_what_is_removed_needs_no_building(ocspec, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    result = ocspec(
        "diff", str(spec), changed(spec, ('stages=("anneal",), max_bytes=2000', 'stages=("pretrain",), max_bytes=2000'))
    )
    assert re.search(
        r"^anneal/bits_per_byte +removed +bits_per_byte.stages: \[\"anneal\"\] -> \[\"pretrain\"\]$", result.out, re.M
    )
    assert "Plan: 12 reuse, 2 new, 2 removed - " in result.out


def test_a_file_that_was_edited_is_told_by_its_digest(ocspec, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spec is as it was."""
    monkeypatch.setenv("COLUMNS", "160")
    ocspec("compile", str(spec))
    file = next(Path("repositories/alpha").iterdir())
    file.write_text(file.read_text() + "\n# one more line\n")
    result = ocspec("diff", "tiny", str(spec))
    assert result.out.startswith("0 changes\n")
    assert "code/sign readers[0].digest: bytes:" in result.out


def test_ignored_changes_are_counted(ocspec, spec: Path) -> None:
    other = changed(
        spec, PEAK, ('name="tiny",', 'name="tiny", note="x",'), ('name="library",', 'name="library", note="y",')
    )
    result = ocspec("diff", str(spec), other, "--ignore", "note")
    assert result.out.splitlines()[0] == "1 change, 2 ignored"
    result = ocspec(
        "diff", str(spec), changed(spec, ('name="tiny",', 'name="tiny", note="x",')), "--ignore", "n?te", "--exit-code"
    )
    assert (result.code, result.out) == (0, "no difference but 1 ignored; all 14 tasks are the same\n")


def test_a_pattern_that_fits_no_place_is_said(ocspec, spec: Path) -> None:
    """Once for each, with what was meant; what differs is shown all the same."""
    other = changed(spec, PEAK)
    result = ocspec("diff", str(spec), other, "--ignore", "pretrain.sead", "--ignore", "stages.*.nte", "--ignore", "x[")
    assert words(result.out) == words(DIFFERENCE)
    nothing = "fits no place of either side, and leaves nothing out"
    assert result.err.splitlines() == [
        f"warning: --ignore pretrain.sead: {nothing}",
        "  fix: did you mean curriculum.stages.pretrain.seed?",
        f"warning: --ignore stages.*.nte: {nothing}",
        "  fix: did you mean curriculum.stages.pretrain.note or curriculum.stages.anneal.note?",
        f"warning: --ignore x[: {nothing}",
        "  fix: write a path as `ocspec diff` shows it",
    ]
    assert ocspec("diff", other, "--sweep", "pretrain.seed=1,2,3", "--ignore", "sead").err.count("warning: ") == 1
    assert json.loads(ocspec("diff", str(spec), other, "--ignore", "sead", "--json").out)["ignored"] == 0


def test_a_pattern_that_fits_a_place_is_silent_where_nothing_changed_there(ocspec, spec: Path) -> None:
    """A place of one of the two sides, or of one arm, is enough; an order is a place, too."""
    again = ("evaluations=(", 'evaluations=(BitsPerByte(name="again", stages=("anneal",), max_bytes=1000), ')
    longer = changed(spec, again)
    for pattern in ("pretrain.seed", "stages.*.seed", "n?te", "evaluations (order)", "again.max_bytes"):
        for sides in ((str(spec), longer), (longer, str(spec))):
            assert ocspec("diff", *sides, "--ignore", pattern).err == "", pattern
    schedules = "pretrain.schedule=WSD(peak=1e-3, warmup_steps=2),Cosine(peak=1e-3, warmup_steps=2, end=1e-4)"
    assert ocspec("diff", str(spec), "--sweep", schedules, "--ignore", "pretrain.schedule.end").err == ""
    assert "pretrain.schedule.end" in ocspec("diff", str(spec), longer, "--ignore", "pretrain.schedule.end").err


def test_all_shows_what_is_reused_too(ocspec, spec: Path) -> None:
    other = changed(spec, PEAK)
    assert "code/sign" not in ocspec("diff", str(spec), other).out
    assert re.search(r"^code/sign +reuse", ocspec("diff", str(spec), other, "--all").out, re.M)


def test_the_difference_as_json(ocspec, spec: Path) -> None:
    result = ocspec("diff", str(spec), changed(spec, PEAK), "--json", "--exit-code")
    diff = json.loads(result.out)
    assert result.code == 2
    assert (diff["format_version"], diff["kind"]) == (1, "diff")
    assert diff["changes"][0]["path"] == "curriculum.stages.pretrain.schedule.peak"
    tasks = {task["id"]: task for task in diff["tasks"]}
    assert len(tasks) == 14
    assert tasks["anneal/train"]["caused_by"] == ["pretrain/train"]
    assert tasks["anneal/train"]["estimate"]["tokens"] == {"low": 128, "high": 128}
    assert tasks["code/sign"]["estimate"] is None
    assert diff["causes"]["pretrain/train"][0]["after"] == 0.002
    assert diff["total"]["trained_tokens"] == {"low": 320, "high": 320}
    assert (diff["delta"], diff["ignored"]) == ([], 0)


def test_long_values_are_cut_to_the_terminal(ocspec, spec: Path) -> None:
    long = changed(spec, ('name="tiny",', f'name="tiny", note="{"n" * 200}",'))
    lines = ocspec("diff", str(spec), long).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "..." in lines[1]


MANY = """
def part(n):
    return code.replace(name=f"part{n}", steps=(Admit(), Redact(pii=PII), Filter(seed=n)))

mixture = Mixture(parts=tuple(Part(dataset=f"part{n}", weight=1, max_epochs=9000) for n in range(40)))
batches = (Batches(steps=400, global_batch=2, sequence_length=32),)
stages = tuple(s.replace(mixture=mixture, batches=batches, seed=SEED) for s in experiment.curriculum.stages)
experiment = experiment.replace(data=tuple(map(part, range(40))), curriculum=Curriculum(stages=stages))
"""


def test_what_is_alike_is_gathered_where_there_is_much(ocspec, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each step and reason, and not for each of 40 data sets; --all has them one by one."""
    monkeypatch.setenv("COLUMNS", "160")
    for name, pii, seed in (("one", True, 0), ("two", False, 7)):
        Path(f"{name}.py").write_text(f"{spec.read_text()}\nPII, SEED = {pii}, {seed}\n{MANY}")
    out, err = ocspec("diff", "one.py", "two.py")[1:]
    assert not err
    lines = out.splitlines()
    assert len(lines) < 30
    assert lines[0] == "42 changes"
    assert "  ~ data.*.steps.redact.pii (40)  true -> false  [data]" in lines
    assert re.search(r"^\*/refine \(40\) +rebuild .* data\.\*\.steps\.redact\.pii: true -> false$", out, re.M)
    assert re.search(r"^\*/encode \(40\) +may cut off ", out, re.M)
    everything = ocspec("diff", "one.py", "two.py", "--all").out.splitlines()
    assert sum("/refine " in line for line in everything) >= 40
    assert sum(line.strip().startswith("~ part") for line in everything) == 40


# ---------------------------------------------------------------- sides


def test_one_side_with_some_values_set(ocspec, spec: Path) -> None:
    """Of the side after, or without one of the side before."""
    result = ocspec("diff", str(spec), "--set", "pretrain.schedule.peak=2e-3")
    assert words(result.out) == words(DIFFERENCE)
    result = ocspec("diff", changed(spec, PEAK), str(spec), "--set", "pretrain.schedule.peak=2e-3", "--exit-code")
    assert result.code == 0
    delta = json.loads(ocspec("diff", str(spec), "--set", "shards=4", "--json").out)["delta"]
    assert delta == [{"path": "shards", "before": None, "after": 4}]


def test_arms_are_compared_one_by_one(ocspec, spec: Path) -> None:
    argv = ("diff", str(spec), "--sweep", "pretrain.schedule.peak=1e-3,2e-3,3e-3", "--sweep", "pretrain.seed=0,1")
    result = ocspec(*argv, "--exit-code")
    assert result.code == 2
    assert (
        len(re.findall(r"^tiny-peak_0.00[23]-seed_0 +2 rebuild, 1 may cut off  +320 tokens, ", result.out, re.M)) == 2
    )
    assert re.search(r"^tiny-peak_0.001-seed_0 +0 tasks *$", result.out, re.M)
    assert result.out.splitlines()[-1] == "6 arms, 84 tasks, of which 31 are different and 17 not in the side before"
    arms = json.loads(ocspec(*argv, "--json").out)["arms"]
    assert [len(arm["changes"]) for arm in arms] == [0, 1, 1, 2, 1, 2]


def test_what_cannot_be_compared(ocspec, spec: Path) -> None:
    result = ocspec("diff", str(spec))
    assert result.code == 1
    assert "there is nothing to compare it with" in result.err
    assert "`ocspec diff tiny.py@HEAD tiny.py` shows what is not committed" in result.err
    ocspec("compile", str(spec))
    result = ocspec("diff", str(spec), "tiny", "--set", "shards=3")
    assert "this is a plan, of which nothing can be set" in result.err
    assert "cannot be read" in ocspec("diff", str(spec), "nowhere").err


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_revision_against_the_working_tree(ocspec, spec: Path) -> None:
    who = {f"GIT_{role}_{what}": "x@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for argv in (("init", "-q"), ("add", "tiny.py"), ("commit", "-q", "-m", "a step")):
        subprocess.run(["git", *argv], check=True, env={**os.environ, **who})
    spec.write_text(spec.read_text().replace(*PEAK))
    assert words(ocspec("diff", "tiny.py@HEAD", "tiny.py").out) == words(DIFFERENCE)
    assert ocspec("diff", "tiny.py@HEAD", "tiny.py@HEAD", "--exit-code").code == 0
    assert "there is no revision 'HAED'" in ocspec("diff", "tiny.py@HAED", "tiny.py").err
    assert ocspec("compile", "tiny.py@HEAD").code == 0
    assert Path("build/tiny/base").read_text().strip() == str(Path.cwd())


# ---------------------------------------------------------------- as a function


def test_the_difference_as_a_function_makes_the_arm(ocspec, spec: Path) -> None:
    """Kept in a file beside the spec it is an arm of an ablation; of plans it is the same function."""
    other = changed(spec, PEAK)
    text = ocspec("diff", str(spec), other, "--as-function", "hotter").out
    Path("hotter.py").write_text(text)
    Path("arm.py").write_text(
        "from hotter import hotter\nfrom tiny import experiment as base\nexperiment = hotter(base)\n"
    )
    assert ocspec("diff", "arm.py", other, "--exit-code").code == 0
    for name, side in (("one", str(spec)), ("two", other)):
        ocspec("compile", side, "--out", name)
    assert ocspec("diff", "one", "two", "--as-function", "hotter").out == text
    assert ocspec("diff", str(spec), "--set", "pretrain.schedule.peak=2e-3", "--as-function", "hotter").out == text
    assert ocspec("diff", str(spec), other, "--as-function", "a b").code == 1
    assert ocspec("diff", str(spec), "--as-function", "x", "--sweep", "shards=1,2").code == 1


def test_a_function_says_of_as_many_changes_as_diff(ocspec, spec: Path) -> None:
    """Of a child before the others it has the order, too, and of another experiment the name."""
    again = ("evaluations=(", 'evaluations=(BitsPerByte(name="again", stages=("anneal",), max_bytes=1000), ')
    other = changed(spec, PEAK, again, ('name="tiny",', 'name="other",'))
    assert ocspec("diff", str(spec), other).out.startswith("2 changes\n")
    text = ocspec("diff", str(spec), other, "--as-function", "hotter").out
    assert '"""From tiny to other: 2 changes."""' in text
    assert ('"name": "other"' in text, '"evaluations (order)": ' in text) == (True, True)


def test_what_a_function_cannot_take_is_refused(ocspec, spec: Path) -> None:
    """And not left out without a word."""
    other = changed(spec, PEAK)
    for option in (("--ignore", "note"), ("--all",), ("--profile", "local"), ("--no-calibration",), ("--store", "x")):
        result = ocspec("diff", str(spec), other, "--as-function", "hotter", *option)
        assert (result.code, result.out) == (1, ""), option
        assert f"leave out {option[0]}" in result.err
    ocspec("compile", str(spec))
    for sides in ((str(spec), "tiny"), ("tiny",)):
        result = ocspec("diff", *sides, "--set", "shards=3", "--as-function", "x")
        assert "this is a plan, of which nothing can be set" in result.err


# ---------------------------------------------------------------- the tree


def described(name: str, fields: dict[str, object]) -> dict[str, object]:
    return {"kind": name, "fields": fields}


def test_siblings_share_a_line_of_the_tree() -> None:
    spec = described("E", {"model": described("M", {"width": 1, "depth": 1}), "seed": 0})
    both = [
        Change(path=path, kind="changed", change_class="train", before=1, after=2)
        for path in ("model.width", "model.depth", "seed")
    ]
    rows = list(changes.change_rows(both, [spec, spec]))
    assert [row[0] for row in rows] == ["model", "  ~ width", "  ~ depth", "~ seed"]
    assert rows[1][1:] == ("1 -> 2", "train")


def test_added_and_removed_parts_are_shown_as_they_are_written() -> None:
    part = {"kind": "Part", "dataset": "code", "weight": "1", "note": ""}
    added = Change(path="parts.code", kind="added", change_class="data", after=part)
    removed = Change(path="parts.old", kind="removed", change_class="data", before=part)
    rows = list(changes.change_rows([added, removed], [described("Mixture", {"parts": {"keyed": {}}})]))
    assert rows[1] == ("  + code", 'Part(dataset="code", weight="1")', "data")
    assert rows[2][0] == "  - old"


NAMES = st.text("ab.@1", min_size=1, max_size=5).filter(lambda name: name.strip(".") == name)
TREES = st.recursive(
    st.just(0),
    lambda below: st.dictionaries(NAMES, below, min_size=1, max_size=3).map(lambda d: {"map": d}),
    max_leaves=8,
)


@given(TREES, st.data())
def test_the_parts_of_a_path_make_up_the_path(tree: object, data: st.DataObject) -> None:
    """Whatever dots the names hold."""
    path, node = [], tree
    while isinstance(node, dict):
        name = data.draw(st.sampled_from(sorted(node["map"])))
        path.append(name)
        node = node["map"][name]
    whole = ".".join(path)
    assert ".".join(changes.components(whole, [tree])) == whole


def test_a_change_of_order_stays_in_one_piece() -> None:
    spec = described("E", {"data": {"keyed": {"a": 0, "b": 0}}})
    assert changes.components("data (order)", [spec]) == ["data (order)"]
