"""Specs of other revisions: a real repository, its own helpers, its own data, and what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.compile import compile_experiment
from compiler.diff import diff_plans
from compiler.errors import UserError
from compiler.load import Reference, load_spec
from compiler.plan import Plan
from compiler.revisions import original

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
PRELUDE = "from ocspec import *; from small import *\n"


def git(*arguments: str) -> str:
    """A git command that knows who commits and nobody's settings."""
    who = {f"GIT_{role}_{what}": f"{role}@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def commit(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write files below the working directory, and commit everything; returns the commit."""
    monkeypatch.chdir(workplace)
    git("init", "-q", "-b", "main")

    def write(**texts: str) -> str:
        for name, text in texts.items():
            path = Path(name.replace("__", "/").replace("INIT", "__init__") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "a step")
        return git("rev-parse", "HEAD")

    return write


def problem(reference: str) -> UserError:
    with pytest.raises(UserError) as error:
        load_spec(reference)
    return error.value


def plan_of(reference: str) -> Plan:
    return compile_experiment(*load_spec(reference))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.py", ("a.py", "", None)),
        ("a.py:b", ("a.py", "b", None)),
        ("a.py@HEAD~1", ("a.py", "", "HEAD~1")),
        ("x/a.py:b@feature/x", ("x/a.py", "b", "feature/x")),
        ("a.py@main@{1 day ago}", ("a.py", "", "main@{1 day ago}")),
        ("me@home/a.py", ("me@home/a.py", "", None)),
        ("a.py@", ("a.py", "", "")),
        ("a.txt", ("a.txt", "", None)),
    ],
)
def test_the_parts_of_a_reference(text: str, parts: tuple[str, str, str | None]) -> None:
    found = Reference.read(text)
    assert (found.file, found.name, found.revision) == parts


def test_a_file_with_an_at_in_its_name_is_that_file(commit) -> None:
    Path("a.py@v1").write_text("")
    assert Reference.read("a.py@v1") == Reference(file="a.py@v1")


def test_a_spec_of_a_revision_and_of_the_working_tree(commit) -> None:
    """By commit, tag, branch and distance; whatever the working tree has in its place."""
    first = commit(spec=PRELUDE + "experiment = small(name='one')")
    git("tag", "v1")
    commit(spec=PRELUDE + "experiment = small(name='two')\nother = small(name='other')")
    Path("spec.py").write_text(PRELUDE + "experiment = small(name='three')")
    for revision in (first, first[:8], "v1", "HEAD~1", "main~1"):
        assert load_spec(f"spec.py@{revision}")[0].name == "one"
    assert load_spec("spec.py@main")[0].name == "two"
    assert load_spec("spec.py:other@main")[0].name == "other"
    assert load_spec("spec.py")[0].name == "three"


def test_each_revision_has_its_own_helpers(commit) -> None:
    """Beside the spec, in the folder above, in a package of the repository: neither is taken for the other."""
    for name in ("one", "two"):
        commit(
            specs__beside=f"BESIDE = '{name}'",
            above=f"ABOVE = '{name}'",
            lab__INIT="",
            lab__names=f"LAB = '{name}'",
            specs__spec=PRELUDE
            + "from beside import BESIDE; from above import ABOVE; from lab.names import LAB\n"
            + "experiment = small(name='-'.join([BESIDE, ABOVE, LAB]))",
        )
    modules, path = set(sys.modules), list(sys.path)
    for _ in range(2):
        assert load_spec("specs/spec.py@HEAD~1")[0].name == "one-one-one"
        assert load_spec("specs/spec.py")[0].name == "two-two-two"
    assert (set(sys.modules), sys.path) == (modules, path)


