"""What a probe's answer from a node means: works, limits, or has to be put right. It asks nobody anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from compiler.plan import TaskClass
from ocspec.cli import training_findings
from ocspec.cli.findings import Finding
from ocspec.cli.probe_jobs import Probe
from ocspec.cli.shared_directory import Shared

GB = 1e9
LEAST_FREE_GB = 5
SKEW_SECONDS, WORST_SKEW_SECONDS = 2.0, 60.0
LEAST_FILES = 1024
ORDINARY_WAITS = re.compile("Resources|Priority|None|BeginTime|QOS|Assoc|JobArrayTaskLimit|Licenses|ENDED|squeue")

SHARED = "nodes must see it at the same path: use a shared file system, and mounts = [...] for a container"
TRIED = {
    "seen": ("a file written here is not seen on the node", SHARED),
    "written": ("the node cannot write", "give your user write permission there, or choose another place"),
    "linked": ("hard links fail on the node", "choose a file system that has them, as NFS and Lustre do"),
    "renamed": ("rename or fsync fails on the node", "choose a file system that has both"),
}


def findings(
    probe: Probe, code: Mapping[str, str], needed: set[TaskClass], *, supervise: bool, alone: bool
) -> Iterator[Finding]:
    """Everything that can be said of one environment. `needed` are the classes that a plan has, `code` is ours."""
    label = "node" if alone else f"node of {'/'.join(probe.classes)}"
    if probe.refused:
        yield probe.refused._replace(what=f"{label}: {probe.refused.what}")
        return
    found = _unanswered(probe) if probe.answer is None else _answered(probe, probe.answer, code, needed, supervise)
    for finding in found:
        yield finding._replace(what=f"{label}: {finding.what}")


def _unanswered(probe: Probe) -> Iterator[Finding]:
    if not probe.ended:
        verdict: Any = "absent" if ORDINARY_WAITS.search(probe.waited) else "missing"
        fix = "ask again with a longer --timeout" if verdict == "absent" else "see `scontrol show job` and `sinfo`"
        yield Finding("probe", verdict, f"job {probe.job_id} did not start in time: {probe.waited}", fix)
        return
    said = [line.strip() for line in probe.log.splitlines() if line.strip()]
    last = "; ".join(said[-3:]) or f"it wrote no log to {probe.directory.parent}"
    yield Finding("probe", "missing", f"job {probe.job_id} left no answer: {last}", _way_out(probe.log))


def _way_out(log: str) -> str:
    ways = (
        (
            r"No module named|cannot import name",
            "set python in the profile to one with ocspec: pip install ocspec there",
        ),
        (r"cannot be read here", "put the file where nodes see it, readable by you, or take the value by env:"),
        (r"parameter null or not set", "name a variable in scratch that jobs have"),
        (r"module|Lmod", "correct modules in the profile; see `module avail` on a node"),
        (r"No such file or directory|not found", "set python in the profile to a path that nodes have"),
        (r"container|image|enroot|apptainer|pyxis", "correct container in the profile"),
        (r"SyntaxError", "set python in the profile to one of version 3.11 or later"),
    )
    for pattern, fix in ways:
        if re.search(pattern, log):
            return fix
    return f"the plan's directory: {SHARED}" if not log else "try the profile's setup lines on a node"


def _answered(
    probe: Probe, answer: dict[str, Any], code: Mapping[str, str], needed: set[TaskClass], supervise: bool
) -> Iterator[Finding]:
    yield _code(answer, code)
    yield from _imports(answer["imports"], probe.classes, needed)
    for name, sides in probe.places.items():
        yield _place(name, answer["places"][name], sides, probe.token)
    if answer["scratch"]:
        yield _scratch(answer["scratch"])
    yield from _clock(probe, answer["places"])
    yield from _limits(answer["limits"])
    if answer["gpus"] is not None:
        yield _gpus(answer["gpus"])
    if answer["training"] is not None:
        yield from training_findings.findings(answer["training"])
    yield _controller(probe.controller, supervise)


def _code(answer: dict[str, Any], ours: Mapping[str, str]) -> Finding:
    there = answer["code"]
    found = f"{answer['host']}: Python {there['python']} at {answer['python']}, ocspec {there['ocspec']}"
    if tuple(map(int, there["python"].split(".")[:2])) < (3, 11):
        return Finding("python", "missing", found, "set python in the profile to one of version 3.11 or later")
    for name in ("ocspec", "commit"):
        if ours[name] and there[name] and ours[name] != there[name]:
            what = "version" if name == "ocspec" else "commit"
            fix = "install the same there, or set python in the profile"
            return Finding("python", "missing", f"{found}; its {what} is {there[name]}, here it is {ours[name]}", fix)
    return Finding("python", "ok", found)


def _imports(tried: Mapping[str, str], classes: tuple[TaskClass, ...], needed: set[TaskClass]) -> Iterator[Finding]:
    """One finding for each package that is missing; torch limits only, unless the plan trains or evaluates here."""
    failed: dict[str, list[str]] = {}
    for module, error in tried.items():
        if error:
            missing = re.search(r"No module named '([^'.]+)", error)
            failed.setdefault(f"no package {missing[1]!r}" if missing else error, []).append(module)
    for error, modules in failed.items():
        torch = "'torch'" in error and not needed & {"train", "eval"} & set(classes)
        extra = "[train]" if "'torch'" in error else ""
        fix = f"pip install 'ocspec{extra}' into the profile's python, or set python in the profile"
        yield Finding("imports", "absent" if torch else "missing", f"{error} (for {', '.join(modules[:3])})", fix)
    if not failed:
        yield Finding(
            "imports",
            "ok",
            f"{', '.join(n for n in tried if '.' not in n) or 'runtime.worker'} and {len(tried)} modules",
        )


def _place(name: str, tried: Mapping[str, Any], sides: Shared, token: str) -> Finding:
    directory = sides.path.parent
    if sides.error:
        return Finding(
            name, "missing", f"{directory} cannot be written here: {sides.error}", "choose another directory"
        )
    for step, (what, fix) in TRIED.items():
        if tried[step]:
            return Finding(name, "missing", f"{directory}: {what} ({tried[step]})", fix)
    if error := sides.read_back(token):
        return Finding(name, "missing", f"{directory}: what the node writes is not seen ({error})", SHARED)
    found = f"{directory}: seen from both sides, {tried['free'] / GB:.1f} GB free"
    if tried["free"] < LEAST_FREE_GB * GB:
        return Finding(name, "missing", found, "free some, or choose another directory")
    return Finding(name, "ok", found)


def _scratch(tried: Mapping[str, Any]) -> Finding:
    if tried["written"]:
        what = f"{tried['path']} cannot be written ({tried['written']})"
        return Finding("scratch", "missing", what, "set scratch in the profile to a directory that nodes have")
    found = f"{tried['path']}: {tried['free'] / GB:.1f} GB free"
    if tried["free"] < LEAST_FREE_GB * GB:
        return Finding("scratch", "missing", found, "free some, or set another scratch in the profile")
    return Finding("scratch", "ok", found)


def _clock(probe: Probe, tried: Mapping[str, Any]) -> Iterator[Finding]:
    """How far the node's clock is from ours: by the file system that both write to, and by when it was asked."""
    for name, sides in probe.places.items():
        clock = tried[name]["clock"]
        if sides.error or not clock:
            continue
        by_files = sides.ahead - (clock["files"] - clock["host"])
        behind, ahead = min(0.0, clock["host"] - probe.submitted), max(0.0, clock["host"] - probe.answered)
        skew = max((by_files, behind, ahead), key=abs)
        found = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours"
        if abs(skew) <= SKEW_SECONDS:
            yield Finding("clock", "ok", found)
        else:
            verdict: Any = "missing" if abs(skew) > WORST_SKEW_SECONDS else "absent"
            yield Finding("clock", verdict, found, "have both set by NTP: times in the journal cannot be compared")
        return


