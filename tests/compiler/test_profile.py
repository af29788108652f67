"""Profiles: where they are found, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.errors import UserError
from compiler.profile import ClassLimits, Profile, default_profile, load_profile

CLUSTER = """
profile = "cluster"

[profiles.cluster]
dispatch = "slurm"
partition = "cpu"
setup = ["module load cuda"]
sbatch = { mail-type = "FAIL" }

[profiles.cluster.classes.train]
partition = "gpu"
minutes = 2880
"""


def refused(name: str, start: Path) -> UserError:
    with pytest.raises(UserError) as error:
        load_profile(name, start)
    return error.value


def test_this_machine_needs_no_settings(tmp_path: Path) -> None:
    """The default is local."""
    assert load_profile("local", tmp_path) == Profile()
    assert default_profile(tmp_path) == "local"
    assert Profile().limits("train") == ClassLimits()


def test_a_profile_with_limits_for_a_class(tmp_path: Path) -> None:
    """What a class does not say, the profile or the plan does."""
    (tmp_path / "ocspec.toml").write_text(CLUSTER)
    assert default_profile(tmp_path) == "cluster"
    profile = load_profile("cluster", tmp_path)
    assert (profile.name, profile.dispatch, profile.partition) == ("cluster", "slurm", "cpu")
    assert profile.setup == ("module load cuda",)
    assert profile.sbatch == {"mail-type": "FAIL"}
    assert profile.limits("train") == ClassLimits(partition="gpu", minutes=2880)
    assert profile.limits("data") == ClassLimits()


def test_settings_are_looked_for_upward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the directory where one stands, also where that is given as `.`."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "ocspec.toml").write_text(CLUSTER)
    assert default_profile(deep) == "cluster"
    monkeypatch.chdir(deep)
    assert default_profile(Path()) == "cluster"
    (tmp_path / "a" / "ocspec.toml").write_text('profile = "nearer"')
    assert default_profile(deep) == "nearer"


def test_pyproject_counts_where_it_speaks_of_ocspec(tmp_path: Path) -> None:
    """Its own file goes before it; a pyproject of something else is passed over."""
    (tmp_path / "ocspec.toml").write_text(CLUSTER)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert default_profile(inner) == "cluster"
    (inner / "pyproject.toml").write_text('[tool.ocspec]\nprofile = "mine"\n[tool.ocspec.profiles.mine]\nworkers = 3\n')
    assert default_profile(inner) == "mine"
    assert load_profile("mine", inner).workers == 3
    (inner / "ocspec.toml").write_text('profile = "own"')
    assert default_profile(inner) == "own"


def test_the_local_profile_may_be_set(tmp_path: Path) -> None:
    """Then it is what the settings say."""
    (tmp_path / "ocspec.toml").write_text("[profiles.local]\nworkers = 2\nmemory_mb = 512\n")
    assert load_profile("local", tmp_path) == Profile(workers=2, memory_mb=512)


def test_an_unknown_profile_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    """And with a close one."""
    (tmp_path / "ocspec.toml").write_text(CLUSTER)
    error = refused("clutser", tmp_path)
    assert error.what == "no profile 'clutser'; there are: cluster, local"
    assert error.fix == "did you mean 'cluster'? add [profiles.clutser] to ocspec.toml"
    assert error.where == str(tmp_path / "ocspec.toml")
    assert refused("xyz", tmp_path).fix == "add [profiles.xyz] to ocspec.toml"


def test_an_unknown_profile_without_settings(tmp_path: Path) -> None:
    """Says where it looked."""
    error = refused("cluster", tmp_path)
    assert error.what == "no profile 'cluster'; there are: local"
    assert error.where == str(tmp_path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("partitoin = 'x'", ["partitoin"]),
        ("dispatch = 'slrum'", ["slrum", "dispatch"]),
        ("minutes = 'long'", ["minutes"]),
        ("classes = 3", ["classes"]),
        ("[profiles.p.classes.train]\nhours = 3", ["hours", "train"]),
        ("partitoin = 'x'\nminutes = 'long'", ["partitoin", "minutes"]),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, body: str, words: list[str]) -> None:
    """All that are wrong, with the keys that exist."""
    (tmp_path / "ocspec.toml").write_text(f"[profiles.p]\n{body}\n")
    error = refused("p", tmp_path)
    assert error.what.startswith("profile 'p': ")
    assert all(word in error.what for word in words)
    assert error.fix.startswith("its keys are name, dispatch, workers")


@pytest.mark.parametrize(
    "text", ["profiles = 3", "profiles = 'p'", "[profiles]\np = 3", "[profiles]\np = ['x']", "profile = [", "\xff"]
)
def test_settings_that_are_none(tmp_path: Path, text: str) -> None:
    """Something else where a table should be, or no TOML at all."""
    (tmp_path / "ocspec.toml").write_bytes(text.encode("latin-1"))
    assert refused("p", tmp_path).where == str(tmp_path / "ocspec.toml")
