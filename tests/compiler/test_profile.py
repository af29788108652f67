"""Profiles: where they are found, and what is said of one that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError, UserErrors
from compiler.profile import TASK_CLASSES, Container, Profile, Retry, Settings, default_profile, load_profile

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
    assert Profile().settings("train") == Settings(minutes=60)


def test_a_profile_with_limits_for_a_class(tmp_path: Path) -> None:
    """What a class does not say, the profile or the plan does."""
    (tmp_path / "ocspec.toml").write_text(CLUSTER)
    assert default_profile(tmp_path) == "cluster"
    profile = load_profile("cluster", tmp_path)
    assert (profile.name, profile.dispatch, profile.partition) == ("cluster", "slurm", "cpu")
    assert profile.setup == ("module load cuda",)
    assert profile.sbatch == {"mail-type": "FAIL"}
    common = Settings(partition="cpu", minutes=60, setup=("module load cuda",), sbatch={"mail-type": "FAIL"})
    assert profile.settings("train") == attrs.evolve(common, partition="gpu", minutes=2880)
    assert profile.settings("data") == common


def test_devices_have_a_type_by_class(tmp_path: Path) -> None:
    """One of those that estimates know; a class has its own."""
    (tmp_path / "ocspec.toml").write_text('[profiles.a]\ndevice = "A100"\n[profiles.a.classes.train]\ndevice = "H800"')
    profile = load_profile("a", tmp_path)
    assert (profile.settings("eval").device, profile.settings("train").device) == ("A100", "H800")
    (tmp_path / "ocspec.toml").write_text('[profiles.a]\ndevice = "H1000"')
    assert "'H1000' is none of A100, H100, H800, H200, H100-PCIe, H100-NVL, L40S, cpu: did you mean" in str(
        refused("a", tmp_path)
    )


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
        ("partitoin = 'x'", ["partitoin", "did you mean 'partition'?"]),
        ("retry = { premeted = 3 }", ["premeted", "did you mean 'preempted'?"]),
        ("container = { kind = 'docker' }", ["docker", "container.kind"]),
        ("partition = ['a', 'b']", ["partition"]),
        ("partition = true", ["partition"]),
        ("setup = 'module load cuda'", ["setup", "a list of texts is expected"]),
        ("modules = ['gcc', 3]", ["modules"]),
        ("minutes = '60'", ["minutes"]),
        ("minutes = 1.5", ["minutes"]),
        ("supervise = 'no'", ["supervise"]),
        ("dispatch = 'slrum'", ["dispatch", "'slrum' is none of local, inline, slurm: did you mean 'slurm'?"]),
        ("dispatch = 'pbs'", ["dispatch", "'pbs' is none of local, inline, slurm @"]),
        ("container = 'img'", ["container", "a table is expected"]),
        ("retry = 3", ["retry", "a table is expected"]),
        ("environment = 3", ["environment", "a table is expected"]),
        ("minutes = 'long'", ["minutes"]),
        ("classes = 3", ["classes"]),
        ("classes = { train = 3 }", ["classes", "train"]),
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
    assert error.fix.startswith("its keys are partition, account, qos")


@pytest.mark.parametrize(
    "text", ["profiles = 3", "profiles = 'p'", "[profiles]\np = 3", "[profiles]\np = ['x']", "profile = [", "\xff"]
)
def test_settings_that_are_none(tmp_path: Path, text: str) -> None:
    """Something else where a table should be, or no TOML at all."""
    (tmp_path / "ocspec.toml").write_bytes(text.encode("latin-1"))
    assert refused("p", tmp_path).where == str(tmp_path / "ocspec.toml")


WHOLE = """
[profiles.p]
dispatch = "slurm"
minutes = 120
python = "/opt/python"
modules = ["gcc/12"]
scratch = "/local/$USER"
environment = { HF_HOME = "/scratch/hf", WANDB_API_KEY = "env:MY_KEY", HF_TOKEN = "file:/home/me/.hf", N = 3 }
sbatch = { mail_type = "FAIL", nice = 3, "--exclusive" = "" }
max_parallel_shards = 64
shards_per_job = 4
supervise = false
controller_patience_s = 60
retry = { timeout = 5, memory_growth = 1.5, max_memory_mb = 64_000 }

