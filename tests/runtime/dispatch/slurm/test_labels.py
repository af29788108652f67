"""Labels: safe, distinct, short enough, and read back from what Slurm shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.dispatch.slurm.labels import MAX_WORD, SUPERVISOR, Label, logs_of, read, slug, tag_of

TEXTS = st.text(max_size=80)
FILE_NAME = st.characters(exclude_characters="\0/", exclude_categories=["Cs"])


def test_no_task_has_the_name_of_the_supervisor():
    """The supervisor's jobs are told from a task's by that word alone."""
    assert slug("supervisor") != SUPERVISOR


@given(st.lists(TEXTS, unique=True, max_size=6))
@settings(max_examples=60)
def test_names_are_safe_and_differ_where_texts_differ(texts):
    """Whatever a task is called, its name is one plain word of bounded length, and no other task's."""
    names = [slug(text) for text in texts]
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) and len(name) <= MAX_WORD for name in names)
    assert len(set(names)) == len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b", "a--b"), ("a b", "a-b"), ("a", "a."), ("", "-"), ("x" * 60, "x" * 61), ("ü", "ö")],
)
def test_texts_that_look_alike_get_different_names(one, other):
    """Cleaning a name must not make two tasks one."""
    assert slug(one) != slug(other)


@given(task=TEXTS, run=st.text(FILE_NAME, min_size=1, max_size=80))
def test_a_label_is_read_back_from_its_text(task, run):
    """And is shorter than 100 characters, where some sites cut."""
    label = Label(tag_of(Path("/runs") / run), slug(task), "0a1b2c3d")
    assert read(label.text) == read("interactive", label.text) == label
    assert len(label.text) < 100


@pytest.mark.parametrize(
    "texts",
    [
        ("bash",),
        ("", ""),
        ("clean.run7",),
        ("clean.run7.5c7923b",),
        ("clean.run7.5c7923bg",),
        ("clean.run7.5C7923BD",),
        (".run7.5c7923bd",),
        ("clean..5c7923bd",),
        ("run7.5c7923bd", "(null)"),
        ("clean.run7.5c7923bd.x",),
    ],
)
def test_strangers_are_not_read_as_ours(texts):
    """Names that merely look similar have no label."""
    assert read(*texts) is None


def test_the_same_run_has_the_same_mark_in_every_process(tmp_path, monkeypatch):
    """Status and cancel find jobs that another process submitted; another directory has another mark."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tag_of(tmp_path / "a") == tag_of(Path("a")) == tag_of(tmp_path / "b" / ".." / "a")
    assert tag_of(tmp_path / "a") != tag_of(tmp_path / "b" / "a")
    assert "." not in tag_of(tmp_path / "v1.5")  # the dot ends it in a job's name


def test_logs_stay_in_their_directory(tmp_path):
    """Also those of a task that is called like a way out."""
    assert logs_of(tmp_path, "../../etc").parent == tmp_path / "logs" / "slurm"
