"""Write docs/reference/quality-rules.md from the tables of rules and signals. It describes nothing by itself.

python scripts/make_rules_reference.py
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from compiler.quality_rules import DEFAULT_RULES, NOTES, QualityRule
from compiler.quality_rules.general import GENERAL_RULES
from compiler.quality_rules.languages import LANGUAGE_RULES
from compiler.quality_rules.natural import NATURAL_RULES
from runtime.data.languages import doc_type
from runtime.data.signals import SIGNALS, Signal

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "quality-rules.md"

HEAD = """\
# Quality rules

Written by `scripts/make_rules_reference.py`; change `compiler/quality_rules` and `runtime/data/signals`, not this page.

`Filter(catalogue="opencoder")` drops a document for which one of these rules holds. The rules and thresholds are those
of the code published with OpenCoder (arXiv 2411.04905, Appendix A; `opc_data_filtering`,
`pipeline/code_filter_config.py`); where a rule departs from it, the table says how. The first rule that holds, in the
order of the tables, is the one written down for a document, with the value and the threshold.

A signal without a value (there is no grammar for the language, or no word in the text) never drops. A rule with a
probability drops that share of the documents for which it holds, chosen by a hash of its name, `Filter.seed` and the
document's id. The published code draws from an unseeded generator.

One reason to drop stands outside the tables: `parser_failed`, for a document on which the parser ran out of its 512 MB
or crashed. Parsing happens in a process of its own, so that such a document ends nothing else.

Rules of one's own stand beside them. One compares a signal, or says a condition in SQL over signals and the columns
`language`, `doc_type`, `repo`, `path`, `stars` and `bytes`:

```python
Filter(
    rules=(
        Rule(name="long", signal="num_lines", comparison=">", threshold=5_000, languages=("python",)),
        Rule(name="dense", where="frac_chars_comments > 0.6 AND num_lines < 20"),
    )
)
```
"""

# The configurations of the published filter with the number of signals that each has a threshold for, and a language
# and natural language that each judges.
PUBLISHED = {
    "python": (39, "python", "en"),
    "c": (36, "c", "en"),
    "cpp": (36, "cpp", "en"),
    "csharp": (35, "csharp", "en"),
    "go": (35, "go", "en"),
    "java": (35, "java", "en"),
    "javascript": (36, "javascript", "en"),
    "html": (28, "html", "en"),
    "shell": (28, "shell", "en"),
    "sql": (31, "sql", "en"),
    "other code, such as kotlin": (31, "kotlin", "en"),
    "data": (28, "json", "en"),
    "text, English and others": (26, "markdown", "en"),
    "text, Chinese": (26, "markdown", "zh"),
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page as Markdown."""
    sections = [
        HEAD,
        f"## How many\n\n{counts()}",
        f"## Code and data of every language\n\n{rules(GENERAL_RULES)}",
        f"## Prose\n\n{rules(NATURAL_RULES)}",
        f"## Single languages\n\n{rules(LANGUAGE_RULES)}",
        f"## Signals\n\nOf these, whether a rule of the catalogue looks at them or not.\n\n{signals()}",
    ]
    return "\n".join(sections)


def counts() -> str:
    """How many rules and signals judge a document of each configuration, beside the published number of signals."""
    rows = []
    for name, (published, language, natural) in PUBLISHED.items():
        judged = [rule for rule in DEFAULT_RULES if rule.applies(language, doc_type(language), natural)]
        rows.append((name, str(len(judged)), str(len({rule.signal for rule in judged})), str(published)))
    total = f"In all {len(DEFAULT_RULES)} rules over {len({rule.signal for rule in DEFAULT_RULES})} signals.\n"
    return f"{total}\n{_table(('documents', 'rules', 'signals', 'published signals'), rows)}"


def rules(table: Iterable[QualityRule]) -> str:
    """The rules of one table, and below it where they depart from the published code."""
    table = tuple(table)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(_notes(table)), start=1)}
    rows = [
        (f"`{rule.name}`", f"`{rule.signal}` {rule.comparison} {rule.threshold:g}{_chance(rule)}", _judges(rule), note)
        for rule in table
        for note in [f"({numbers[NOTES[rule.name]]})" if rule.name in NOTES else ""]
    ]
    below = "".join(f"\n{number}. {text}" for text, number in numbers.items())
    return _table(("rule", "drops if", "judges", "differs"), rows) + (f"{below}\n" if below else "")


def _notes(table: Iterable[QualityRule]) -> list[str]:
    return [NOTES[rule.name] for rule in table if rule.name in NOTES]


def _chance(rule: QualityRule) -> str:
    return "" if rule.probability >= 1 else f", with probability {rule.probability:g}"


def _judges(rule: QualityRule) -> str:
    """Which documents, in words."""
    words = ", ".join(rule.languages) or ", ".join(rule.doc_types)
    if rule.except_languages:
        words += f"; not {', '.join(rule.except_languages)}"
    if rule.natural_languages:
        words += f" in {', '.join(rule.natural_languages)}"
    return words


def signals() -> str:
    """Every signal: what it measures, its range, the types of document that it has a value for."""
    used = Counter(rule.signal for rule in DEFAULT_RULES)
    rows = [
        (f"`{name}`", _one_line(signal), _range(signal), ", ".join(signal.doc_types), str(used[name] or "-"))
        for name, signal in SIGNALS.items()
    ]
    return _table(("signal", "what it measures", "range", "has a value for", "rules"), rows)


def _one_line(signal: Signal) -> str:
    """The first paragraph of its docstring."""
    return " ".join(signal.doc.split("\n\n")[0].split())


def _range(signal: Signal) -> str:
    low, high = signal.range
    return f"{low:g} and up" if math.isinf(high) else f"{low:g} to {high:.3g}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
