"""What `doctor` finds out about a Slurm cluster from the machine that submits. Jobs on nodes are `probe_jobs.py`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from compiler.emit.sbatch import request
from compiler.environment import passed_environment
from compiler.errors import UserError
from compiler.plan import Plan, Resources, TaskClass
from compiler.profile import TASK_CLASSES, Profile, Settings
from ocspec.cli.findings import Finding
from ocspec.cli.output import plural
from runtime.dispatch.slurm.client import COMMAND_TIMEOUT_S, QueueUnavailable, ask

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
SETTINGS = ("MaxArraySize", "JobRequeue", "PreemptMode", "KillWait")
WITHOUT_PLAN: dict[TaskClass, Resources] = {
    "fetch": Resources(task_class="fetch", memory_mb=1024),
    "data": Resources(task_class="data"),
    "group": Resources(task_class="group", cpus=2, memory_mb=4096),
    "train": Resources(task_class="train", cpus=2, memory_mb=4096),
    "eval": Resources(task_class="eval", cpus=2, memory_mb=4096),
}
"""What the smallest task of each class asks for, where there is no plan to say more."""


def access() -> Iterator[Finding]:
    """Slurm's programs, and whether the controller answers."""
    lacking = [program for program in PROGRAMS if not shutil.which(program)]
    if lacking:
        fix = "run on a machine that submits to the cluster, or add Slurm's programs to PATH"
        yield Finding("slurm", "missing", f"no {', '.join(lacking)}", fix)
        return
    try:
        yield Finding("slurm", "ok", ask("sbatch", "--version").strip())
        yield Finding("controller", "ok", "; ".join(ask("scontrol", "ping").split("\n")).strip("; "))
    except QueueUnavailable as error:
        fix = "see `scontrol ping`; SLURM_CONF must name this cluster's configuration"
        yield Finding("controller", "missing", f"does not answer: {one_line(str(error))}", fix)


def configuration() -> Iterator[Finding]:
    """The cluster's settings that decide what becomes of jobs, and its accounting."""
    try:
        text = ask("scontrol", "show", "config")
    except QueueUnavailable as error:
        yield Finding("settings", "missing", one_line(str(error)), "see `scontrol show config`")
        return
    found: dict[str, str] = dict(re.findall(r"^(\w+)\s*=[ \t]*(.*?)\s*$", text, re.MULTILINE))
    yield Finding("settings", "ok", ", ".join(f"{name} {found[name]}" for name in SETTINGS if name in found))
    yield _accounting(found.get("AccountingStorageType", ""))


def _accounting(kind: str) -> Finding:
    lost = "ended jobs are known from their own records only, and used hours are not"
    if kind in {"", "(null)", "accounting_storage/none"}:
        return Finding("accounting", "absent", "this cluster keeps none", lost)
    try:
        ask("sacct", "--noheader", "--allocations", "--starttime=now-1minutes")
    except QueueUnavailable as error:
        return Finding("accounting", "absent", one_line(str(error)), f"see `sacct`; until it answers, {lost}")
    return Finding("accounting", "ok", kind)


# -- requests


Requests = dict[TaskClass, tuple[Resources, ...]]
"""What tasks of each class ask for, each once."""


def requests(plan: Plan | None, profile: Profile) -> Requests:
    """What the plan's tasks ask for, by class; or one small request of every class where there is no plan."""
    if plan is None:
        gpus = {name: profile.settings(name).gpus_per_node or 0 for name in TASK_CLASSES}
        return {
            name: (asked if name != "train" else attrs.evolve(asked, gpus=gpus[name]),)
            for name, asked in WITHOUT_PLAN.items()
        }
    # Neither disk nor the expected time is asked of Slurm.
    distinct = dict.fromkeys(attrs.evolve(task.resources, disk_mb=0, seconds=None) for task in plan.tasks)
    found = {name: tuple(one for one in distinct if one.task_class == name) for name in TASK_CLASSES}
    return {name: some for name, some in found.items() if some}


def feasible(profile: Profile, asked: Mapping[TaskClass, Iterable[Resources]]) -> Iterator[Finding]:
    """Whether the cluster as it stands could run each request; queues nothing."""
    try:
        yield from _feasible(profile, asked)
    except QueueUnavailable as error:
        yield unanswered("requests", error)


