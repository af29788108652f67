"""Code that a document quotes stands in the file that it names, word for word."""

from __future__ import annotations

import re
from pathlib import Path

from compiler.passes import PASSES
from tests.docs.test_links import prose

QUOTED = re.compile(r"<!-- from: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:[\w.*-]+/)+[\w.*-]+\.(?:py|md|sh|toml|json|txt))`")
HYPOTHETICAL = {"compiler/rules/oc062_name.py", "ocspec/cli/VERB.py"}


def test_excerpts_are_verbatim(root: Path, documents: list[Path]) -> None:
    """Of specs, above all."""
    quoted = [(name, code) for document in documents for name, code in QUOTED.findall(document.read_text())]
    assert quoted
    for name, code in quoted:
        assert code in (root / name).read_text(), f"{name} no longer holds:\n{code}"


def test_the_passes_in_the_architecture_are_the_passes(root: Path) -> None:
    """In their order."""
    text = (root / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^    (\w+),  #", text.partition("PASSES = (")[2].partition("\n)")[0], re.MULTILINE)
    assert listed == [compiler_pass.__name__ for compiler_pass in PASSES]


def test_files_that_documents_name_exist(root: Path, documents: list[Path]) -> None:
    """Paths from the top of the repository, in backticks."""
    tops = {path.name for path in root.iterdir() if path.is_dir()} - {"build", ".ocspec"}
    missing = [
        f"{document.name}: {name}"
        for document in documents
        for name in PATH.findall(prose(document))
        if name.partition("/")[0] in tops and name not in HYPOTHETICAL and not list(root.glob(name))
    ]
    assert missing == []
