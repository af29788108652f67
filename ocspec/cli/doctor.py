"""ocspec doctor: what is on this machine, what is missing, and what to do. It changes nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from ocspec.cli import arguments, exits
from ocspec.cli.output import plural, print_json, print_table

LEAST_FREE_GB = 5
PROGRAMS = {
    "git": "manifests will not name the commit of the code; install git",
    "sbatch": "needed for SLURM only; run on a machine that submits to the cluster",
    "nvidia-smi": "training will run on the processor, small models only",
}


class Finding(NamedTuple):
    """One thing looked at. `ok` works, `absent` limits what can be done, `missing` has to be put right."""

    what: str
    verdict: Literal["ok", "absent", "missing"]
    found: str
    fix: str = ""


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `doctor`."""
    parser = arguments.add_verb(
        subparsers,
        "doctor",
        run,
        "check this machine: packages, programs, disk",
        "Exits with 1 when something that every experiment needs is missing.",
    )
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Look at everything and print what was found."""
    store = arguments.store_at(args.store).root
    findings = [*_machine(), _disk(store), *_packages(), _pip(), *_programs()]
    missing = [finding for finding in findings if finding.verdict == "missing"]
    if args.json:
        print_json("doctor", findings=[finding._asdict() for finding in findings])
    else:
        rows = [(f.what, f.verdict, f.found if f.verdict == "ok" else "; ".join(filter(None, f[2:]))) for f in findings]
        print_table(("what", "verdict", "found"), rows)
        print(f"\n{plural(len(missing), 'thing')} to put right" if missing else "\nnothing to put right")
    return exits.ERROR if missing else exits.OK


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
    free = shutil.disk_usage(place).free / 1e9
    found = f"{free:.1f} GB free at {place}"
    if not os.access(place, os.W_OK):
        return Finding("store", "missing", f"{place} cannot be written", "choose another --store or OCSPEC_STORE")
    if free < LEAST_FREE_GB:
        return Finding("store", "missing", found, "free some, or choose another --store or OCSPEC_STORE")
    return Finding("store", "ok", found)


def _packages() -> Iterator[Finding]:
    """What ocspec's own metadata asks for, and whether it is there. Versions are pip's to check."""
    try:
        asked = requires("ocspec") or []
    except PackageNotFoundError:
        yield Finding("ocspec", "missing", "not installed", "pip install ocspec")
        return
    yield Finding("ocspec", "ok", version("ocspec"))
    for requirement in asked:
        name, extra = re.split(r"[^A-Za-z0-9._-]", requirement)[0], _extra(requirement)
        if extra not in {"", "train", "slurm"}:
            continue
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            fix = f"for {extra}: pip install 'ocspec[{extra}]'" if extra else "pip install --upgrade ocspec"
            yield Finding(name, "absent" if extra else "missing", "not installed", fix)


def _extra(requirement: str) -> str:
    found = re.search(r"extra == ['\"]([^'\"]+)", requirement)
    return found[1] if found else ""


def _pip() -> Finding:
    try:
        return Finding("pip", "ok", version("pip"))
    except PackageNotFoundError:
        return Finding("pip", "absent", "not installed", "PyPI sources need it: python -m ensurepip")


def _programs() -> Iterator[Finding]:
    for program, fix in PROGRAMS.items():
        path = shutil.which(program)
        yield Finding(program, "ok", path) if path else Finding(program, "absent", "not found", fix)