def unanswered(what: str, error: QueueUnavailable) -> Finding:
    """What is said where sbatch does not answer; nothing else is asked of Slurm then."""
    return Finding(what, "missing", str(error), "see `scontrol ping` and `sbatch --version`, and try again later")


def _feasible(profile: Profile, asked: Mapping[TaskClass, Iterable[Resources]]) -> Iterator[Finding]:
    kinds: dict[tuple[tuple[str, str], ...], dict[TaskClass, None]] = {}
    for task_class, some in asked.items():
        for resources in some:
            settings = profile.settings(task_class)
            options = sbatch_options(request(resources, settings), settings)
            kinds.setdefault(tuple(options.items()), {})[task_class] = None
    refused: dict[str, list[dict[str, str]]] = {}
    of: dict[str, dict[TaskClass, None]] = {}
    for kind, classes in kinds.items():
        options = dict(kind)
        said, could = _test_only(options)
        if could:
            yield Finding(f"request of {', '.join(classes)}", "ok", f"{in_words(options)}: {could}")
        else:
            refused.setdefault(said, []).append(options)
            of.setdefault(said, {}).update(classes)
    for said, wanted in refused.items():
        words = "; ".join(dict.fromkeys(map(in_words, wanted)))
        fix = advice(said, wanted[0], entry(profile.name, next(iter(of[said]))))
        yield Finding(f"request of {', '.join(of[said])}", "missing", f"{said} ({words})", fix)


def entry(profile: str, task_class: TaskClass) -> str:
    """Where in the settings something can be said for a class."""
    return f"[profiles.{profile}] or [profiles.{profile}.classes.{task_class}]"


