"""Write docs/reference/rules.md, and the examples of `ocspec explain CODE`, from the rules and their fixtures.

python scripts/make_checks_reference.py

It describes nothing by itself: what a rule says is in `compiler/rules`, its examples are in
`tests/fixtures/compiler/rules`, where its test runs them.
"""

from __future__ import annotations

import json
from pathlib import Path

from compiler.rules import RULES
from compiler.rules.base import Rule

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "rules.md"
EXAMPLES = ROOT / "compiler" / "rules" / "examples.json"
FIXTURES = ROOT / "tests" / "fixtures" / "compiler" / "rules"

HEAD = """\
# Rules

Written by `scripts/make_checks_reference.py`; change `compiler/rules` and its fixtures, not this page.

`ocspec compile` runs every rule: an error refuses the spec, a warning is said on stderr. `ocspec check SPEC...` lists
what they find in one or many specs and exits 3 where there is an error; `ocspec explain OC014` prints what stands here.
A settings file (`ocspec.toml`, or `[tool.ocspec.rules]` of pyproject.toml) changes how grave a rule is:

```toml
[rules]
OC020 = "error"
OC029 = "off"
```

`compile` and `check` name each rule whose severity was changed, and the line that did it. Rules marked "fixed" stay
errors: a spec that breaks one has no plan. `small`, `pretrain`, `code` and `mix` in the examples make a small
experiment, as `tests/fixtures/compiler/small.py` has it.
"""


def main() -> None:
    """Write both files."""
    PAGE.write_text(page(), encoding="utf-8")
    EXAMPLES.write_text(examples_text(), encoding="utf-8")


def examples_text() -> str:
    """The first spec that breaks each rule, what is found in it, and the first that keeps it."""
    return json.dumps({rule.code: _examples(rule) for rule in RULES}, indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """The whole page as Markdown."""
    rows = "".join(f"| [{r.code}](#{_anchor(r)}) | {_severity(r)} | {r.name} | {r.why} |\n" for r in RULES)
    table = f"| code | severity | name | why |\n| --- | --- | --- | --- |\n{rows}"
    return "\n".join([HEAD, table, *map(section, RULES)])


def section(rule: Rule) -> str:
    """One rule: why, what it cost, and a spec on either side."""
    shown = _examples(rule)
    return "\n".join(
        [
            f"## {rule.code} {rule.name}\n",
            f"{_severity(rule).capitalize()}. {rule.why}\n",
            f"{rule.teach}",
            f"```python\n{shown['failing']}```\n",
            f"```text\n{shown['found']}```\n",
            f"What keeps it:\n\n```python\n{shown['passing']}```\n",
        ]
    )


def _severity(rule: Rule) -> str:
    return f"{rule.severity}, fixed" if rule.fixed else rule.severity


def _anchor(rule: Rule) -> str:
    return f"{rule.code.lower()}-{rule.name.replace(' ', '-')}"


def _examples(rule: Rule) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in (FIXTURES / f"{rule.code.lower()}.txt").read_text(encoding="utf-8").split("==== ")[1:]:
        _, _, body = block.partition("\n")
        given, _, expected = body.partition("----\n")
        if f"[{rule.code}]" in expected:
            found.setdefault("failing", given)
            found.setdefault("found", expected.removesuffix("compiles\n"))
        else:
            found.setdefault("passing", given)
    return {name: found[name] for name in ("failing", "found", "passing")}


if __name__ == "__main__":
    main()
