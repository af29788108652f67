"""What `compile` writes: whole or not at all, and the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from compiler.errors import UserError
from compiler.plan import PLAN_FILE, Plan, load
from compiler.profile import Profile
from compiler.write import GENERATED, latest, remember_latest, write_plan


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, hidden ones too."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_everything_that_runs_is_there_to_be_read(mini_plan: Plan, tmp_path: Path) -> None:
    """The plan, each query, each training config, each script, and where relative paths start."""
    file = write_plan(mini_plan, tmp_path / "out", tmp_path, Profile())
    assert file == tmp_path / "out" / PLAN_FILE
    written = contents(tmp_path / "out")
    assert load(file) == mini_plan
    assert written.pop("base").decode() == f"{tmp_path.resolve()}\n"
    written.pop(PLAN_FILE)
    queries = {f"sql/{task.id}/{name}.sql": text for task in mini_plan.tasks for name, text in task.sql.items()}
    assert {name: text.decode() for name, text in written.items() if name.startswith("sql/")} == {
        name: text + "\n" for name, text in queries.items()
    }
    assert {name for name in written if name.startswith("sbatch/")} == {f"sbatch/{t.id}.sh" for t in mini_plan.tasks}
    assert {name for name in written if name.startswith("training/")} == {
        f"training/{stage.task}/job.json" for stage in mini_plan.stages
    }
    assert all(name.split("/")[0] in GENERATED for name in written)


def test_writing_again_changes_nothing(mini_plan: Plan, tmp_path: Path) -> None:
    """The same bytes, and nothing left lying about."""
    write_plan(mini_plan, tmp_path / "out", tmp_path, Profile())
    before = contents(tmp_path)
    write_plan(mini_plan, tmp_path / "out", tmp_path, Profile())
    assert contents(tmp_path) == before


def test_what_a_plan_no_longer_has_goes_and_what_belongs_to_runs_stays(mini_plan: Plan, tmp_path: Path) -> None:
    """Queries of tasks that are gone would mislead; a journal is not the compiler's."""
    write_plan(mini_plan, tmp_path, tmp_path, Profile())
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "1.jsonl").write_text("{}\n")
    fewer = attrs.evolve(mini_plan, tasks=mini_plan.tasks[:1])
    write_plan(fewer, tmp_path, tmp_path, Profile())
    assert set(contents(tmp_path)) == {"base", PLAN_FILE, "journal/1.jsonl", "sbatch/code/fetch-pypi.sh"}


PROGRAM = """
import resource, signal, sys
from pathlib import Path
from compiler.compile import compile_experiment
from compiler.errors import UserError
from compiler.load import load_spec
from compiler.profile import Profile
from compiler.write import write_plan
spec, out, limit = sys.argv[1:]
plan = compile_experiment(*load_spec(spec))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    write_plan(plan, Path(out), Path("/"), Profile(partition="new"))
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("limit", [100, 1000, 20_000])
def test_a_full_disk_leaves_the_last_plan_and_all_that_goes_with_it(
    mini_plan: Plan, tmp_path: Path, limit: int
) -> None:
    """Files may not grow beyond a limit: writing fails at a script, at a query, or at the plan itself."""
    write_plan(mini_plan, tmp_path / "out", tmp_path, Profile())
    before = contents(tmp_path)
    spec = Path(__file__).parents[2] / "specs" / "opencoder_mini.py"
    command = [sys.executable, "-c", PROGRAM, str(spec), str(tmp_path / "out"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"{tmp_path / 'out'}: the plan cannot be written (File too large)\n  fix: choose another --out\n"
    )
    assert contents(tmp_path) == before


def test_a_killed_compile_does_not_get_in_the_way(mini_plan: Plan, tmp_path: Path) -> None:
    """What it left aside is swept away by the next."""
    write_plan(mini_plan, tmp_path, tmp_path, Profile())
    before = contents(tmp_path)
    for kind in GENERATED:
        for suffix in ("aside", "old"):
            (tmp_path / f".{kind}.{suffix}").mkdir()
            (tmp_path / f".{kind}.{suffix}" / "half.sql").write_text("SELECT")
    write_plan(mini_plan, tmp_path, tmp_path, Profile())
    assert contents(tmp_path) == before


def test_a_directory_of_somebody_else_is_not_replaced(mini_plan: Plan, tmp_path: Path) -> None:
    """As the user's own training/ with --out . would be."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "mine.py").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(UserError, match="training is there already, of no plan") as error:
        write_plan(mini_plan, tmp_path, tmp_path, Profile())
    assert error.value.where == str(tmp_path)
    assert contents(tmp_path) == before


def test_a_place_whose_name_is_too_long_is_refused_in_one_message(mini_plan: Plan, tmp_path: Path) -> None:
    """Looking whether something is there fails already."""
    with pytest.raises(UserError, match="the plan cannot be written"):
        write_plan(mini_plan, tmp_path / ("x" * 300), tmp_path, Profile())


def test_a_place_that_cannot_be_written(mini_plan: Plan, tmp_path: Path) -> None:
    """A file where a directory should be, or below a file."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="the plan cannot be written") as error:
            write_plan(mini_plan, out, tmp_path, Profile())
        assert error.value.where == str(out)


def test_the_profile_is_in_the_scripts_and_not_in_the_plan(mini_plan: Plan, tmp_path: Path) -> None:
    """Where to run, never what."""
    found = []
    for partition in ("one", "two"):
        write_plan(mini_plan, tmp_path / partition, tmp_path, Profile(partition=partition))
        found.append(contents(tmp_path / partition))
    differ = {name for name in found[0] if found[0][name] != found[1][name]}
    assert differ == {name for name in found[0] if name.startswith("sbatch/")}


def test_the_last_plan_is_remembered(mini_plan: Plan, tmp_path: Path, compiled: Callable) -> None:
    """By its way from the build directory, so that both may move together."""
    with pytest.raises(UserError, match="nothing is compiled yet"):
        latest(tmp_path / "build")
    build = tmp_path / "build"
    for name in ("one", "two"):
        file = write_plan(mini_plan, build / name, tmp_path, Profile())
        remember_latest(file, build)
        assert load(latest(build)).experiment == mini_plan.experiment
        assert latest(build) == build / name / PLAN_FILE
    build.rename(tmp_path / "moved")
    assert latest(tmp_path / "moved").is_file()
