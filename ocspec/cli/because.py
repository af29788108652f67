"""Why a task has to run, in a few words: the change that decides, `path: old -> new`. Text only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ocspec.cli.output import one_line

if TYPE_CHECKING:
    from runtime.reasons import Cause, Change, Outlook

LONGEST = 40
HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
TEXTS = {
    "built": "",
    "same_content": "what it reads holds what it held",
    "never_built": "never built here",
    "artefact_missing": "its artefact is gone from the store",
    "artefact_damaged": "its artefact was damaged and is set aside",
    "inputs_reordered": "its inputs stand in another order",
}


def because(one: Outlook) -> str:
    """`schedule[1].end: 0.0001 -> 0.0002`, with the task before it where that is another's difference."""
    if (text := TEXTS.get(one.reason.code)) is not None:
        return text
    cause = one.cause
    assert cause is not None, one
    if one.reason.code == "input_missing":
        return f"{one_line(cause.task)} has to be built again"
    text = cause_text(cause)
    return text if cause.task == one.task.id else f"{one_line(cause.task)} {text}"


def cause_text(cause: Cause) -> str:
    """The first change, and how many more."""
    if not cause.changes:
        return "made something else"
    more = f" and {len(cause.changes) - 1} more" if len(cause.changes) > 1 else ""
    return f"{change_text(cause.changes[0])}{more}"


def change_text(change: Change) -> str:
    """`path: old -> new`; a field that is not in an identity has its default.

    >>> change_text(("job.schedule[0].end", "0.001", "0.002"))
    'job.schedule[0].end: 0.001 -> 0.002'
    >>> change_text(("bands", None, "16")), change_text(("inputs.keys", "a/sign", None))
    ('bands: default -> 16', 'inputs.keys: a/sign -> none')
    """
    path, before, after = change
    nothing = "none" if path.startswith("inputs.") else "default"
    return f"{path}: {_cut(value_text(before, nothing))} -> {_cut(value_text(after, nothing))}"


def value_text(value: Any, nothing: str = "none") -> str:
    """A value of a pre-image (see `compiler.canonical`): a leaf as it is, a tree by what it holds.

    >>> value_text(["seq", [["str", "c"], ["int", "3"]]]), value_text(["part", "Rule", {"name": ["str", "x"]}])
    ('[c, 3]', 'Rule(name=x)')
    """
    if value is None:
        return nothing
    if not isinstance(value, list):
        return one_line(HASH.sub(r"\1", str(value)))
    tag, *payload = value
    if tag in {"op", "part"}:
        return f"{payload[0]}({', '.join(f'{name}={value_text(part)}' for name, part in payload[1].items())})"
    if tag == "map":
        return "{" + ", ".join(f"{value_text(key)}: {value_text(part)}" for key, part in payload[0]) + "}"
    if tag in {"seq", "set"}:
        return f"[{', '.join(value_text(part) for part in payload[0])}]"
    return "null" if tag == "null" else value_text(payload[0])


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
