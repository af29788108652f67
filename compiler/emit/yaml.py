"""Plain data as YAML text for people, with comments. Writes only: nothing here reads YAML.

Numbers are written so that every reader of YAML takes them for numbers: PyYAML wants a point before an exponent, and
takes 1e-05 for a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # in any case, to readers of YAML 1.1


def yaml_text(tree: Mapping[str, Any], comments: Mapping[str, str] | None = None, head: str = "") -> str:
    r"""A mapping as YAML, mappings below it in blocks, lists in one line each.

    `comments` stand above the key that their dotted path names, `head` above all; each may have several lines.

    >>> print(yaml_text({"a": {"lr": 1e-05, "on": True}, "b": [1, "x y"]}, {"a.lr": "the last"}, "top"), end="")
    # top
    a:
      # the last
      lr: 1.0e-05
      "on": true
    b: [1, "x y"]
    """
    lines = [*_comment(head, ""), *_block(tree, comments or {}, "", "")]
    return "\n".join(lines) + "\n"


def _block(tree: Mapping[str, Any], comments: Mapping[str, str], path: str, indent: str) -> Iterator[str]:
    for key, value in tree.items():
        here = f"{path}.{key}" if path else key
        yield from _comment(comments.get(here, ""), indent)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_scalar(key)}:"
            yield from _block(value, comments, here, f"{indent}  ")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            yield f"{indent}{_scalar(key)}:"
            yield from (f"{indent}  - {_flow(item)}" for item in value)
        else:
            yield f"{indent}{_scalar(key)}: {_flow(value)}"


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}".rstrip() for line in text.splitlines()]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}{'' if '.' in mantissa or not e else '.0'}{e}{exponent}"
    return json.dumps(value)
