"""`--budget NAME=NUMBER`: what a plan may take at most, and whether it would stay below. Not where it says so.

A budget holds where the estimate's upper bound does, so one for something that nothing bounds is exceeded. Tasks that
this version cannot run are left out: they would be refused, and never take anything.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Context

import attrs

from compiler.cost.estimate import Estimate
from compiler.cost.interval import Interval
from compiler.errors import UserError, UserErrors
from ocspec.cli.amounts import COUNT, Units, amount, scientific
from ocspec.cli.forecast import Forecast
from ocspec.cli.output import one_line, plural

HOUR = 3600.0
GB = 1e9
MIB_A_GB = 1e9 / 2**20
DEAREST = 3
PLAIN: Units = ((1, ""),)
FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
NUMBER = re.compile(r"([0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?) ?([kMGBT]?)")
UP = Context(prec=3, rounding=ROUND_CEILING)


@attrs.frozen(kw_only=True)
class Kind:
    """Something that can be limited: of one task, and of all that run, in `unit`; a count may end in k to T.

    `takes` is what its number is of where that is not said by `unit`. `text` writes bounds without the
    unit: `90-150`, `>= 3`, `unknown`.
    """

    name: str
    says: str
    unit: str
    of: Callable[[Estimate], Interval]
    whole: Callable[[Forecast], Interval] | None = None
    of_training: bool = False
    is_count: bool = False
    takes: str = ""
    text: Callable[[Interval], str] = lambda interval: amount(interval, PLAIN)

    def total(self, forecast: Forecast) -> Interval:
        """Of all tasks that would run and can."""
        counted = forecast.runnable
        return self.whole(counted) if self.whole else self.of(counted.total)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="gpu_h", says="GPU-hours", unit="GPU-h", takes="GPU-hours", of=lambda e: e.gpu_hours),
        Kind(name="cpu_h", says="CPU-hours", unit="CPU-h", takes="CPU-hours", of=lambda e: e.cpu_hours),
        Kind(
            name="wall_h",
            says="wall time",
            unit="h",
            takes="hours",
            of=lambda e: e.seconds / HOUR,
            whole=lambda f: f.wall / HOUR,
        ),
        Kind(
            name="tokens",
            says="tokens trained on",
            unit="tokens",
            of=lambda e: e.tokens,
            whole=lambda f: f.trained,
            of_training=True,
            is_count=True,
            text=lambda interval: amount(interval, COUNT),
        ),
        Kind(
            name="flops",
            says="FLOPs",
            unit="FLOPs",
            of=lambda e: e.flops,
            is_count=True,
            text=scientific,
        ),
        Kind(name="read_gb", says="bytes read", unit="GB", of=lambda e: e.bytes_read / GB),
        Kind(name="store_gb", says="bytes written to the store", unit="GB", of=lambda e: e.bytes_written / GB),
        Kind(name="memory_gb", says="memory of a shard", unit="GB", of=lambda e: e.memory_mb / MIB_A_GB),
        Kind(name="disk_gb", says="temporary disk of a shard", unit="GB", of=lambda e: e.disk_mb / MIB_A_GB),
    )
}


@attrs.frozen(kw_only=True)
class Budget:
    """A limit that was given, in the kind's unit."""

    kind: Kind
    limit: float

    def exceeded(self, forecast: Forecast) -> bool:
        """Whether the upper bound is above the limit."""
        return self.kind.total(forecast).high > self.limit


def budgets(given: Sequence[str]) -> list[Budget]:
    """The limits of a command line; raises UserErrors with every one that cannot be read."""
    found: list[Budget] = []
    problems: list[UserError] = []
    for text in given:
        try:
            budget = _budget(text)
        except UserError as problem:
            problems.append(problem)
            continue
        if any(budget.kind is other.kind for other in found):
            problems.append(UserError(f"--budget {budget.kind.name} is given twice", fix="give it once"))
        found.append(budget)
    if problems:
        raise UserErrors(problems)
    return found


def _budget(text: str) -> Budget:
    name, _, number = text.partition("=")
    kind, value = KINDS.get(name.strip()), NUMBER.fullmatch(number.strip())
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.5)
        fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(KINDS)}"
        raise UserError(f"no budget is called {one_line(name)!r}", fix=fix)
    limit = float(value[1]) * FACTORS[value[2]] if value else math.inf
    fix = f"write --budget {kind.name}=200, or {'2.5e12, or 2.5T' if kind.is_count else '2.5e3'}"
    if value is None or math.isinf(limit):
        what = f"a number of {kind.takes or kind.unit} that is not negative, not {one_line(number)!r}"
        raise UserError(f"--budget {kind.name} takes {what}", fix=fix)
    if value[2] and not kind.is_count:  # 20T of a unit that is giga already are not what they look like
        raise UserError(f"--budget {kind.name} is in {kind.unit}, and takes no {value[2]}", fix=fix)
    return Budget(kind=kind, limit=limit)


def over(budget: Budget, forecast: Forecast) -> UserError:
    """What it takes, against what it may, and what takes most."""
    kind, taken, forecast = budget.kind, budget.kind.total(forecast), forecast.runnable
    running = [task for task in forecast.counted if not kind.of_training or task in forecast.training]
    taking = {task: kind.of(forecast.counted[task]) for task in running}
    known = {task: interval for task, interval in taking.items() if interval.is_known and interval.high}
    dearest = sorted(known.items(), key=lambda pair: (pair[1].high, pair[1].low, pair[0]), reverse=True)
    what = f"over budget: {kind.says} {kind.text(taken)}, budget {kind.text(Interval.exact(budget.limit))} {kind.unit}"
    what += (
        "; it takes more in any case" if taken.low > budget.limit else "; it may take more" if taken.is_known else ""
    )
    if unbounded := [task for task, interval in taking.items() if not interval.is_known]:
        what += f"; nothing bounds {_few(unbounded)}"
    if dearest:
        what += f"; dearest{' of the others' if unbounded else ''}: "
        what += ", ".join(f"{one_line(task)} {kind.text(interval)}" for task, interval in dearest[:DEAREST])
    fix = f"raise it to --budget {kind.name}={rounded_up(taken.high)}" if taken.is_known else "leave it out"
    return UserError(what, fix=f"change the spec, or {fix}")


def not_counted(forecast: Forecast) -> str:
    """`not counted: 2 tasks that this version cannot run: a, b`, "" where there is none."""
    tasks = forecast.refused
    return f"not counted: {plural(len(tasks), 'task')} that this version cannot run: {_few(tasks)}" if tasks else ""


def _few(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - DEAREST} more" if len(tasks) > DEAREST else ""
    return f"{', '.join(map(one_line, tasks[:DEAREST]))}{more}"


def rounded_up(number: float) -> str:
    """Three digits that are not below it, as `--budget` reads them.

    >>> rounded_up(0), rounded_up(117.2), rounded_up(2_000_001), rounded_up(1.5e-5)
    ('0', '118', '2.01e6', '1.51e-05')
    """
    return re.sub(r"e\+0?", "e", f"{float(UP.create_decimal_from_float(number)):.6g}")
