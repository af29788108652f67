"""Which dispatcher a profile gets, and what counts as done."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from compiler import plan as plans
from compiler.errors import UserError
from compiler.profile import Profile
from ocspec.cli import dispatchers
from runtime.dispatch.inline import InlineDispatcher
from runtime.dispatch.local import LocalDispatcher
from runtime.journal import Journal
from runtime.store import Store


def dispatcher(directory: Path, profile: Profile) -> object:
    plan = plans.load(directory)
    store = Store(Path(".ocspec").resolve())
    return dispatchers.dispatcher(plan, directory / "plan.json", store, profile, Journal(directory / "journal"))


def test_each_profile_gets_its_dispatcher(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    build = Path("build/tiny").resolve()
    assert isinstance(dispatcher(build, Profile()), LocalDispatcher)
    assert isinstance(dispatcher(build, Profile(dispatch="inline")), InlineDispatcher)
    slurm = pytest.importorskip("runtime.dispatch.slurm")
    assert isinstance(dispatcher(build, Profile(dispatch="slurm")), slurm.SlurmDispatcher)


def test_slurm_without_submitit_says_what_to_install(ocspec, spec: Path, monkeypatch) -> None:
    ocspec("compile", str(spec))
    monkeypatch.delitem(sys.modules, "runtime.dispatch.slurm", raising=False)
    monkeypatch.setitem(sys.modules, "submitit", None)
    importlib.invalidate_caches()
    with pytest.raises(UserError, match=r"ocspec\[slurm\]"):
        dispatcher(Path("build/tiny").resolve(), Profile(dispatch="slurm"))


def test_a_shard_is_done_when_the_store_has_its_task(built: Path) -> None:
    plan, store = plans.load(Path("build/tiny")), Store(built / ".ocspec")
    assert dispatchers.is_done(plan, store, "anneal/train", 0)
    assert not dispatchers.is_done(plan, Store(built / "empty"), "anneal/train", 0)
    assert not dispatchers.is_done(plan, Store(built / "empty"), "code/sign", 0)


def test_a_shard_is_done_before_its_task_is(ocspec, spec: Path) -> None:
    from runtime.worker import run_shard, task_key

    ocspec("compile", str(spec), "--shards", "2")
    plan, store = plans.load(Path("build/tiny")), Store(Path(".ocspec").resolve())
    run_shard("build/tiny/plan.json", "code/sign", 1, str(store.root))
    assert store.artifact(task_key(plan.task("code/sign"), {})[0]) is None
    assert dispatchers.is_done(plan, store, "code/sign", 1)
    assert not dispatchers.is_done(plan, store, "code/sign", 0)
