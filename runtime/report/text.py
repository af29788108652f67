"""Numbers as people read them: the template's filters. Each takes a number, or None for none yet."""

from __future__ import annotations

from datetime import UTC, datetime

MISSING = "\N{EN DASH}"


def integer(value: float | None) -> str:
    """A whole number with separators.

    >>> integer(1234567), integer(None)
    ('1,234,567', '–')
    """
    return MISSING if value is None else f"{round(value):,}"


def percent(value: float | None) -> str:
    """A share in percent, with enough digits that something never reads as nothing.

    >>> percent(0.123), percent(1), percent(0.0004), percent(0.0), percent(None)
    ('12.3 %', '100 %', '0.04 %', '0 %', '–')
    """
    if value is None:
        return MISSING
    if value in {0, 1}:
        return f"{value * 100:.0f} %"
    return f"{value * 100:.1f} %" if value >= 0.001 else f"{value * 100:.1g} %"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with a fixed count of decimals.

    >>> decimal(2.5), decimal(None)
    ('2.500', '–')
    """
    return MISSING if value is None else f"{value:,.{digits}f}"


def significant(value: float | None) -> str:
    """A number of any size, four digits of it: a learning rate.

    >>> significant(0.0003), significant(1e-05), significant(0), significant(None)
    ('0.0003', '1e-05', '0', '–')
    """
    return MISSING if value is None else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """A duration.

    >>> seconds(0.4), seconds(12.34), seconds(200), seconds(7500), seconds(None)
    ('0.4 s', '12 s', '3 min 20 s', '2 h 5 min', '–')
    """
    if value is None:
        return MISSING
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: float | None) -> str:
    """A number of bytes, in powers of ten.

    >>> size(999), size(12_345), size(5_600_000_000), size(None)
    ('999 B', '12.3 kB', '5.6 GB', '–')
    """
    if value is None:
        return MISSING
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:,.1f} {unit}"


def moment(value: float | None) -> str:
    """A Unix time, in UTC.

    >>> moment(0), moment(None)
    ('1970-01-01 00:00 UTC', '–')
    """
    return MISSING if value is None else datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "task"), plural(2000, "task")
    ('1 task', '2,000 tasks')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
