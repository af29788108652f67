"""TaskContext and Artifact: what an operator is given, and nothing more."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from runtime.task import Artifact, TaskContext


def context(root: Path, **values: object) -> TaskContext:
    """A context below a directory."""
    places = {name: root / name for name in ("out", "scratch", "resume", "cache")}
    return TaskContext(task_id="t", **places, **values)  # type: ignore[arg-type]  # values are the fields' own


def artifact(root: Path, *names: str) -> Artifact:
    """An artefact with empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Artifact(path=root)


def test_files_of_an_output_are_sorted_and_of_one_kind(tmp_path: Path) -> None:
    """Parquet unless said otherwise; an output that is not there has none."""
    made = artifact(tmp_path, "t/2.parquet", "t/10.parquet", "t/note.txt", "other/1.parquet")
    assert [path.name for path in made.files("t")] == ["10.parquet", "2.parquet"]
    assert [path.name for path in made.files("t", "*.txt")] == ["note.txt"]
    assert made.files("none") == []


def test_files_of_a_role_are_those_of_all_its_artefacts_in_order(tmp_path: Path) -> None:
    """Order of the inputs first; a role that is not given has none."""
    made = (artifact(tmp_path / "b", "t/1.parquet"), artifact(tmp_path / "a", "t/1.parquet", "t/0.parquet"))
    ctx = context(tmp_path, inputs={"documents": made})
    found = [str(path.relative_to(tmp_path)) for path in ctx.files("documents", "t")]
    assert found == ["b/t/1.parquet", "a/t/0.parquet", "a/t/1.parquet"]
    assert ctx.files("selection", "t") == []


def test_input_is_the_only_artefact_of_its_role(tmp_path: Path) -> None:
    """None or two are a fault of the plan."""
    one = artifact(tmp_path / "one")
    assert context(tmp_path, inputs={"kept": (one,)}).input("kept") is one
    with pytest.raises(ValueError, match="too many"):
        context(tmp_path, inputs={"kept": (one, one)}).input("kept")
    with pytest.raises(KeyError):
        context(tmp_path).input("kept")


def test_output_directories_are_made_when_asked_for(tmp_path: Path) -> None:
    """Twice is once, and nothing is made before."""
    ctx = context(tmp_path)
    assert not ctx.out.exists()
    assert ctx.output("keys") == ctx.output("keys") == tmp_path / "out" / "keys"
    assert [path.name for path in ctx.out.iterdir()] == ["keys"]


def test_stats_are_each_contexts_own_and_the_rest_is_frozen(tmp_path: Path) -> None:
    """A default is not shared; progress without a listener is silent."""
    one, other = context(tmp_path), context(tmp_path)
    one.stats["in"] = 1
    assert other.stats == {}
    one.progress(1, 2, "documents")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.shard = 2  # type: ignore[misc]
