"""Which dispatcher a profile gets, and which log is whose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from compiler.profile import Profile
from ocspec.cli import dispatchers
from runtime.dispatch.inline import InlineDispatcher
from runtime.dispatch.local import LocalDispatcher
from runtime.dispatch.slurm.ledger import Ledger, Submission
from runtime.journal import Journal
from runtime.store import Store
from tests.slurm.graph import make_plan, step

from .conftest import environment


def test_each_profile_gets_its_dispatcher(tmp_path: Path) -> None:
    file, store = tmp_path / "plan.json", Store(tmp_path / "store")
    assert isinstance(dispatchers.dispatcher(file, store, Profile(), {}), LocalDispatcher)
    assert isinstance(dispatchers.dispatcher(file, store, Profile(dispatch="inline"), {}), InlineDispatcher)
    run = dispatchers.slurm_run(make_plan(step("a")), file, store, Profile(dispatch="slurm"))
    assert run.run_dir == tmp_path


WITHOUT = "import sys; sys.modules['submitit'] = None; from ocspec.cli import main; sys.exit(main(sys.argv[1:]))"


def test_without_submitit_submit_says_what_to_install_and_status_works(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    Path("ocspec.toml").write_text('[profiles.cluster]\ndispatch = "slurm"\n')
    Ledger(Path("build/tiny").resolve()).directory.mkdir(parents=True)  # as if it had been submitted

    def call(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT, *argv]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    refused = call("submit", "--profile", "cluster")
    assert refused.returncode == 1
    assert "pip install 'ocspec[slurm]'" in refused.stderr
    assert "14 missing" in call("status").stdout


def submitted(ledger: Ledger, name: str, elements: tuple[tuple[int, ...], ...], job: str, task: str = "a") -> None:
    here = str(ledger.run_dir)
    one = Submission(
        id=name, task=task, task_class="data", plan=here, store=here, run_dir=here, elements=elements, time=float(job)
    )
    ledger.open(one)
    ledger.submitted(one, job)


def test_a_shards_logs_are_found_through_the_ledger(tmp_path: Path) -> None:
    """Shards are packed, an array of one element is no array, and what was withdrawn has no job."""
    ledger = Ledger(tmp_path)
    submitted(ledger, "one", ((0, 1), (2, 3)), "17")
    submitted(ledger, "two", ((3,),), "20")
    submitted(ledger, "other", ((3,),), "21", task="b")
    submitted(ledger, "gone", ((3,),), "22")
    ledger.withdraw(next(one for one in ledger.submissions() if one.id == "gone"), "refused")
    logs = dispatchers.Logs.read(tmp_path / "plan.json")
    here, *jobs = logs.of("a", 3)
    assert here == tmp_path / "logs" / "a" / "3.log"
    folder = tmp_path / "logs" / "slurm" / "a"
    assert jobs == [folder / "17_1_0_log.out", folder / "20_0_log.out"]
    assert logs.of("a", 0)[1:] == [folder / "17_0_0_log.out"]


def test_the_shards_of_a_log_are_known(tmp_path: Path) -> None:
    """Of a local one by its name, of a job's by the ledger, for whichever rank; a stranger's has none."""
    ledger = Ledger(tmp_path)
    submitted(ledger, "one", ((0, 1), (2, 3)), "17")
    submitted(ledger, "two", ((3,),), "20")
    logs = dispatchers.Logs.read(tmp_path / "plan.json")
    folder = tmp_path / "logs" / "slurm" / "a"
    names = ("17_1_0_log.out", "17_1_3_log.out", "20_0_log.out", "99_0_log.out")
    assert [logs.shards_in("a", folder / name) for name in names] == [(2, 3), (2, 3), (3,), ()]
    assert logs.shards_in("a", tmp_path / "logs" / "a" / "7.log") == (7,)


def test_the_logs_of_many_shards_are_found_with_one_look(tmp_path: Path, monkeypatch) -> None:
    submitted(Ledger(tmp_path), "one", tuple((shard,) for shard in range(1000)), "17")
    read: list[Path] = []
    whole = Journal.read
    monkeypatch.setattr(Journal, "read", lambda self: read.append(self.directory) or whole(self))
    logs = dispatchers.Logs.read(tmp_path / "plan.json")
    assert [logs.of("a", shard)[1].name for shard in (0, 999)] == ["17_0_0_log.out", "17_999_0_log.out"]
    assert len(read) == 1