def _limits(limits: Mapping[str, Any]) -> Iterator[Finding]:
    found = f"{limits['cpus']} processors, {limits['threads'] or 'any number of'} threads"
    if limits["address_space"] is not None:
        size = f"ulimit -v is {limits['address_space'] / GB:.1f} GB"
        fix = 'add "ulimit -v unlimited" to setup: libraries map far more than they use'
        yield Finding("limits", "absent", size, fix)
    elif limits["files"] is not None and limits["files"] < LEAST_FILES:
        yield Finding("limits", "absent", f"ulimit -n is {limits['files']}", f'add "ulimit -n {LEAST_FILES}" to setup')
    else:
        yield Finding("limits", "ok", found)


def _gpus(gpus: Mapping[str, Any]) -> Finding:
    if gpus["count"]:
        return Finding("gpus", "ok", f"torch sees {gpus['count']}")
    said = gpus["error"] or f"torch sees none; CUDA_VISIBLE_DEVICES is {gpus['visible']!r}"
    fix = "install a torch built for the nodes' driver (see `nvidia-smi` there), or correct partition and gpus_per_node"
    return Finding("gpus", "missing", said, fix)


def _controller(said: str, supervise: bool) -> Finding:
    *lines, code = said.split("\n")[:-1] or [""]
    if code.strip() == "0":
        return Finding("slurm", "ok", "the node reaches the controller")
    what = f"the node does not reach Slurm ({' '.join(' '.join(lines).split()) or 'scontrol ping said nothing'})"
    fix = "jobs cannot queue themselves again: set supervise = false, and run `ocspec submit` again after failures"
    return Finding("slurm", "missing" if supervise else "absent", what, fix)
