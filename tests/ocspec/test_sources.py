"""Tests of sources: names, pinned packages, declarations."""

from __future__ import annotations

import pytest

from ocspec.base import SpecError, describe
from ocspec.sources import (
    Columns,
    Declared,
    Directory,
    FastText,
    FunctionPairs,
    Generator,
    Instructions,
    JsonLines,
    Package,
    Parquet,
    PyPI,
    WebRecall,
)

SHA = "0" * 64


@pytest.mark.parametrize("name", ["github", "the-stack_v2", "1.5b"])
def test_names_that_can_be_part_of_a_path_are_taken(name: str) -> None:
    """Letters, digits and a few signs."""
    assert Directory(name=name, path="x").key == name


@pytest.mark.parametrize("name", ["", "a b", "../up", "-x", "a/b", "ä", "x" * 81])
def test_names_that_could_not_are_refused(name: str) -> None:
    """They would become folders and task ids."""
    with pytest.raises(SpecError, match=r"Directory\.name"):
        Directory(name=name, path="x")


@pytest.mark.parametrize("kind", [Parquet, JsonLines, Directory, Instructions])
def test_where_data_lies_is_execution(kind: type) -> None:
    """The same files elsewhere are the same data."""
    assert describe(kind(name="a", path="/x"))["roles"] == {"generator": "doc", "note": "doc", "path": "execution"}
    with pytest.raises(SpecError, match=r"path"):
        kind(name="a", path="")


def test_a_table_needs_a_column_of_text() -> None:
    """All other columns may be absent."""
    with pytest.raises(SpecError, match=r"Columns\.content"):
        Columns(content="")
    assert Columns(repo="", path="").content == "content"


def test_a_declaration_holds_counts() -> None:
    """Not negative ones."""
    assert Declared(bytes=0).tokens is None
    with pytest.raises(SpecError, match=r"Declared\.tokens"):
        Declared(tokens=-1)


def test_two_versions_of_a_package_stand_side_by_side() -> None:
    """Deduplication is shown with them."""
    pinned = PyPI(
        name="pypi",
        packages=(
            Package(name="networkx", version="3.3", sha256=SHA),
            Package(name="networkx", version="3.4", sha256=SHA),
        ),
    )
    assert [package.key for package in pinned.packages] == ["networkx@3.3", "networkx@3.4"]


def test_one_version_twice_is_refused() -> None:
    """It would be counted twice."""
    package = Package(name="networkx", version="3.3", sha256=SHA)
    with pytest.raises(SpecError, match=r"listed twice: networkx@3\.3"):
        PyPI(name="pypi", packages=(package, package))


@pytest.mark.parametrize("sha", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_package_is_pinned_by_a_digest(sha: str) -> None:
    """Sixty-four lower-case hexadecimal digits."""
    with pytest.raises(SpecError, match=r"Package\.sha256"):
        Package(name="networkx", version="3.3", sha256=sha)


def test_web_recall_stands_as_in_the_paper() -> None:
    """Three rounds, a domain at more than a tenth (OpenCoder 2.2)."""
    recall = WebRecall(name="cc", pages="p", seed="s")
    assert (recall.iterations, recall.domain_share, recall.url_patterns) == (3, 0.10, ())
    with pytest.raises(SpecError, match="domain_share"):
        WebRecall(name="cc", pages="p", seed="s", domain_share=1.0)


@pytest.mark.parametrize(
    "changes", [{"threshold": 1.0}, {"vocab_size": 256}, {"held_out_share": 1.0}, {"sample_pages": 0}]
)
def test_settings_of_web_recall_that_mean_nothing_are_refused(changes: dict[str, float]) -> None:
    """With the field."""
    with pytest.raises(SpecError, match=rf"WebRecall\.{next(iter(changes))}"):
        WebRecall(name="cc", pages="p", seed="s", **changes)
    with pytest.raises(SpecError, match=r"FastText\.dim"):
        FastText(dim=0)


def test_a_synthetic_source_records_what_wrote_it() -> None:
    """The text is known by its own digest, so the record is documentation."""
    generator = Generator(model="Qwen2-72B-Instruct", seed_data="hqcode", temperature=0.7)
    source = JsonLines(name="textbooks", path="t.jsonl", generator=generator)
    described = describe(source)
    assert described["roles"]["generator"] == "doc"
    assert described["fields"]["generator"]["fields"]["model"] == "Qwen2-72B-Instruct"
    with pytest.raises(SpecError, match=r"Generator\.temperature"):
        Generator(model="m", temperature=-1.0)


def test_function_pairs_name_a_data_set_and_languages() -> None:
    """Without a language there is nothing to take."""
    assert FunctionPairs(name="pairs", dataset="code").languages == ("python",)
    with pytest.raises(SpecError, match="languages"):
        FunctionPairs(name="pairs", dataset="code", languages=())
