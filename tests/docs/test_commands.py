"""Commands in the documents exist: targets of the Makefile, verbs and options of ocspec. None is run here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocspec.cli.parser import VERBS, build_parser, leaves, parse

BLOCK = re.compile(r"^```(?:bash|sh|shell|console)?\n(.*?)^```|((?:^(?: {4}).+\n)+)", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def command_lines(text: str) -> Iterator[str]:
    """Lines of shell code blocks, fenced or indented, without prompts."""
    for fenced, indented in BLOCK.findall(text):
        for line in (fenced or indented).splitlines():
            yield line.strip().removeprefix("$ ").removeprefix(".venv/bin/")


def spans(text: str) -> Iterator[str]:
    """Code inside sentences."""
    yield from SPAN.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(document: Path, program: str) -> list[list[str]]:
    """The words of every command of `program` in a document, comments and redirections left out."""
    text = document.read_text(encoding="utf-8")
    found = []
    for code in (*command_lines(text), *spans(text)):
        if code.startswith(f"{program} "):
            words = shlex.split(re.split(r" [|>&;]|\d>", code)[0], comments=True)
            found.append(words[1:])
    return found


def targets(root: Path) -> set[str]:
    """What `make` can be asked for."""
    return set(TARGET.findall((root / "Makefile").read_text()))


def test_make_targets_exist(root: Path, documents: list[Path]) -> None:
    """In code blocks and inside sentences."""
    asked = {
        (document.name, word)
        for document in documents
        for words in commands(document, "make")
        for word in words
        if "=" not in word and not word.startswith("-")
    }
    assert {word for _, word in asked} >= {"quickstart", "test"}
    assert {(name, word) for name, word in asked if word not in targets(root)} == set()


def test_verbs_and_options_exist(documents: list[Path]) -> None:
    """The verb, and every option that is written out."""
    unknown = []
    for document in documents:
        for words in commands(document, "ocspec"):
            if words[0].startswith("-") or words[0].isupper():
                continue
            if words[0] not in VERBS:
                unknown.append(f"{document.name}: {words[0]}")
                continue
            text = help_of(words[0])
            options = [word.partition("=")[0] for word in words if word.startswith("--")]
            unknown += [f"{document.name}: {words[0]} {o}" for o in options if not re.search(rf"{o}\b", text)]
    assert unknown == []


def test_commands_in_code_blocks_can_be_read(documents: list[Path]) -> None:
    """The command line takes them, with all their arguments."""
    for document in documents:
        for line in command_lines(document.read_text(encoding="utf-8")):
            if line.startswith("ocspec ") and "..." not in line:
                words = shlex.split(re.split(r" [|>&;]|\d>", line)[0], comments=True)[1:]
                try:
                    parse(words)
                except SystemExit as ended:
                    assert ended.code in {0, None}, f"{document.name}: {line}"


def test_the_readme_begins_with_the_two_commands(root: Path) -> None:
    """They are the first commands in it."""
    text = (root / "README.md").read_text(encoding="utf-8")
    makes = [line.split()[:2] for line in command_lines(text) if line.startswith("make ")]
    assert makes[:2] == [["make", "quickstart"], ["make", "test"]]


def test_every_verb_is_in_the_readme(root: Path) -> None:
    """Its table of verbs leaves none out."""
    text = (root / "README.md").read_text(encoding="utf-8")
    assert {verb for verb in VERBS if f"`{verb}`" not in text and f"`ocspec {verb}" not in text} == set()


@pytest.mark.parametrize("text", ["```bash\nocspec frobnicate\n```\n", "Run `ocspec plan --frob`.\n"])
def test_an_unknown_command_is_found(text: str, tmp_path: Path) -> None:
    """In a block and in a sentence."""
    document = tmp_path / "README.md"
    document.write_text(text)
    with pytest.raises(AssertionError):
        test_verbs_and_options_exist([document])


def help_of(verb: str) -> str:
    """The help text of a verb, or of the verbs below it."""
    return "".join(leaf.format_help() for leaf in leaves(build_parser()) if leaf.prog.split()[1] == verb)
