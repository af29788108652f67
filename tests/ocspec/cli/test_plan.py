"""ocspec plan: what would run, why, and what it takes, without running it."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from compiler.cost.estimate import Estimate
from compiler.cost.interval import Interval
from ocspec.cli import amounts
from ocspec.cli.budgets import KINDS, budgets, rounded_up
from ocspec.cli.plan import BUDGETS
from runtime.reasons import RUNS


def edit(before: str, after: str) -> None:
    """Change the spec."""
    text = Path("tiny.py").read_text()
    assert before in text
    Path("tiny.py").write_text(text.replace(before, after))


def tasks_of(result) -> dict[str, dict]:
    """The tasks of `plan --json` by their ids."""
    return {task["id"]: task for task in json.loads(result.out)["tasks"]}


def test_without_a_store_everything_would_run(ocspec, spec: Path) -> None:
    result = ocspec("plan", str(spec), "--exit-code")
    assert result.code == 2
    assert "\nPlan: 14 new" in result.out
    assert "\nwhy: never built here, all of them\n" in result.out
    assert not Path("build").exists()
    assert not Path(".ocspec").exists()


def test_a_task_waits_for_the_nearest_tasks_only(ocspec, spec: Path) -> None:
    tasks = tasks_of(ocspec("plan", str(spec), "--json"))
    assert tasks["code/sign"]["waits_for"] == []
    assert tasks["code/deduplicate/cluster"]["waits_for"] == ["code/deduplicate/edges"]
    assert tasks["anneal/train"]["waits_for"] == ["anneal/mix", "pretrain/train"]


def test_after_a_run_everything_is_reused(ocspec, built: Path) -> None:
    result = ocspec("plan", "--exit-code")
    assert result == (0, "Plan: 14 reuse - nothing to run\n", "")
    assert "code/sign  " in ocspec("plan", "--all").out


def test_a_change_of_training_keeps_the_data(ocspec, built: Path) -> None:
    edit("peak=1e-3", "peak=2e-3")
    result = ocspec("plan", "tiny.py", "--json")
    assert {name: task["action"] for name, task in tasks_of(result).items() if task["action"] in RUNS} == {
        "pretrain/train": "rebuild",
        "anneal/train": "rebuild",
        "anneal/bits_per_byte": "may cut off",
    }
    counts = json.loads(result.out)["counts"]
    assert counts == {"reuse": 11, "cut off": 0, "rebuild": 2, "new": 0, "may cut off": 1}


def test_the_reason_is_a_change_with_both_values(ocspec, built: Path) -> None:
    """Of the task itself, or of the one before it that changed; JSON has all of them."""
    edit("Redact()", "Redact(pii=False)")
    tasks = tasks_of(ocspec("plan", "tiny.py", "--json"))
    change = {"path": "redact_pii", "before": "true", "after": "false"}
    for name, code in (("code/refine", "operator_changed"), ("tokenizer", "input_changed")):
        reason = tasks[name]["reason"]
        assert (reason["code"], reason["causes"]) == (code, [{"task": "code/refine", "changes": [change]}])
    lines = [line.split() for line in ocspec("plan", "tiny.py").out.splitlines()]
    (refine,) = [line for line in lines if line[:1] == ["code/refine"]]
    assert refine[1] == "rebuild" and refine[-4:] == ["redact_pii:", "true", "->", "false"]
    (tokenizer,) = [line for line in lines if line[:1] == ["tokenizer"]]
    assert tokenizer[1:4] == ["may", "cut", "off"] and "code/refine" in tokenizer


def test_equal_inputs_under_another_fingerprint_are_cut_off(ocspec, built: Path) -> None:
    """Forgetting the fingerprints leaves the artefacts, which are found again by what they were made from."""
    shutil.rmtree(".ocspec/fingerprints")
    assert ocspec("plan").out == "Plan: 14 cut off - nothing to run\n"
    assert ocspec("plan", "--exit-code").code == 0


def test_the_store_is_named_by_option_or_environment(ocspec, built: Path, monkeypatch) -> None:
    Path(".ocspec").rename("moved")
    assert "14 new" in ocspec("plan").out
    assert "14 reuse" in ocspec("plan", "--store", "moved").out
    monkeypatch.setenv("OCSPEC_STORE", "moved")
    assert "14 reuse" in ocspec("plan").out


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_wider_terminal_shows_more_and_none_is_overrun(ocspec, spec: Path, monkeypatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = ocspec("plan", str(spec)).out.splitlines()
    assert max(map(len, lines)) <= width
    columns = {80: "time", 120: "time CPU time writes", 160: "time CPU time writes tokens memory"}
    assert " ".join(lines[0].split()) == f"task action {columns[width]}"
    assert "why: never built here, all of them" in lines  # once, and not in every row


def test_a_plan_has_the_shards_that_it_has(ocspec, built: Path) -> None:
    result = ocspec("plan", "build/tiny", "--shards", "8")
    assert (result.code, result.out) == (1, "")
    assert "build/tiny: this is a plan, of which nothing can be set\n  fix: give the spec" in result.err


def test_only_what_would_run_is_counted(ocspec, built: Path) -> None:
    """A stage that is trained again, and not the one before it that is reused."""
    edit("Decay(end=1e-5)", "Decay(end=2e-5)")
    found = json.loads(ocspec("plan", "tiny.py", "--json").out)
    assert found["trained_tokens"] == {"low": 128, "high": 128}
    assert found["total"]["gpu_hours"] == {"low": 0, "high": 0}
    train = next(task for task in found["tasks"] if task["id"] == "anneal/train")
    measured = next(task for task in found["tasks"] if task["id"] == "anneal/bits_per_byte")
    for name in ("bytes_read", "cpu_hours"):
        total, one, other = (one[name] for one in (found["total"], train["estimate"], measured["estimate"]))
        assert total["low"] == one["low"]  # the measurement may be cut off
        assert total["high"] == one["high"] + other["high"]
    assert " 128 tokens, " in ocspec("plan", "tiny.py").out


# ---------------------------------------------------------------- budgets


def test_every_budget_is_in_the_help(ocspec) -> None:
    assert tuple(KINDS) == BUDGETS


def test_below_its_budgets_a_plan_passes(ocspec, spec: Path) -> None:
    result = ocspec("plan", str(spec), "--budget", "tokens=320", "--budget", "gpu_h=0")
    assert (result.code, result.err) == (0, "")


def test_above_a_budget_it_fails_with_numbers_and_the_dearest_tasks(ocspec, spec: Path) -> None:
    result = ocspec("plan", str(spec), "--budget", "tokens=319", "--budget", "gpu_h=1", "--out", "build/reviewed")
    assert result.code == 4
    assert "error: over budget: tokens trained on 320, budget 319 tokens; it takes more in any case" in result.err
    assert "; dearest: pretrain/train 192, anneal/train 128\n" in result.err
    assert "fix: change the spec, or raise it to --budget tokens=320\n" in result.err
    assert "GPU" not in result.err
    assert "build/reviewed is not written" in result.err and not Path("build").exists()


def test_a_message_has_one_notation(ocspec, spec: Path) -> None:
    """FLOPs as the field writes them, tokens in k to T, hours as numbers: of what it takes as of the limit."""
    limits = ("flops=1e3", "tokens=300", "gpu_h=0.5", "cpu_h=0")
    errors = ocspec("plan", str(spec), *(f"--budget={limit}" for limit in limits)).err
    assert re.search(r"FLOPs \d\.\d\de\d+-\d\.\d\de\d+, budget 1\.00e3 FLOPs; .* pretrain/train \d\.\d\de\d\b", errors)
    assert "budget 300 tokens" in errors and "budget 0 CPU-h" in errors


@pytest.mark.parametrize(
    ("name", "interval", "said"),
    [
        ("flops", Interval(1.29e23, math.inf), ">= 1.29e23"),
        ("flops", Interval(1.291e23, 1.2911e23), "1.29e23"),
        ("tokens", Interval.exact(30_000), "30 k"),
        ("gpu_h", Interval(76_000, 120_000), "76,000-120,000"),
        ("gpu_h", Interval.exact(120_000), "120,000"),
        ("store_gb", Interval(970, math.inf), ">= 970"),
        ("wall_h", Interval(0.0028, 1.5), "0.0028-1.5"),
    ],
)
def test_what_is_limited_is_said_in_its_notation(name: str, interval: Interval, said: str) -> None:
    assert KINDS[name].text(interval) == said


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(2.615e12, 2.6151e12), "2.62 T"),
        (Interval(2.4e12, 2.6e12), "2.5 T (2.4-2.6)"),
        (Interval.exact(2.62e12), "2.62 T"),
    ],
)
def test_bounds_that_look_the_same_are_said_once(interval: Interval, said: str) -> None:
    assert amounts.middle(interval, amounts.COUNT) == said


def test_the_upper_bound_decides(ocspec, built: Path) -> None:
    """And what is raised to the number that the message gives passes."""
    edit("peak=1e-3", "peak=2e-3")
    total = json.loads(ocspec("plan", "tiny.py", "--json").out)["total"]["cpu_hours"]
    assert 0 < total["low"] < total["high"]
    between = f"cpu_h={(total['low'] + total['high']) / 2}"
    over = ocspec("plan", "tiny.py", "--budget", between, "--json")
    assert over.code == 4 and "it may take more" in over.err
    (budget,) = json.loads(over.out)["budgets"]
    assert budget["exceeded"] and budget["high"] == total["high"]
    raised = over.err.partition("--budget ")[2].split()[0]
    assert ocspec("plan", "tiny.py", "--budget", raised).code == 0


def test_what_ran_once_is_bounded_the_next_time(ocspec, built: Path) -> None:
    """Also what was measured, of other models of the same shape."""
    limits = ("--budget", "cpu_h=1", "--budget", "store_gb=1", "--budget", "wall_h=1", "--budget", "flops=1T")
    result = ocspec("plan", "tiny.py", "--set", "pretrain.seed=5", *limits)
    assert (result.code, result.err) == (0, "")
    assert "unknown" not in " ".join(line for line in result.out.splitlines() if "bits_per_byte" in line)


def test_what_nothing_bounds_is_over_every_budget(ocspec, spec: Path) -> None:
    """Nobody knows what the packages of an index hold before they are fetched."""
    package = f'Package(name="six", version="1.16.0", sha256="{"0" * 64}")'
    edit('path="repositories"),)', f'path="repositories"), PyPI(name="index", packages=({package},)))')
    found = json.loads(ocspec("plan", str(spec), "--json").out)
    assert found["total"]["bytes_read"]["high"] is None
    result = ocspec("plan", str(spec), "--budget", "read_gb=1_000")
    assert result.code == 4
    assert re.search(
        r" bytes written >= \S+ kB \(.+ without \d+ tasks that nothing bounds\) ", " ".join(result.out.split())
    )
    assert "; nothing bounds " in result.err and "fix: change the spec, or leave it out" in result.err


def test_the_budgets_of_the_guide_hold(ocspec, tmp_path: Path, monkeypatch) -> None:
    """Its command passes on a cluster of H100s, and says what was not counted as the guide says it."""
    root = Path(__file__).parents[3]
    guide = (root / "docs" / "how-to" / "plan.md").read_text()
    (command,) = re.findall(r"^ocspec (plan .* --budget .*)$", guide, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    train = 'minutes = 1440\ngpus_per_node = 8\ndevice = "{}"\n'
    settings = '[profiles.cluster]\ndispatch = "slurm"\nminutes = 120\n[profiles.cluster.classes.train]\n' + train
    Path("specs").symlink_to(root / "specs")
    for device, code in (("H100", 0), ("A100", 4)):
        Path("ocspec.toml").write_text(settings.format(device))
        result = ocspec(*command.split())
        assert result.code == code, result.err
        (line,) = (line for line in result.out.splitlines() if line.startswith("not counted: "))
        assert line in guide.splitlines()


def test_what_this_version_cannot_run_decides_no_budget(ocspec, spec: Path) -> None:
    """It is named, and unknown in the plan's own total; what else takes too much is over budget as ever."""
    edit("max_bytes=2000)", 'max_bytes=2000), HumanEval(stages=("anneal",)), MBPP(stages=("anneal",))')
    limits = ("--budget", "gpu_h=0", "--budget", "flops=1T", "--budget", "tokens=320")
    result = ocspec("plan", str(spec), *limits)
    assert result.code == 0 and "error" not in result.err
    assert re.search(r"^  FLOPs +>= ", result.out, re.MULTILINE)
    assert "not counted: 2 tasks that this version cannot run: anneal/humaneval, anneal/mbpp\n" in result.out
    assert "not counted" not in ocspec("plan", str(spec)).out
    found = json.loads(ocspec("plan", str(spec), *limits, "--json").out)
    assert found["not_counted"] == ["anneal/humaneval", "anneal/mbpp"]
    assert found["total"]["flops"]["high"] is None and found["total"]["gpu_hours"]["high"] is None
    assert [limit["exceeded"] for limit in found["budgets"]] == [False] * 3
    assert found["budgets"][0]["high"] == 0 and 0 < found["budgets"][1]["high"] < 1e12
    over = ocspec("plan", str(spec), "--budget", "flops=1")
    assert over.code == 4
    (error,) = (line for line in over.err.splitlines() if line.startswith("error: "))
    assert "humaneval" not in error and "mbpp" not in error
    assert "; it takes more in any case; dearest: " in over.err


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("gpu=1", "no budget is called 'gpu'\n  fix: did you mean gpu_h?"),
        ("quux=1", f"no budget is called 'quux'\n  fix: one of {', '.join(KINDS)}"),
        ("gpu_h", "--budget gpu_h takes a number of GPU-hours that is not negative, not ''"),
        ("gpu_h=-1", "--budget gpu_h takes a number of GPU-hours that is not negative, not '-1'"),
        ("gpu_h=nan", "--budget gpu_h takes a number of GPU-hours that is not negative, not 'nan'"),
        ("gpu_h=200_", "--budget gpu_h takes a number of GPU-hours that is not negative, not '200_'"),
        ("gpu_h=1__0", "--budget gpu_h takes a number of GPU-hours that is not negative, not '1__0'"),
        ("gpu_h=1e400", "--budget gpu_h takes a number of GPU-hours that is not negative, not '1e400'"),
        ("flops=1e300T", "--budget flops takes a number of FLOPs that is not negative, not '1e300T'"),
        ("gpu_h=200h", "--budget gpu_h takes a number of GPU-hours that is not negative, not '200h'"),
        ("store_gb=20TB", "--budget store_gb takes a number of GB that is not negative, not '20TB'"),
        ("wall_h=2d", "--budget wall_h takes a number of hours that is not negative, not '2d'"),
        ("store_gb=20T", "--budget store_gb is in GB, and takes no T\n  fix: write --budget store_gb=200, or 2.5e3"),
    ],
)
def test_a_budget_that_cannot_be_read_is_refused(ocspec, spec: Path, given: str, what: str) -> None:
    result = ocspec("plan", str(spec), "--budget", given)
    assert (result.code, result.out) == (1, "")
    assert what in result.err


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ("tokens=2.5T", 2.5e12),
        ("flops=1 k", 1e3),
        ("store_gb=20_000", 20_000),
        ("gpu_h=5.01e-05", 5.01e-05),
        ("cpu_h=1e+2", 100),
    ],
)
def test_a_budget_is_in_its_unit(given: str, limit: float) -> None:
    (budget,) = budgets([given])
    assert budget.limit == limit


def test_budgets_of_memory_and_disk_are_in_gb() -> None:
    """What is asked of a machine, and measured, is in units of 2^20 bytes."""
    one = Estimate(memory_mb=Interval.exact(4096), disk_mb=Interval.exact(1024))
    assert KINDS["memory_gb"].of(one) == Interval.exact(4096 * 2**20 / 1e9)
    assert KINDS["disk_gb"].of(one) == Interval.exact(2**30 / 1e9)


@given(number=floats(min_value=1e-12, max_value=1e300))
def test_the_limit_of_the_message_can_be_given_and_holds(number: float) -> None:
    """Three digits, and never below what it takes."""
    (budget,) = budgets([f"flops={rounded_up(number)}"])
    assert number <= budget.limit <= number * 1.0100001


def test_every_bad_budget_is_listed(ocspec, spec: Path) -> None:
    given = ("gpu=1", "gpu_h=1", "gpu_h=2", "wall_h=x")
    result = ocspec("plan", str(spec), *(f"--budget={budget}" for budget in given))
    assert result.err.count("error: ") == 3
    assert "--budget gpu_h is given twice" in result.err
