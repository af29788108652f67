"""ocspec diff: causes as a tree, and the tasks that they touch."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from compiler.diff import Change
from ocspec.cli import changes

DIFFERENCE = """\
1 change
  ~ curriculum.stages.pretrain.schedule.peak  0.001 -> 0.002  [train]

task                  action       because
pretrain/train        rebuild      schedule.peak
anneal/train          rebuild      schedule.peak through pretrain/train
anneal/bits_per_byte  may cut off  schedule.peak through anneal/train

14 tasks: 11 reuse, 2 rebuild, 0 new, 1 may cut off, 0 removed
"""


def changed(spec: Path, *replacements: tuple[str, str]) -> str:
    text = spec.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    Path("changed.py").write_text(text)
    return "changed.py"


def test_a_cause_and_what_it_touches(ocspec, spec: Path) -> None:
    other = changed(spec, ("peak=1e-3", "peak=2e-3"))
    assert ocspec("diff", str(spec), other) == (0, DIFFERENCE, "")
    assert ocspec("diff", str(spec), other, "--exit-code").code == 2


def test_a_spec_does_not_differ_from_its_plan(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    for side in ("build/tiny", "build/tiny/plan.json", "tiny.py:experiment"):
        result = ocspec("diff", str(spec), side, "--exit-code")
        assert result == (0, "no difference; all 14 tasks are the same\n", "")


def test_a_note_is_a_difference_that_touches_nothing(ocspec, spec: Path) -> None:
    result = ocspec("diff", str(spec), changed(spec, ('name="tiny",', 'name="tiny", note="x",')), "--exit-code")
    assert result.code == 2
    assert '~ note  "" -> "x"  [doc]' in result.out
    assert "14 tasks: 14 reuse," in result.out


def test_the_difference_as_json(ocspec, spec: Path) -> None:
    result = ocspec("diff", str(spec), changed(spec, ("peak=1e-3", "peak=2e-3")), "--json", "--exit-code")
    diff = json.loads(result.out)
    assert result.code == 2
    assert (diff["format_version"], diff["kind"]) == (1, "diff")
    assert diff["changes"][0]["path"] == "curriculum.stages.pretrain.schedule.peak"
    assert len(diff["tasks"]) == 14


def test_long_values_are_cut_to_the_terminal(ocspec, spec: Path) -> None:
    long = changed(spec, ('name="tiny",', f'name="tiny", note="{"n" * 200}",'))
    lines = ocspec("diff", str(spec), long).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "..." in lines[1]


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
