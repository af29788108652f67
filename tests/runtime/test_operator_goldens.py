"""What operators write on fixed text, by version: bytes that change without a new version fail here.

Most are in the tiny experiment, whose corpus is taken from Python's standard library: where that, a package that learns
or the processor differs, the test is skipped. The others read text of the repository. UPDATE_GOLDEN=1 writes goldens
anew, but refuses what changed under the same version on the same inputs. What needs the training environment is in
tests/stacks/test_goldens.py.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.compile import compile_experiment
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.smoke import smoke
from compiler.write import write_plan
from runtime.operators import RUNTIMES
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench
from tests.runtime.data.test_fetch import wheel
from tests.runtime.golden_experiments import TEXT, package_files, packaged, recalled, rehearsed, write_pages
from tests.runtime.goldens import GOLDEN, Golden, Made, changed, hold, text_of

EXPERIMENTS = ("tiny", "packaged", "recalled", "rehearsed")
IN_TRAINING_ENVIRONMENT = {"train.nemo", "train.megatron"}
"""Operators that run in no other; tests/stacks/test_goldens.py makes their goldens."""


@pytest.fixture(scope="module")
def made_tiny(finished: tuple[Workbench, Plan, Path, Summary], corpus: Path) -> Made:
    """The tiny experiment."""
    bench, plan, _, _ = finished
    return Made(plan, bench.store, text_of(corpus), shared=False)


@pytest.fixture(scope="module")
def made_packaged(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Packages that pip takes from a directory, and pairs."""
    root = tmp_path_factory.mktemp("packaged")
    (index := root / "index").mkdir()
    names = sorted(path.name for path in (TEXT / "packages").iterdir())
    packages = [wheel(index, *name.split("@"), package_files(name)) for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_FIND_LINKS", str(index))
        patch.setenv("PIP_NO_INDEX", "1")
        patch.delenv("PIP_CONFIG_FILE", raising=False)
        plan = compile_experiment(packaged(packages), root)
        wanted = ("code/decontaminate", "pretrain/held-out", "instructions/own/decontaminate")
        return Made(plan, untrained(root, plan, wanted), text_of(TEXT))


@pytest.fixture(scope="module")
def made_recalled(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A crawl."""
    root = tmp_path_factory.mktemp("recalled")
    write_pages(root)
    plan = compile_experiment(recalled(root), root)
    return Made(plan, untrained(root, plan, ("web/fetch-crawl",)), text_of(TEXT))


@pytest.fixture(scope="module")
def made_rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The made-up text of a rehearsal."""
    root = tmp_path_factory.mktemp("rehearsed")
    plan = smoke(compile_experiment(rehearsed("torch"), root))
    return Made(plan, untrained(root, plan, ("code/pack", "prose/pack", "tune/encode-tasks")), "")


def untrained(root: Path, plan: Plan, wanted: tuple[str, ...]) -> Store:
    """A store with some tasks of a plan and all that they read."""
    path, bench = write_plan(plan, root / "build", root, Profile()), Workbench(root, TEXT)
    for task in wanted:
        summary = bench.run(plan, path, until=task)
        assert not summary.failed, summary
    return bench.store


@pytest.fixture
def made(request: pytest.FixtureRequest, op_id: str) -> Made:
    """The first of the experiments that uses an operator; those after it are not run."""
    experiments = (request.getfixturevalue(f"made_{name}") for name in EXPERIMENTS)
    return next(made for made in experiments if op_id in made.operators())


@pytest.mark.parametrize("op_id", sorted(set(RUNTIMES) - IN_TRAINING_ENVIRONMENT))
def test_bytes_change_with_the_version(op_id: str, made: Made) -> None:
    """What an operator writes is what its version wrote before."""
    hold(op_id, made.golden(op_id))


def test_every_operator_that_runs_has_a_golden() -> None:
    """A new operator must be put into an experiment. One that nothing runs writes nothing: `eval.benchmark`."""
    assert {path.stem for path in GOLDEN.glob("*.*.txt")} == set(RUNTIMES)
    assert set(ir.OPERATORS) - set(RUNTIMES) == {"eval.benchmark"}


def test_goldens_are_of_the_present_versions() -> None:
    """Those of the training environment, too, where that is not installed."""
    goldens = {op_id: Golden.read(op_id) for op_id in RUNTIMES}
    stale = [op_id for op_id, golden in goldens.items() if golden and golden.version != ir.OPERATORS[op_id].op_version]
    assert not stale, f"run tests/stacks/test_goldens.py or this module with UPDATE_GOLDEN=1 for {', '.join(stale)}"


def test_a_change_under_the_same_version_is_seen_where_it_is_made() -> None:
    """Not in those that only read other bytes."""
    before = Golden(1, "here", {"a": ("1", "2"), "b": ("2", "3")})
    after = Golden(1, "here", {"a": ("1", "9"), "b": ("9", "8")})
    assert changed(before, after) == ["a"]
    assert changed(before, attrs.evolve(after, version=2)) == []