[profiles.p.container]
kind = "apptainer"
image = "/images/a.sif"
mounts = ["/scratch", "/data:/d"]

[profiles.p.classes.train]
partition = "gpu"
gpus_per_node = 4
environment = { N = 8, NCCL_DEBUG = "INFO" }
container = { kind = "none" }
modules = []
"""


def test_all_that_a_profile_can_say(tmp_path: Path) -> None:
    """Every key, as it stands in the file."""
    (tmp_path / "ocspec.toml").write_text(WHOLE)
    profile = load_profile("p", tmp_path)
    assert profile.retry == Retry(timeout=5, memory_growth=1.5, max_memory_mb=64_000)
    assert (profile.supervise, profile.controller_patience_s) == (False, 60.0)
    assert profile.sbatch == {"mail-type": "FAIL", "nice": "3", "exclusive": ""}
    data, train = profile.settings("data"), profile.settings("train")
    assert data.container == Container(kind="apptainer", image="/images/a.sif", mounts=("/scratch", "/data:/d"))
    assert (data.modules, data.gpus_per_node, data.environment["N"]) == (("gcc/12",), None, "3")
    assert (train.container, train.modules, train.gpus_per_node) == (Container(), (), 4)
    assert train.environment == {**data.environment, "N": "8", "NCCL_DEBUG": "INFO"}
    assert (train.minutes, train.shards_per_job, train.scratch) == (120, 4, "/local/$USER")


def test_a_relative_python_starts_where_the_settings_are(tmp_path: Path) -> None:
    """Wherever the call comes from; a name is for PATH, and a link of a virtual environment stays a link."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "below").mkdir()
    (tmp_path / "ocspec.toml").write_text(
        "[profiles.p]\npython = './bin/python'\n[profiles.p.classes]\n"
        "train = { python = '../other/python' }\neval = { python = 'python3' }\nfetch = { python = '' }\n"
    )
    profile = load_profile("p", tmp_path / "below")
    assert profile.settings("data").python == str(tmp_path / "bin" / "python")
    assert profile.settings("train").python == str(tmp_path.parent / "other" / "python")
    assert (profile.settings("eval").python, profile.settings("fetch").python) == ("python3", "")


TEXTS = st.none() | st.sampled_from(["", "a", "b"])
NUMBERS = st.none() | st.integers(0, 3)
LINES = st.none() | st.lists(st.sampled_from("ab"), max_size=2).map(tuple)
TABLES = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"))
SAID = st.builds(
    dict,
    partition=TEXTS,
    python=TEXTS,
    minutes=NUMBERS,
    memory_mb=NUMBERS,
    shards_per_job=NUMBERS,
    setup=LINES,
    container=st.none() | st.builds(Container, image=st.sampled_from("ab")),
    environment=TABLES,
    sbatch=TABLES,
)


@given(SAID, SAID)
def test_a_class_goes_before_the_profile(general: dict, special: dict) -> None:
    """Whatever a class says holds, an empty text and 0 too; tables are merged by key; the rest is the profile's."""
    profile = Profile(**general, classes={"train": Settings(**special)})
    merged = profile.settings("train")
    for name, value in special.items():
        if isinstance(value, dict):
            assert getattr(merged, name) == {**general[name], **value}
        else:
            assert getattr(merged, name) == (general[name] if value is None else value)
    others = [profile.settings(name) for name in TASK_CLASSES if name != "train"]
    assert all(other == Settings(**general) for other in others)
    assert merged.over(profile) == merged


