"""The names under which watchers show numbers, the same in all of them. Not the names of the metrics' own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Unavailable(Exception):
    """A watcher was asked for and cannot start; the message says what it lacks and where that comes from."""


def of_step(line: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a step by name, from its lines of metrics and timings; those that are not known are left out.

    >>> of_step({"step": 3, "loss": None, "lr": 0.1, "sources": {"code": 2.5}, "anomaly": "not finite"}, {"mfu": 0.4})
    {'train/lr': 0.1, 'source/code': 2.5, 'train/anomaly': 1.0, 'speed/mfu': 0.4}
    """
    numbers = {f"train/{key}": line.get(key) for key in ("loss", "lr", "grad_norm", "tokens")}
    numbers |= {f"source/{name}": loss for name, loss in line.get("sources", {}).items()}
    if line.get("anomaly"):
        numbers["train/anomaly"] = 1.0
    numbers |= {f"speed/{key}": value for key, value in timing.items() if key != "step"}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def of_validation(line: Mapping[str, Any]) -> dict[str, float]:
    """Bits per byte by name, from a line of validation.

    >>> of_validation({"step": 3, "bits_per_byte": 2.0, "languages": {"go": 1.5}})
    {'validation/bits_per_byte': 2.0, 'validation/go': 1.5}
    """
    numbers = {"validation/bits_per_byte": line["bits_per_byte"]}
    numbers |= {f"validation/{language}": bits for language, bits in line["languages"].items()}
    return {name: float(value) for name, value in numbers.items() if value is not None}
