"""How much of something, of which only bounds may be known, in a few words. Not what anything takes.

What is not known is said to be unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compiler.cost.estimate import Estimate
    from compiler.cost.interval import Interval

Units = Sequence[tuple[float, str]]

COUNT: Units = ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T"))
BYTES: Units = ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"), (1e15, "PB"))
MIB: Units = tuple((size / 2**20, name) for size, name in BYTES)
"""Units of what is counted in 2^20 bytes, as memory is asked for and measured."""
SECONDS: Units = ((1, "s"), (60, "min"), (3600, "h"), (86400, "d"))
HOURS: Units = ((1 / 3600, "s"), (1 / 60, "min"), (1, "h"))
GPU_HOURS: Units = ((1 / 3600, "GPU-s"), (1 / 60, "GPU-min"), (1, "GPU-h"))
CPU_HOURS: Units = ((1 / 3600, "CPU-s"), (1 / 60, "CPU-min"), (1, "CPU-h"))
WHOLE = (COUNT, BYTES)
"""What there is no part of: a bound below 1 is none."""
DAY_FROM = 48 * 3600
NEGLIGIBLE = 1e-4
"""The share of an upper bound below which the lower one says no more than that there is something."""


def amount(interval: Interval, units: Units) -> str:
    """Three digits of what is known, two of each bound of what is not; each bound in its unit.

    >>> from compiler.cost.interval import Interval
    >>> amount(Interval(4300, 6500), SECONDS), amount(Interval.exact(41_234_000_000), COUNT)
    ('1.2-1.8 h', '41.2 B')
    >>> amount(Interval.unknown(), BYTES), amount(Interval(3e9, 3e9).or_more(), BYTES)
    ('unknown', '>= 3 GB')
    >>> amount(Interval(900, 2_000_000), BYTES), amount(Interval(0, 512), MIB), amount(Interval(25, 4_330), COUNT)
    ('900 B-2 MB', '<= 540 MB', '25-4.3 k')
    >>> amount(Interval(15, 13e9), BYTES)
    '<= 13 GB'
    """
    low, high = _bound(interval.low, units), interval.high
    if not interval.is_known:
        return f">= {_with_unit(low, units, 2)}" if low else "unknown"
    if interval.is_exact or _with_unit(low, units, 2) == _with_unit(high, units, 2):
        return _with_unit(high, units, 3)
    if low <= NEGLIGIBLE * high:
        return f"<= {_with_unit(high, units, 2)}"
    size, name = _unit(high, units)
    one = digits(low / size, 2) if _unit(low, units)[1] == name else _with_unit(low, units, 2)
    return f"{one}-{digits(high / size, 2)} {name}".rstrip()


def middle(interval: Interval, units: Units) -> str:
    """What is likely, and the bounds in its unit; like `amount` where one of them is not known.

    >>> from compiler.cost.interval import Interval
    >>> middle(Interval(90, 150), GPU_HOURS), middle(Interval.exact(7), COUNT), middle(Interval.unknown(), GPU_HOURS)
    ('116 GPU-h (90-150)', '7', 'unknown GPU-h')
    >>> middle(Interval(2.615e12, 2.6151e12), COUNT)
    '2.62 T'
    """
    text = amount(interval, units)
    if text == "unknown":
        return f"{text} {units[-1][1]}" if units in (GPU_HOURS, CPU_HOURS) else text
    if interval.is_exact or not interval.is_known or text.startswith("<="):
        return text
    size, _ = _unit(interval.middle, units)
    low, high = (digits(number / size, 2) for number in (interval.low, interval.high))
    bounds = "" if low == high else f" ({low}-{high})"
    return f"{_with_unit(interval.middle, units, 3)}{bounds}"


def scientific(interval: Interval) -> str:
    """As the field writes FLOPs: `8.90e12`, `2.1e22-3.4e22`, `unknown`."""
    from ocspec.cli.output import scientific as one

    if interval.is_exact:
        return one(interval.low) if interval.low else "0"
    if not interval.is_known:
        return f">= {one(interval.low)}" if interval.low else "unknown"
    low, high = one(interval.low), one(interval.high)
    if not interval.low:
        return f"<= {high}"
    return low if low == high else f"{low}-{high}"


def digits(number: float, count: int = 3) -> str:
    """So many digits, without an exponent: zeros where the number is larger.

    >>> digits(0), digits(0.01234), digits(1.5), digits(117.8), digits(12_345.6), digits(149.6, 2)
    ('0', '0.0123', '1.5', '118', '12,300', '150')
    """
    return f"{float(f'{number:.{count}g}'):,.10f}".rstrip("0").rstrip(".")


def estimate_rows(one: Estimate) -> list[tuple[str, str]]:
    """Name and amount of everything that is estimated; what is known to be nothing is left out."""
    rows = [
        ("documents read", one.documents, amount(one.documents, COUNT)),
        ("bytes read", one.bytes_read, amount(one.bytes_read, BYTES)),
        ("bytes written", one.bytes_written, amount(one.bytes_written, BYTES)),
        ("tokens", one.tokens, amount(one.tokens, COUNT)),
        ("FLOPs", one.flops, scientific(one.flops)),
        ("GPU time", one.gpu_hours, amount(one.gpu_hours, HOURS)),
        ("CPU time", one.cpu_hours, amount(one.cpu_hours, HOURS)),
        ("wall time", one.seconds, amount(one.seconds, SECONDS)),
        ("memory of a shard or rank", one.memory_mb, amount(one.memory_mb, MIB)),
        ("temporary disk of a shard", one.disk_mb, amount(one.disk_mb, MIB)),
    ]
    return [(name, text) for name, interval, text in rows if interval.high > 0]


def plain(interval: Interval) -> dict[str, Any]:
    """For JSON, which has no infinity: `high` is null where nothing bounds it."""
    return {"low": interval.low, "high": interval.high if interval.is_known else None}


def _bound(low: float, units: Units) -> float:
    return 0.0 if units in WHOLE and low < 1 else low


def _with_unit(number: float, units: Units, count: int) -> str:
    size, name = _unit(number, units)
    return f"{digits(number / size, count)} {name}".rstrip()


def _unit(number: float, units: Units) -> tuple[float, str]:
    """The largest that leaves at least 1; days from two on."""
    fitting = [unit for unit in units if number >= 0.9995 * unit[0] and (unit[1] != "d" or number >= DAY_FROM)]
    return fitting[-1] if fitting else units[0]
