"""Documents of which the parser dies: dropped with their reason, and nothing else changes."""

from __future__ import annotations

import sys

import pytest

from compiler import ir
from compiler.quality_rules import ExpressionRule, QualityRule
from runtime.data.operators.instructions import make_pairs
from runtime.data.treesitter import isolated
from tests.runtime.data.operators.conftest import Bench, document, refined_of, text
from tests.runtime.data.operators.conftest import refined as refined_row
from tests.runtime.data.operators.test_refine import refined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds all memory on Linux only")

ARROWS = "a=>" * 2_700
GOOD = "int main(void) { return 0; }\n"
ERRORS = QualityRule(name="errors", signal="frac_bytes_error", comparison=">", threshold=0.5, doc_types=("code",))
SHORT = QualityRule(name="short", signal="num_lines", comparison="<", threshold=2, doc_types=("code",))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A quarter of the memory, to be quick: hostile input takes whatever there is."""
    monkeypatch.setattr(isolated, "MEMORY_BYTES", isolated.MEMORY_BYTES // 4)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    "asking", [{"rules": (ERRORS,)}, {"expressions": (ExpressionRule(name="any", where="frac_bytes_error > 2"),)}]
)
def test_what_kills_the_parser_is_dropped_and_the_rest_is_judged(bench: Bench, shards, asking) -> None:
    """With its reason, by rules of the catalogue and in SQL, for any number of shards; in = kept + dropped."""
    names = [f"r/{number}.c" for number in range(6)]
    found = [document(name, ARROWS if number in (1, 2, 4) else GOOD) for number, name in enumerate(names)]
    artifact = refined(bench, found, [(name, "c", False) for name in names], shards, **asking)
    assert text(artifact, "documents", "doc_id") == "r/0.c\nr/3.c\nr/5.c\n"
    assert text(artifact, "dropped", "doc_id", "rule", "value").split("\n")[:-1] == [
        f"r/{number}.c | parser_failed | None" for number in (1, 2, 4)
    ]
    stats = artifact.manifest["stats"] if shards > 1 else [artifact.manifest["stats"]]
    assert sum(part["in"] for part in stats) == 6
    assert sum(part["kept"] for part in stats) == 3
    assert sum(part["dropped"].get("parser_failed", 0) for part in stats) == 3


def test_what_is_not_parsed_cannot_fail(bench: Bench) -> None:
    """Dropped before by a cheap rule, or judged by rules that need no parser."""
    found = [document("r/a.c", ARROWS), document("r/b.c", ARROWS + "\n\nb")]
    kept = [("r/a.c", "c", False), ("r/b.c", "c", False)]
    early = refined(bench, found, kept, rules=(SHORT, ERRORS))
    assert early.manifest["stats"]["dropped"] == {"short": 1, "parser_failed": 1}
    assert refined(bench, found, kept, rules=(SHORT,)).manifest["stats"]["dropped"] == {"short": 1}


def test_no_pairs_come_from_what_kills_the_parser(bench: Bench) -> None:
    """And it is counted."""
    good = "/** Adds two numbers. */\nint add(int a, int b) {\n  int c = a + b;\n  return c;\n}\n"
    found = [refined_row("r/a.c", ARROWS, language="c"), refined_row("r/b.c", good, language="c")]
    op = ir.MakePairs(dataset="d", languages=("c",), min_docstring_chars=5)
    artifact = bench.run(make_pairs, op, documents=[refined_of(bench, found)])
    assert artifact.manifest["stats"] == {"pairs": 1, "parser_failed": 1}
