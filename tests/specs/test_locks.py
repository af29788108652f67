"""The locks of the experiments that ship: what a change of a default, a rule or an operator touches.

Made anew by `make locks`, or with UPDATE_GOLDEN=1; read the diff before it is committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocspec.cli.lock import targets
from ocspec.cli.lock_differences import compare, left_over, lines

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "specs").glob("*.py"), *(ROOT / "specs" / "ablations").glob("*.py")])
GOLDEN = ROOT / "tests" / "golden" / "specs"


@pytest.fixture
def _no_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The goldens are made where the corpus is not."""
    monkeypatch.delenv("CORPUS", raising=False)


@pytest.mark.usefixtures("_no_corpus")
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_the_lock_of_every_experiment_is_as_reviewed(spec: Path) -> None:
    found = targets(str(spec))
    locks = [compare(str(spec), *target, GOLDEN) for target in found]
    locks += left_over(str(spec), [target[0] for target in found], GOLDEN) if found else []
    if os.environ.get("UPDATE_GOLDEN"):
        for lock in locks:
            lock.write() if lock.after else lock.file.unlink()
        return
    wrong = [lock for lock in locks if lock.state != "unchanged"]
    said = [line for lock in wrong for line in lines(lock, lock.state, 120)]
    assert not wrong, "\n".join(["the locks say something else; if that is meant, `make locks`", *said])


def test_every_lock_is_of_an_experiment() -> None:
    stems = {spec.stem for spec in SPECS}
    assert {file.name.split(".")[0] for file in GOLDEN.glob("*.lock")} <= stems
    assert len(list(GOLDEN.glob("*.lock"))) == sum(len(targets(str(spec))) for spec in SPECS)


def changed_default(tmp_path: Path, module: str, before: str, after: str) -> subprocess.CompletedProcess[str]:
    """`ocspec lock --check` of all by an ocspec in which one default is another."""
    for package in ("ocspec", "compiler", "runtime"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / module).read_text()
    assert text.count(before) == 1
    (tmp_path / module).write_text(text.replace(before, after))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "120", "PYTHONSAFEPATH": "1"}
    environment.pop("CORPUS", None)
    return subprocess.run(
        [sys.executable, "-m", "ocspec.cli", "lock", "--check", "--out", str(GOLDEN), *map(str, SPECS)],
        cwd=ROOT / "specs", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_changed_default_shows_which_experiments_it_touches(tmp_path: Path) -> None:
    """Pages of a crawl are recalled at full scale, in miniature there is none."""
    default = "threshold: float = Field(\n        default=0.5"
    done = changed_default(tmp_path, "ocspec/sources.py", default, default.replace("0.5", "0.6"))
    assert done.returncode == 3, done.stderr
    touched = [line for line in done.stdout.splitlines() if line.endswith(".lock: is not what the spec says")]
    assert len(touched) == 4
    assert not any("mini" in line or "dedup_level" in line for line in touched)
    assert done.stdout.count("pages.threshold  0.5 -> 0.6") == 12
    assert done.stdout.count("automathtext_web.threshold  0.5 -> 0.6") == 4
    assert "10 locks, 4 not as the specs say" in done.stdout


def test_a_changed_rule_of_the_catalogue_is_a_line_in_every_experiment_that_filters_by_it(tmp_path: Path) -> None:
    rule = 'rule("num_words_min", "num_words", "<", 30'
    done = changed_default(tmp_path, "compiler/quality_rules/general.py", rule, rule.replace("30", "31"))
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("  ~ catalogue:num_words_min\n") == 10
    assert "code/refine" in done.stdout
    assert "code/sign" not in done.stdout