def test_a_profile_has_the_name_of_its_table(tmp_path: Path) -> None:
    """And no other: what is looked up by one name would be shown under two."""
    (tmp_path / "ocspec.toml").write_text("[profiles.p]\nname = 'other'\n")
    error = refused("p", tmp_path)
    assert error.what == "profile 'p': name is no key of a profile"
    assert error.fix == "take it out: [profiles.p] names the profile"


def test_a_misspelt_class_is_refused(tmp_path: Path) -> None:
    """It would otherwise hold for nothing, silently."""
    (tmp_path / "ocspec.toml").write_text("[profiles.p.classes.trian]\nminutes = 3\n")
    error = refused("p", tmp_path)
    assert error.what == "profile 'p': no task class is called 'trian'"
    assert error.fix == "did you mean 'train'? the classes are fetch, data, group, train, eval"


@pytest.mark.parametrize(
    ("body", "what", "fix"),
    [
        ("minutes = 0", "minutes is 0", "it is 1 or more"),
        ("workers = -1", "workers is -1", "it is 0 or more"),
        ("controller_patience_s = inf", "controller_patience_s is inf", "it is 0 or more, and finite"),
        ("controller_patience_s = nan", "controller_patience_s is nan", "it is 0 or more, and finite"),
        ("retry = { memory_growth = 0.5 }", "retry.memory_growth is 0.5", "it is 1 or more"),
        ("[profiles.p.classes.eval]\ncpus = 0", "classes.eval.cpus is 0", "it is 1 or more"),
        ('partition = "a\\n#SBATCH --uid=0"', "partition has a line break in a value", "one line"),
        ('sbatch = { nice = "1\\nrm" }', "sbatch has a line break in a value", "one line"),
        ('sbatch = { "nice me" = "1" }', "sbatch: 'nice me' is no option of sbatch", "mail-type"),
        ('environment = { "A B" = "1" }', "environment: 'A B' cannot be the name of a variable", "letters"),
        ('environment = { "1A" = "1" }', "environment: '1A' cannot be the name of a variable", "letters"),
        ('environment = { A = "1\\n2" }', "environment.A has a line break in its value", "file:PATH"),
        ('environment = { A = "env:MY KEY" }', "environment.A: 'MY KEY' cannot be the name", '"env:A"'),
        ('environment = { A = "file:.a" }', "environment.A: '.a' is not a whole path", "file:/home"),
        ('environment = { HF_TOKEN = "hf_x" }', "environment.HF_TOKEN looks like a secret", '"env:HF_TOKEN"'),
        ('environment = { WANDB_API_KEY = "x" }', "environment.WANDB_API_KEY looks like a secret", "file:/path"),
        ('environment = { AWS_SECRET_ACCESS_KEY = "x" }', "AWS_SECRET_ACCESS_KEY looks like a secret", "env:"),
        ('environment = { DB_PASSWD = "hf_x" }', "environment.DB_PASSWD looks like a secret", "env:"),
        ('environment = { KEY = "hf_x" }', "environment.KEY looks like a secret", "env:"),
        ('environment = { WANDB_KEY = "hf_x" }', "environment.WANDB_KEY looks like a secret", "env:"),
        ('environment = { github_pat = "hf_x" }', "environment.github_pat looks like a secret", "env:"),
        ('environment = { SMTP_PASS = "hf_x" }', "environment.SMTP_PASS looks like a secret", "env:"),
        ('environment = { CREDENTIAL = "hf_x" }', "environment.CREDENTIAL looks like a secret", "env:"),
        ('environment = { HUB_CREDENTIALS = "hf_x" }', "environment.HUB_CREDENTIALS looks like a secret", "env:"),
        ('sbatch = { export = "ALL,HF_TOKEN=hf_x" }', "sbatch.export gives HF_TOKEN a value", "environment = {"),
        (
            'environment = { K = "env:K" }\nsbatch = { export = "HF_TOKEN=hf_x" }',
            "sbatch.export gives HF_TOKEN a value",
            "environment = {",
        ),
        ('environment = { K = "env:K" }\nsbatch = { export = "NONE" }', "sbatch.export keeps K from", '"K"'),
        ('python = "~/venv/bin/python"', "python starts with ~", "the whole path"),
        ('container = { image = "a.sif" }', "container has an image but no kind", "apptainer"),
        ('container = { kind = "pyxis" }', "container of kind 'pyxis' has no image", "image"),
        ('container = { kind = "pyxis", image = "a", mounts = ["/a,b"] }', "container.mounts has a comma", "another"),
    ],
)
def test_a_value_that_cannot_be_used(tmp_path: Path, body: str, what: str, fix: str) -> None:
    """What, where, and what to write."""
    (tmp_path / "ocspec.toml").write_text(f"[profiles.p]\n{body}\n")
    error = refused("p", tmp_path)
    assert what in error.what
    assert fix in error.fix
    assert error.where == f"{tmp_path}/ocspec.toml: profile 'p'"
    assert "hf_x" not in str(error)