def test_a_package_that_is_loaded_already_gives_way_to_the_revisions(commit, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of an editable installation; afterwards it is there again, the very same."""
    for name in ("one", "two"):
        commit(
            src__lab__INIT=f"NAME = '{name}'",
            deep__down__below__spec=PRELUDE.replace("small", "lab_small")
            + "import lab\nexperiment = small(name=lab.NAME)",
            src__lab_small=Path("small.py").read_text(),
        )
    monkeypatch.syspath_prepend(str(Path("src").resolve()))
    import lab  # type: ignore[import-not-found]

    assert load_spec("deep/down/below/spec.py@HEAD~1")[0].name == "one"
    assert load_spec("deep/down/below/spec.py")[0].name == "two"
    assert sys.modules.pop("lab") is lab
    assert lab.NAME == "two"


def test_a_file_that_is_gone_since_is_found_where_it_was(commit) -> None:
    commit(old__spec=PRELUDE + "experiment = small(name='gone')", old__small=Path("small.py").read_text())
    git("rm", "-q", "-r", "old")
    commit()
    assert not Path("old").exists()
    assert load_spec("old/spec.py@HEAD~1")[0].name == "gone"


def test_data_is_of_the_revision_and_untracked_data_of_the_working_tree(commit) -> None:
    """What changed in git is a difference; what git does not have is the same on both sides."""
    Path(".gitignore").write_text("pairs.jsonl\nrepositories\n")
    commit(spec=PRELUDE + "experiment = small()")
    assert not diff_plans(plan_of("spec.py@HEAD"), plan_of("spec.py")).differs
    Path("files.jsonl").write_text('{"repo": "alpha", "path": "a.py", "content": "x = 2"}\n' * 100)
    assert diff_plans(plan_of("spec.py@HEAD"), plan_of("spec.py")).ids("rebuild") == ("code/sign", "code/refine")
    ignored = (
        PRELUDE
        + "tree = Directory(name='tree', path='repositories')\nexperiment = small(data=(code(sources=(tree,)),))"
    )
    commit(spec=ignored)
    assert not diff_plans(plan_of("spec.py@HEAD"), plan_of("spec.py")).differs


def test_a_plan_of_a_revision_names_no_place_of_this_machine(commit) -> None:
    """Its tasks come from lines of the spec, and its paths start in the working tree."""
    commit(spec=PRELUDE + "experiment = small()")
    experiment, base = load_spec("spec.py@HEAD")
    assert original(base) == Path.cwd().resolve()
    assert {task.origin.partition(":")[0] for task in compile_experiment(experiment, base).tasks} == {"small.py"}


def test_problems_of_a_revision_say_which(commit) -> None:
    commit(spec=PRELUDE + "a = MinHash(bands=0)\nexperiment = small()", raises=PRELUDE + "\n1 / 0", broken="(")
    assert str(problem("spec.py@HEAD")).startswith("spec.py@HEAD:2: MinHash.bands: ")
    assert problem("raises.py@main").where == "raises.py@main:3"
    assert problem("broken.py@main").where == "broken.py@main:1"


def test_an_unknown_revision_is_answered_with_a_close_one(commit) -> None:
    commit(spec=PRELUDE + "experiment = small()")
    git("tag", "release-1")
    error = problem("spec.py@relaese-1")
    assert (error.what, error.where) == ("there is no revision 'relaese-1'", "spec.py@relaese-1")
    assert error.fix == "did you mean release-1?"
    for revision in ("", "--all", "0" * 40, "HEAD:spec.py"):
        assert problem(f"spec.py@{revision}").what == f"there is no revision {revision!r}"


def test_a_file_that_a_revision_lacks(commit) -> None:
    """It came later, was moved, was never committed, or never was."""
    commit(first=PRELUDE + "experiment = small()")
    commit(inner__spec=PRELUDE + "experiment = small()")
    added = commit(later=PRELUDE + "experiment = small()")
    error = problem("later.py@HEAD~2")
    assert error.what.startswith("later.py is not in ")
    assert error.fix == f"it was added in {git('rev-parse', '--short', added)}"
    assert problem("spec.py@HEAD").fix == "did you mean inner/spec.py?"
    Path("uncommitted.py").write_text("")
    assert problem("uncommitted.py@HEAD").fix == "it was never committed"
    assert problem("xyz.py@HEAD").fix == "name a revision that has it"


def test_outside_of_a_repository_git_says_so(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workplace))
    Path("spec.py").write_text(PRELUDE + "experiment = small()")
    error = problem("spec.py@HEAD")
    assert error.what.startswith("git says: not a git repository")
    monkeypatch.setenv("PATH", str(workplace))
    assert problem("spec.py@HEAD").what == "git is not installed"


def test_nothing_of_the_repository_changes(commit) -> None:
    """Neither its index, nor its worktrees, nor what a hook would write."""
    commit(spec=PRELUDE + "experiment = small()")
    for name in ("post-checkout", "post-index-change", "fsmonitor"):
        hook = Path(".git/hooks") / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text('#!/bin/sh\ntouch "$(git rev-parse --show-toplevel)/hooked"\n')
        hook.chmod(0o755)
    git("config", "core.fsmonitor", str(hook.resolve()))
    git("update-index", "--refresh")
    assert Path("hooked").exists()
    Path("hooked").unlink()
    Path("spec.py").write_text("changed")
    index, listed = Path(".git/index").read_bytes(), sorted(map(str, Path().rglob("*")))
    load_spec("spec.py@HEAD")
    assert sorted(map(str, Path().rglob("*"))) == listed
    assert Path(".git/index").read_bytes() == index
    assert git("worktree", "list").count("\n") == 0
