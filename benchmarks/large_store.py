"""`ocspec plan` against a store of thousands of artefacts: what it costs to know what they tell.

    .venv/bin/python -m benchmarks.cost_check --out build/cost_check
    .venv/bin/python benchmarks/large_store.py build/cost_check/first [ARTIFACTS]

The store is made here of a real one, in which `specs/opencoder_mini.py` was run: its artefacts again and again, 5,000
unless said otherwise, each time as another experiment's, with a threshold of its rules and the learning rates changed
and all that follows renamed. Only what stands beside an artefact is made, not what it holds: of the artefacts of others
a plan reads no more. Not a peer's figure: it is compared with the same command without past runs, and with itself on a
store whose artefacts were all noted before. CPU seconds of whole processes, three runs each.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import ROOT, run

from runtime.store import MANIFEST

ARTIFACTS = 5_000
RUNS = 3
SPEC = ROOT / "specs" / "opencoder_mini.py"
NAMES = re.compile(r"\b[0-9a-f]{64}\b")
CHANGED = {"threshold", "start", "end"}
DEVICE = Path("log", "environment.json")


def real(store: Path) -> list[tuple[str, str | None]]:
    """The manifests of a store, and what training says it ran on; as text."""
    found = []
    for path in sorted((store / "artifacts").glob(f"*/{MANIFEST}")):
        said = path.parent / DEVICE
        found.append((path.read_text(), said.read_text() if said.exists() else None))
    return found


def make(root: Path, known: list[tuple[str, str | None]], wanted: int) -> None:
    """Artefacts of as many experiments as it takes, each with names of its own."""
    keys = {json.loads(text)["key"] for text, _ in known}
    for number, (text, said) in enumerate(endless(known, wanted)):
        experiment = number // len(known)
        manifest = json.loads(NAMES.sub(lambda found, e=experiment: renamed(found[0], e), text))
        assert manifest["key"] not in keys
        for name, preimage in json.loads(text).items():
            if name in {"preimage", "plan_preimage"}:  # files outside the store are those of all experiments
                manifest[name][1] = changed(preimage[1], experiment)
        folder = root / "artifacts" / manifest["key"]
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(json.dumps(manifest))
        if said is not None:
            (folder / DEVICE).parent.mkdir()
            (folder / DEVICE).write_text(said)


def endless(known: list[tuple[str, str | None]], wanted: int) -> Iterator[tuple[str, str | None]]:
    """The same again and again, so many in all."""
    return (known[number % len(known)] for number in range(wanted))


def renamed(digest: str, experiment: int) -> str:
    """Another digest for each experiment."""
    return hashlib.sha256(f"{digest}{experiment}".encode()).hexdigest()


def changed(tree: object, experiment: int, name: str = "") -> object:
    """A canonical tree with other floats where a threshold or a learning rate stands."""
    if isinstance(tree, dict):
        return {key: changed(value, experiment, key) for key, value in tree.items()}
    if isinstance(tree, list) and tree[:1] == ["float"] and name in CHANGED:
        return ["float", repr(float(tree[1]) * (1 + experiment / 1e4))]
    return [changed(value, experiment, name) for value in tree] if isinstance(tree, list) else tree


def plan_of(store: Path, *options: str) -> list[str]:
    """The command that is measured."""
    verb = "from ocspec.cli import main; raise SystemExit(main())"
    return [sys.executable, "-c", verb, "plan", str(SPEC), "--store", str(store), *options]


def measured(store: Path, *options: str) -> str:
    """CPU and wall seconds of a whole process, of each run."""
    costs = [run(plan_of(store, *options))[0] for _ in range(RUNS)]
    return f"{', '.join(f'{cost.cpu:.2f}' for cost in costs)} ({', '.join(f'{cost.wall:.2f}' for cost in costs)})"


ALONE = """
import sys, time
from pathlib import Path
from compiler.compile import compile_experiment
from compiler.load import load_spec
from runtime.calibration import calibration
from runtime.inventory import inventory
from runtime.store import Store
plan, store = compile_experiment(*load_spec(sys.argv[1])), Store(Path(sys.argv[2]))
calls = {"inventory": lambda: inventory(store), "calibration": lambda: calibration(store, plan)}
before = time.process_time()
calls[sys.argv[3]]()
print(f"{time.process_time() - before:.2f}")
"""


def alone(root: Path, call: str) -> str:
    """CPU seconds of one call in a process of its own, of each run."""
    return ", ".join(run([sys.executable, "-c", ALONE, str(SPEC), str(root), call])[1] for _ in range(RUNS))


def main() -> None:
    """Make the store, then plan against it."""
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else ARTIFACTS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, real(Path(sys.argv[1])), wanted)
        size = sum(path.stat().st_size for path in root.glob(f"artifacts/*/{MANIFEST}"))
        print(f"{wanted:,} artefacts, {size / 1e6:.0f} MB of manifests; CPU seconds (wall)")
        print(f"nothing noted yet, one run: {run(plan_of(root))[0].cpu:.2f}")
        print(f"all noted: {measured(root)}")
        print(f"all noted, --no-calibration: {measured(root, '--no-calibration')}")
        print(f"all noted, the inventory alone: {alone(root, 'inventory')}")
        print(f"all noted, calibration alone: {alone(root, 'calibration')}")
        sizes = (f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted(root.glob("*.json")))
        print(", ".join(sizes))
        path = next(root.glob(f"artifacts/*/{MANIFEST}"))
        path.write_text(path.read_text())
        print(f"one built again: {run(plan_of(root))[0].cpu:.2f}")


if __name__ == "__main__":
    main()
