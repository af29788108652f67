"""What the cost model predicts after one calibrating run, beside what a second run in a fresh store takes.

Nothing is tuned between the two: run, read the store, predict, run again. Predicted are the same tasks, of which the
first run told everything, and with --changed those of a changed experiment (fewer packages, fewer steps), of which it
told rates alone. A time is that of a task's longest shard, without the start of its process; a prediction is the middle
of its interval. On a machine that does other work at the same time the times say little; CPU times of the two runs are
there to tell how much of a difference was other work.

    python -m benchmarks.cost_check --out build/cost_check            # four minutes and more for each run
    python -m benchmarks.cost_check --out build/cost_check --changed
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import attrs

from compiler.compile import compile_experiment
from compiler.cost.calibration import Known
from compiler.cost.estimate import Estimate, estimate
from compiler.cost.interval import Interval
from compiler.cost.time import STARTUP
from compiler.load import load_spec
from compiler.plan import Plan
from runtime.calibration import calibration
from runtime.facts import known_of
from runtime.store import Store

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "specs" / "opencoder_mini.py"
CHANGED = '''
"""The miniature with two packages in three, those held out among them, and fewer steps of pretraining."""

from __future__ import annotations

import importlib.util

_spec = importlib.util.spec_from_file_location("miniature", {spec!r})
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
_base = _module.experiment
_held_out = tuple(pattern.partition("@")[0] for pattern in _module.HELD_OUT.repositories)
_packages = tuple(p for i, p in enumerate(_module.PACKAGES.packages) if i % 3 != 1 or p.name in _held_out)
_code = _module.CODE.replace(sources=(_module.PACKAGES.replace(packages=_packages),))
_pretrain = _module.PRETRAIN.replace(batches=(_module.PRETRAIN.batches[0].replace(steps=100),))
_stages = (_pretrain, *_base.curriculum.stages[1:])
experiment = _base.replace(data=(_code, *_base.data[1:]), curriculum=_base.curriculum.replace(stages=_stages))
'''


def run(spec: Path, store: Path, out: Path) -> None:
    """The experiment as its user would run it, unless this store holds a run already."""
    if (store / "artifacts").is_dir():
        return
    command = [sys.executable, "-c", "from ocspec.cli import main; raise SystemExit(main())", "run", str(spec)]
    done = subprocess.run([*command, "--store", str(store), "--out", str(out)], check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.returncode)


def plan_of(spec: Path) -> Plan:
    """What `ocspec compile` makes of it."""
    experiment, base = load_spec(str(spec))
    return compile_experiment(experiment, base)


def shard_of(found: Estimate, shards: Interval) -> float:
    """The middle of what one shard is predicted to take, its start taken off."""
    return found.seconds.middle / shards.high - STARTUP


@attrs.frozen(kw_only=True)
class Line:
    """A task's predictions beside what it took."""

    task: str
    found: Estimate
    took: Known
    before: Known | None
    predicted: float

    @property
    def seconds_ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / (self.took.seconds or 1)

    @property
    def cpu_ratio(self) -> float | None:
        """CPU seconds of the first run over those of the second; None where the first did not have the task."""
        return None if self.before is None else (self.before.cpu_seconds or 0) / (self.took.cpu_seconds or 1)

    @property
    def memory_ratio(self) -> float:
        """The same of memory."""
        return self.found.memory_mb.middle / (self.took.peak_memory_mb or 1)

    @property
    def bytes_are_exact(self) -> bool:
        """Whether one figure was predicted, and that is it; where there is an interval, whether it holds."""
        return self.found.bytes_written.is_exact and self.found.bytes_written.high == self.took.bytes_written

    @property
    def bytes_are_held(self) -> bool:
        """Whether the measured bytes lie within the interval."""
        return (self.took.bytes_written or 0) in self.found.bytes_written

    def __str__(self) -> str:
        held = "exact" if self.bytes_are_exact else ("held" if self.bytes_are_held else "MISSED")
        spread = f"{self.found.seconds.low:.1f}-{self.found.seconds.high:.1f}"
        cpu = "" if self.cpu_ratio is None else f"{self.cpu_ratio:.2f}"
        return (
            f"| {self.task} | {spread} | {self.predicted:.1f} | {self.took.seconds:.1f} | {self.seconds_ratio:.2f} "
            f"| {cpu} | {held} "
            f"| {self.found.memory_mb.middle:.0f} | {self.took.peak_memory_mb} | {self.memory_ratio:.2f} |"
        )


def compare(plan: Plan, past: Store, measured: Store) -> list[Line]:
    """Every task that the second store holds."""
    learnt = calibration(past, plan)
    estimates = estimate(plan, None, learnt)
    lines = []
    for task in plan.tasks:
        built = measured.find(task.fingerprint)
        if built is None:
            continue
        waves = -(-task.shards // max(1, (learnt.processors or 1) // min(task.resources.cpus, learnt.processors or 1)))
        found = estimates[task.id]
        predicted = shard_of(found, Interval.exact(waves))
        before = learnt.known.get(task.fingerprint)
        took = known_of(built.manifest)
        lines.append(Line(task=task.id, found=found, took=took, before=before, predicted=predicted))
    return lines


def report(lines: list[Line]) -> None:
    """The table, and how many are within the bounds that were asked for."""
    print("| task | predicted wall, s | its shard, s | measured, s | ratio | CPU | bytes | MiB | measured | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(map(str, lines)))
    near = sum(1 / 1.25 <= line.seconds_ratio <= 1.25 for line in lines)
    whole = sum(line.predicted for line in lines) / sum(line.took.seconds or 0 for line in lines)
    cpu = [line.cpu_ratio for line in lines if line.cpu_ratio is not None]
    steady = sum(1 / 1.25 <= ratio <= 1.25 for ratio in cpu)
    roomy = sum(1 / 1.15 <= line.memory_ratio <= 1.15 for line in lines)
    exact, held = sum(line.bytes_are_exact for line in lines), sum(line.bytes_are_held for line in lines)
    print(f"\n{len(lines)} tasks: time within 25 % in {near}, all together {whole:.2f} of what was measured;")
    print(f"CPU time of the first run within 25 % of the second's in {steady} of {len(cpu)} that both ran;")
    print(f"bytes exact in {exact}, within the interval in {held}; memory within 15 % in {roomy};")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors at the end.")


def main() -> None:
    """Calibrate, predict, run again, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "cost_check", help="for stores and plans")
    parser.add_argument("--changed", action="store_true", help="predict a changed experiment")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    first, second = args.out / "first", args.out / ("changed" if args.changed else "second")
    spec = SPEC
    if args.changed:
        spec = args.out / "changed.py"
        spec.write_text(CHANGED.format(spec=str(SPEC)).lstrip())
    run(SPEC, first, args.out / "first-plan")
    run(spec, second, args.out / f"{second.name}-plan")
    report(compare(plan_of(spec), Store(first), Store(second)))


if __name__ == "__main__":
    main()
