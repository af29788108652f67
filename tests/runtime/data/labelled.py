"""The labelled snippets of tests/fixtures/redact/labelled, and precision and recall against them.

    python -m tests.runtime.data.labelled [--all] [--errors]

A find is right if it overlaps a mark of its kind; a mark is found if finds of its kind cover it whole. Notices
are counted by lines that hold a letter or digit. Every third snippet of a file is held out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from runtime.data.detectors import Span
from runtime.data.redact import KINDS, find

FOLDER = Path(__file__).parents[2] / "fixtures" / "redact" / "labelled"
_HEADER = re.compile(r"^=== (?P<language>.+?) (?P<origin>\S+)\n", re.MULTILINE)
_MARK = re.compile(r"⟦(?P<kind>\w+)\|(?P<text>[^⟧]*)⟧")
_JOINT = "¦"


@attrs.frozen
class Snippet:
    """A text with what should go from it."""

    language: str
    origin: str
    text: str
    marks: tuple[Span, ...]
    held_out: bool


def snippets() -> list[Snippet]:
    """All of them, in order."""
    return [snippet for path in sorted(FOLDER.glob("*.txt")) for snippet in _read(path.read_text(encoding="utf-8"))]


def _read(content: str) -> Iterable[Snippet]:
    heads = list(_HEADER.finditer(content))
    ends = [*(head.start() for head in heads[1:]), len(content)]
    for number, (head, end) in enumerate(zip(heads, ends, strict=True)):
        marked = content[head.end() : end].replace(_JOINT, "")
        text, marks, position = "", [], 0
        for mark in _MARK.finditer(marked):
            text += marked[position : mark.start()]
            marks.append(Span(mark["kind"], len(text), len(text) + len(mark["text"])))
            text += mark["text"]
            position = mark.end()
        yield Snippet(head["language"], head["origin"], text + marked[position:], tuple(marks), number % 3 == 2)


@attrs.define
class Score:
    """Counts of one kind."""

    right: int = 0
    found: int = 0
    covered: int = 0
    marked: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.covered / self.marked if self.marked else 1.0


Range = tuple[int, int]
Report = Callable[[Snippet, str, str, str], None]


def measure(chosen: Iterable[Snippet], report: Report = lambda *_: None) -> dict[str, Score]:
    """Scores by kind; `report` is called with snippet, kind, `missed` or `wrong`, and the text of each error."""
    scores = {kind: Score() for kind in KINDS}
    for snippet in chosen:
        finds = find(snippet.text, snippet.language)
        for kind in KINDS:
            marks = _units([m for m in snippet.marks if m.kind == kind], snippet.text, kind)
            found = _units([f for f in finds if f.kind == kind], snippet.text, kind)
            for what, (start, end) in _errors(scores[kind], marks, found):
                report(snippet, kind, what, snippet.text[start:end])
    return scores


def _units(spans: list[Span], text: str, kind: str) -> list[tuple[int, int]]:
    """What is counted: the spans, or the lines of text in them."""
    if kind != "copyright":
        return [(span.start, span.end) for span in spans]
    lines = [match.span() for match in re.finditer(r"[^\n]+", text) if re.search(r"[^\W_]", match[0])]
    return [line for line in lines if any(max(line[0], s.start) < min(line[1], s.end) for s in spans)]


def _errors(score: Score, marks: list[Range], found: list[Range]) -> Iterator[tuple[str, Range]]:
    """Count into `score`; what is wrong, and what is missed."""
    for start, end in found:
        right = any(max(start, a) < min(end, b) for a, b in marks)
        score.found += 1
        score.right += right
        if not right:
            yield "wrong", (start, end)
    for start, end in marks:
        covered = any(a <= start and end <= b for a, b in found)
        score.marked += 1
        score.covered += covered
        if not covered:
            yield "missed", (start, end)


def _show(snippet: Snippet, kind: str, what: str, text: str) -> None:
    print(f"  {what:6} {kind:10} {snippet.language} {snippet.origin}: {text!r}")


def main(arguments: list[str]) -> None:
    """Print the table, with --errors what is wrong, with --all of the held-out third too."""
    everything = snippets()
    for held_out in (False, True) if "--all" in arguments else (False,):
        chosen = [snippet for snippet in everything if snippet.held_out == held_out]
        scores = measure(chosen, _show) if "--errors" in arguments else measure(chosen)
        for kind, score in scores.items():
            print(
                f"{'held out' if held_out else 'tuned on':9} {kind:11} precision {score.precision:.3f} recall"
                f" {score.recall:.3f}  ({score.right}/{score.found}, {score.covered}/{score.marked})"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