@pytest.mark.parametrize(
    "entry",
    [
        'TOKENIZERS_PARALLELISM = "false"',
        'MAX_TOKENS = "5"',
        'HF_TOKEN_PATH = "/home/me/.hf"',
        'HF_TOKEN = "env:HF_TOKEN"',
        'HF_ENDPOINT = "https://hub"',
        'MONKEY = "1"',
        'KEYBOARD = "us"',
        'KEY_FILE = "/home/me/.key"',
        'PATH = "/bin"',
        'PYTHONPATH = "/src"',
        'PASSES = "2"',
        'COMPASS = "north"',
        'GOOGLE_APPLICATION_CREDENTIALS = "/home/me/google.json"',
        'NAME = "it\'s $HOME ü"',
    ],
)
def test_what_is_no_secret_is_taken(tmp_path: Path, entry: str) -> None:
    """Names that only look like it, and references."""
    (tmp_path / "ocspec.toml").write_text(f"[profiles.p]\nenvironment = {{ {entry} }}\n")
    assert len(load_profile("p", tmp_path).environment) == 1


@pytest.mark.parametrize(
    ("option", "fix"),
    [
        *((name, "take it out: ocspec sets it") for name in ("array", "comment", "dependency", "error", "job_name")),
        *((name, "take it out: ocspec sets it") for name in ("kill-on-invalid-dep", "output", "open-mode", "wrap")),
        *((name, "take it out: ocspec sets it") for name in ("requeue", "no-requeue", "signal", "parsable")),
        ("--time", "write minutes = ..."),
        ("mem", "write memory_mb = ..."),
        ("mem_per_cpu", "write memory_mb = ..."),
        ("cpus-per-task", "write cpus = ..."),
        ("gpus", "write gpus_per_node = ..."),
        ("gpus_per_task", "write gpus_per_node = ..."),
        ("partition", "write partition = ..."),
        ("qos", "write qos = ..."),
        ("nodes", "the plan says how many"),
        ("ntasks_per_node", "the plan says how many"),
    ],
)
@pytest.mark.parametrize("table", ["profiles.p", "profiles.p.classes.train"])
def test_an_option_of_sbatch_that_is_not_for_a_profile(tmp_path: Path, table: str, option: str, fix: str) -> None:
    """ocspec relies on what it sets itself; what has a key of its own would hold for Slurm and not for ocspec."""
    (tmp_path / "ocspec.toml").write_text(f'[{table}]\nsbatch = {{ "{option}" = "1" }}\n')
    error = refused("p", tmp_path)
    place = "classes.train." if "train" in table else ""
    assert error.what == f"{place}sbatch.{option.removeprefix('--').replace('_', '-')} is not for a profile"
    assert fix in error.fix