def sbatch_options(asked: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Options of sbatch by their long names; an empty value is a flag."""
    return {name.replace("_", "-"): str(value) for name, value in {**asked, **settings.sbatch}.items()}


def as_arguments(options: Mapping[str, str]) -> list[str]:
    """Options as sbatch takes them on its command line: there nothing has to be quoted."""
    return [f"--{name}={value}" if value else f"--{name}" for name, value in options.items()]


def sbatch(*arguments: str, script: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run sbatch, whatever code it ends with; QueueUnavailable where it does not answer in time or cannot be run."""
    try:
        return subprocess.run(
            ["sbatch", *arguments],
            input=script,
            env=environ,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise QueueUnavailable(f"sbatch did not answer in {COMMAND_TIMEOUT_S} s") from None
    except OSError as error:
        raise QueueUnavailable(f"sbatch: {error.strerror}") from None


def _test_only(options: Mapping[str, str]) -> tuple[str, str]:
    """What Slurm says of a request, and when and where it could start, if it could."""
    done = sbatch("--test-only", *as_arguments(options), script="#!/bin/bash\n")
    said = one_line(done.stderr)
    if done.returncode:
        return said, ""
    found = re.search(r"to start at (\S+) .*?on nodes (\S+) in partition (\S+)", said)
    if found and (never := waits_for_ever(options, found[3])):
        return never, ""
    return said, f"could start at {found[1]} on {found[2]} of {found[3]}" if found else said


def waits_for_ever(options: Mapping[str, str], partition: str) -> str:
    """Why a request would wait in a partition for ever, in Slurm's word for it; empty where it would not.

    By default (EnforcePartLimits=NO) sbatch takes such a job, and its test says nothing of it.
    """
    try:
        text = ask("scontrol", "show", "partition", partition, "--oneliner")
    except QueueUnavailable:
        return ""
    has = dict(re.findall(r"(\w+)=(\S+)", text))
    if has.get("State", "UP") != "UP":
        return f"PartitionDown: the state of {partition} is {has['State']}"
    limit, asked = minutes(has.get("MaxTime", "")), minutes(options.get("time", ""))
    if limit is not None and asked is not None and asked > limit:
        return f"PartitionTimeLimit: {options['time']} minutes asked, the time limit of {partition} is {has['MaxTime']}"
    for name, allowed in (("account", has.get("AllowAccounts", "ALL")), ("qos", has.get("AllowQos", "ALL"))):
        if name in options and allowed != "ALL" and options[name] not in allowed.split(","):
            return f"{name} {options[name]!r} may not use {partition}, which is for {allowed}"
    return ""


def minutes(limit: str) -> float | None:
    """A time limit as Slurm or a profile writes it, in minutes; None where there is none.

    >>> minutes("1-02:30:00"), minutes("00:10:00"), minutes("90"), minutes("UNLIMITED")
    (1590.0, 10.0, 90.0, None)
    >>> minutes("90:00"), minutes("1-12")
    (90.0, 2160.0)
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", limit)
    if not found:
        return None
    parts = [int(part) for part in found[2].split(":")]
    # Behind days, what is left out is at the end; else it is the hours, and of a single number the seconds, too.
    before = 0 if found[1] or len(parts) == 3 else 1
    hours, rest, seconds = ([0] * before + parts + [0, 0])[:3]
    return (int(found[1] or 0) * 24 + hours) * 60 + rest + seconds / 60


def in_words(options: Mapping[str, str]) -> str:
    """What a request asks for, short."""
    units = {
        "nodes": "node",
        "ntasks-per-node": "rank",
        "cpus-per-task": "CPU",
        "gpus-per-node": "GPU",
        "time": "minute",
    }
    counts = {name: int(options[name]) for name in units if options.get(name, "").isdigit()}
    many = counts.get("ntasks-per-node", 1) > 1
    parts = [plural(n, units[name]) for name, n in counts.items() if many or name != "ntasks-per-node"]
    return ", ".join([*parts, *([f"{options['mem']}B"] if "mem" in options else [])])


def one_line(said: str) -> str:
    """Slurm's words without the program's name and the repetitions."""
    noise = r"^((sbatch|srun|squeue|sacct|scontrol|sinfo): )?((error|fatal): )?((allocation failure|Batch job[^:]*): )?"
    lines = [re.sub(noise, "", line).strip() for line in said.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def advice(said: str, options: Mapping[str, str], place: str) -> str:
    """What to change in `place` where Slurm refuses a request, with what this cluster has."""
    partition = options.get("partition", "")
    known = (
        ("invalid partition", f"set partition in {place} to one of {_listed('%R')}"),
        ("partitiondown", f"set partition in {place} to one that is up, of {_listed('%R')}"),
        ("account", f"set account in {place}; `sacctmgr show associations user=$USER` lists yours"),
        ("qos", f"set qos in {place}; `sacctmgr show qos` lists them"),
        ("feature|constraint", f"set constraint in {place} to one of {_listed('%f', partition)}"),
        ("unrecognized option|invalid option", f"correct sbatch = {{...}} in {place}"),
        ("time ?limit", f"lower minutes in {place}, or choose another partition of {_listed('%R %l')}"),
    )
    for pattern, fix in known:
        if re.search(pattern, said, re.IGNORECASE):
            return fix
    return f"lower what is asked in {place}, or choose another partition; its nodes: {_nodes(partition)}"


def _nodes(partition: str) -> str:
    return _listed("%D of %c CPUs, %m MB, GPUs %G", partition, between="; ")


def _listed(form: str, partition: str = "", between: str = ", ") -> str:
    """What sinfo lists, each once; empty where it does not answer."""
    try:
        text = ask("sinfo", "--noheader", f"--format={form}", *([f"--partition={partition}"] if partition else []))
    except QueueUnavailable:
        return "(see `sinfo`)"
    return between.join(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


# -- secrets


def secrets(profile: Profile, classes: Iterable[TaskClass]) -> Iterator[Finding]:
    """Whether what the profile takes from this environment is set; names only, never a value."""
    names: dict[str, None] = {}
    problems: dict[str, UserError] = {}
    for task_class in classes:
        try:
            names |= dict.fromkeys(passed_environment(profile.settings(task_class), os.environ))
        except UserError as error:
            problems[error.what] = error
    for problem in problems.values():
        yield Finding("environment", "missing", problem.what, problem.fix)
    if names:
        yield Finding("environment", "ok", f"{', '.join(names)} set")
