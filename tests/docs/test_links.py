"""Links between the documents lead somewhere. Links to other sites are not followed."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def prose(document: Path) -> str:
    """A document without its code blocks, in which brackets are no links."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[str]:
    """Targets of a document's links, but for those to other sites."""
    found = [a or b for a, b in LINK.findall(prose(document))]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = HEADING.findall(prose(document))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path) -> list[str]:
    """Links of a document that lead to no file or no heading."""
    missing = []
    for target in links(document):
        path, _, anchor = unquote(target).partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            missing.append(f"{document.name}: {target}")
    return missing


def test_every_relative_link_resolves(documents: list[Path]) -> None:
    """To a file or a directory, and to a heading where one is named."""
    assert [link for document in documents for link in broken(document)] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A file that is not there, and a heading that is not there; code is not looked at."""
    (tmp_path / "b.md").write_text("# A `title`, twice\n")
    document = tmp_path / "a.md"
    document.write_text(
        "[good](b.md#a-title-twice) [bad](b.md#other) [bad](c.md) [site](https://example.org/x)\n"
        "```\n[code](d.md)\n```\n"
    )
    assert broken(document) == ["a.md: b.md#other", "a.md: c.md"]


def test_every_document_below_docs_is_in_its_index(root: Path, documents: list[Path]) -> None:
    """docs/README.md leads to all of them."""
    index = root / "docs" / "README.md"
    reached = {(index.parent / unquote(target).partition("#")[0]).resolve() for target in links(index)}
    below = {path for path in documents if root / "docs" in path.parents and path != index}
    assert below - reached == set()