@pytest.mark.parametrize("option", ["t", "tim", "dep", "job-n", "gre", "cpus"])
def test_an_option_of_sbatch_that_is_cut_short(tmp_path: Path, option: str) -> None:
    """sbatch takes the beginning of a name for the whole."""
    (tmp_path / "ocspec.toml").write_text(f'[profiles.p]\nsbatch = {{ {option} = "1" }}\n')
    assert refused("p", tmp_path).what == f"sbatch: {option!r} is no option of sbatch"


@pytest.mark.parametrize("value", ["gpu", "gpu:2", "gpu:h100:4", "nvme:1,gpu:1", "gres:gpu:1", "gres/gpu:1"])
def test_gpus_are_asked_for_by_their_own_key(tmp_path: Path, value: str) -> None:
    (tmp_path / "ocspec.toml").write_text(f'[profiles.p]\nsbatch = {{ gres = "{value}" }}\n')
    error = refused("p", tmp_path)
    assert error.what == "sbatch.gres asks for GPUs"
    assert error.fix == "write gpus_per_node = ... instead, and constraint for a kind of GPU"


@pytest.mark.parametrize(
    "option",
    [
        *('gres = "nvme:1"', 'gres = "lustre"', 'hold = ""', 'begin = "now+2"', 'nice = "3"', 'exclusive = ""'),
        *('export = "ALL"', 'time-min = "5"', 'nodelist = "n1"', 'gpu-bind = "closest"', 'reservation = "r"'),
    ],
)
def test_further_options_of_sbatch(tmp_path: Path, option: str) -> None:
    """Other kinds of devices, too."""
    (tmp_path / "ocspec.toml").write_text(f"[profiles.p]\nsbatch = {{ {option} }}\n")
    assert len(load_profile("p", tmp_path).sbatch) == 1


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Not the first alone."""
    (tmp_path / "ocspec.toml").write_text("[profiles.p]\nminutes = 0\nworkers = -1\n")
    with pytest.raises(UserErrors) as error:
        load_profile("p", tmp_path)
    assert [problem.what for problem in error.value.problems] == ["workers is -1", "minutes is 0"]


def test_what_nothing_reads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table or a key that is misspelt or misplaced, all of them, each with its line and what was meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ocspec.toml").write_text(
        'profiel = "local"\npartition = "gpu"\nOC006 = "off"\n\n[rule]\nOC029 = "off"\n[profile-s.x]\n[[zzz]]\n'
    )
    known = "there are: profile, profiles, rules"
    with pytest.raises(UserErrors) as error:
        default_profile(tmp_path)
    assert str(error.value).splitlines() == [
        "ocspec.toml:1: nothing reads 'profiel'",
        f"  fix: did you mean 'profile'? {known}",
        "ocspec.toml:2: nothing reads 'partition'",
        "  fix: put it below [profiles.NAME]",
        "ocspec.toml:3: nothing reads 'OC006'",
        "  fix: put it below [rules]",
        "ocspec.toml:5: nothing reads 'rule'",
        f"  fix: did you mean 'rules'? {known}",
        "ocspec.toml:7: nothing reads 'profile-s'",
        f"  fix: did you mean 'profiles'? {known}",
        "ocspec.toml:8: nothing reads 'zzz'",
        f"  fix: {known}",
    ]
    for settings in ("[rule]\nOC029 = 'off'", "rule.OC029 = 'off'", "'rule' = {OC029 = 'off'}"):
        (tmp_path / "ocspec.toml").write_text(f"\n{settings}\n")
        error = refused("local", tmp_path)
        assert (error.where, error.what) == ("ocspec.toml:2", "nothing reads 'rule'")


def test_what_nothing_reads_of_a_project_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There only what is for ocspec."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[rule]\nx = 1\n[tool.rule]\ny = 1\n[tool.ocspec.rule]\nOC029 = "off"\n')
    error = refused("local", tmp_path)
    assert (error.where, error.what) == ("pyproject.toml:5", "nothing reads 'rule'")
