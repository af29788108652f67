"""ocspec doctor: what is on this machine, what is missing, and what to do. It leaves nothing behind.

With a profile for Slurm, also what the cluster and its nodes are like: `cluster_check.py` and `probe_jobs.py`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.findings import Finding
from ocspec.cli.output import plural, print_json, print_table, say

if TYPE_CHECKING:
    from compiler.plan import Plan
    from compiler.profile import Profile

LEAST_FREE_GB = 5
PROGRAMS = {
    "git": "manifests will not name the commit of the code; install git",
    "sbatch": "needed for SLURM only; run on a machine that submits to the cluster",
    "nvidia-smi": "training will run on the processor, small models only",
}


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `doctor`."""
    parser = arguments.add_verb(
        subparsers,
        "doctor",
        run,
        "check this machine: packages, programs, disk; or a cluster",
        "Exits with 1 when something that is needed is missing. With a profile for\nSlurm it checks the cluster, too: "
        "what it would refuse, and, by one short job\nfor each environment, what its nodes are like.",
    )
    parser.add_argument("--profile", metavar="NAME", help="also check the cluster of this profile, from ocspec.toml")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=arguments.positive,
        default=120,
        help="how long to wait for a job on a node (default: 120)",
    )
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Look at everything and print what was found."""
    store = arguments.store_path(args.store)
    profile = arguments.profile_called(args.profile) if args.profile else None
    on_slurm = profile is not None and profile.dispatch == "slurm"
    findings = [*_machine(), _disk(store), *_packages({"slurm"} if on_slurm else set()), _pip(), *_programs(on_slurm)]
    if not on_slurm:
        findings += _training(profile)
    if profile and on_slurm:
        findings += _cluster(profile, store, args.timeout)
    missing = [finding for finding in findings if finding.verdict == "missing"]
    if args.json:
        print_json("doctor", findings=[finding._asdict() for finding in findings])
    else:
        rows = [(f.what, f.verdict, f.found if f.verdict == "ok" else "; ".join(filter(None, f[2:]))) for f in findings]
        print_table(("what", "verdict", "found"), rows)
        print(f"\n{plural(len(missing), 'thing')} to put right" if missing else "\nnothing to put right")
    return exits.ERROR if missing else exits.OK


def _cluster(profile: Profile, store: Path, seconds: int) -> list[Finding]:
    """The cluster, and its nodes where the controller answers and takes a job."""
    from ocspec.cli import cluster_check, probe_findings, probe_jobs
    from runtime.code_version import code_version

    findings = list(cluster_check.access())
    if any(finding.verdict == "missing" for finding in findings):
        return findings
    plan, directory = _last_plan()
    asked = cluster_check.requests(plan, profile)
    findings += cluster_check.configuration()
    findings += cluster_check.feasible(profile, asked)
    findings += cluster_check.secrets(profile, asked)
    needed = set(asked) if plan else set()
    with probe_jobs.probes(profile, asked, store, directory) as probes:
        jobs = [probe.job_id for probe in probes if probe.job_id]
        if jobs:
            say(f"waiting up to {seconds} s for {plural(len(jobs), 'short job')}: {', '.join(jobs)}")
        probe_jobs.wait(probes, seconds)
        for probe in probes:
            if probe.refused and any(finding.found.startswith(probe.refused.found) for finding in findings):
                continue  # said of the request already
            findings += probe_findings.findings(
                probe, code_version(), needed, supervise=profile.supervise, alone=len(probes) == 1
            )
    return findings


def _last_plan() -> tuple[Plan | None, Path]:
    """The plan that was compiled last, if there is one, and the directory where it or the next one is."""
    from compiler.errors import UserError

    try:
        plan, file = arguments.plan_at(None)
    except UserError:
        return None, arguments.BUILD.resolve()
    return plan, file.parent.resolve()


def _machine() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Finding(
        "machine",
        "ok",
        f"{platform.machine()}, {plural(os.cpu_count() or 1, 'processor')}, {memory:.1f} GB memory",
    )


def _disk(store: Path) -> Finding:
    """Free space and write permission where the store is, or where it would be made."""
    place = next(path for path in (store, *store.parents) if path.exists())
    if not place.is_dir():
        return Finding("store", "missing", f"{place} is no directory", "choose another --store or OCSPEC_STORE")
    free = shutil.disk_usage(place).free / 1e9
    found = f"{free:.1f} GB free at {place}"
    if not os.access(place, os.W_OK):
        return Finding("store", "missing", f"{place} cannot be written", "choose another --store or OCSPEC_STORE")
    if free < LEAST_FREE_GB:
        return Finding("store", "missing", found, "free some, or choose another --store or OCSPEC_STORE")
    return Finding("store", "ok", found)


def version(package: str) -> str:
    """The version that is installed. ModuleNotFoundError where none is."""
    from importlib import metadata  # loads the parser of e-mails: not for --help

    return metadata.version(package)


def _packages(needed: set[str]) -> Iterator[Finding]:
    """What ocspec's own metadata asks for, and whether it is there; these extras are needed. Versions are pip's."""
    from importlib.metadata import requires

    try:
        asked = requires("ocspec") or []
    except ModuleNotFoundError:
        yield Finding("ocspec", "missing", "not installed", "pip install ocspec")
        return
    yield Finding("ocspec", "ok", version("ocspec"))
    for requirement in asked:
        name, extra = re.split(r"[^A-Za-z0-9._-]", requirement)[0], _extra(requirement)
        if extra not in {"", "train", "slurm"}:
            continue
        try:
            yield Finding(name, "ok", version(name))
        except ModuleNotFoundError:
            fix = f"for {extra}: pip install 'ocspec[{extra}]'" if extra else "pip install --upgrade ocspec"
            yield Finding(name, "absent" if extra and extra not in needed else "missing", "not installed", fix)


def _extra(requirement: str) -> str:
    found = re.search(r"extra == ['\"]([^'\"]+)", requirement)
    return found[1] if found else ""


def _pip() -> Finding:
    try:
        return Finding("pip", "ok", version("pip"))
    except ModuleNotFoundError:
        return Finding("pip", "absent", "not installed", "PyPI sources need it: python -m ensurepip")


def _training(profile: Profile | None) -> Iterator[Finding]:
    """What there is to train with: here, or in the Python that a local profile names for it, which loads NeMo, too."""
    from compiler.errors import UserError, UserErrors
    from ocspec.cli import training_findings
    from runtime.dispatch import workers
    from runtime.training.installed import look

    try:
        worker = workers.worker_of("train", profile, os.environ) if profile else workers.Worker()
        if worker.python == sys.executable:
            yield from training_findings.findings({**look(load_nemo=False), "error": ""})
            return
        say(f"asking {worker.python}; loading NeMo may take a minute")
        answer = workers.look(worker, [], training=True)
    except UserErrors as several:
        yield from (Finding("training", "missing", f"{one.where}: {one.what}", one.fix) for one in several.problems)
    except UserError as error:
        yield Finding("training", "missing", error.what, error.fix)
    else:
        there = answer["code"]
        yield Finding("training", "ok", f"Python {there['python']} at {worker.python}, ocspec {there['ocspec']}")
        yield from training_findings.findings(answer["training"])


def _programs(on_slurm: bool) -> Iterator[Finding]:
    """Programs of this machine; those of Slurm are looked at with the cluster, whose nodes may have other devices."""
    for program, fix in PROGRAMS.items():
        if on_slurm and program != "git":
            continue
        path = shutil.which(program)
        yield Finding(program, "ok", path) if path else Finding(program, "absent", "not found", fix)
