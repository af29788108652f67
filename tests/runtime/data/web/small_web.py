"""A small web of real text: about 20 hosts with pages of Python, of C, and of prose in several languages.

Python comes from the standard library, C from NumPy's headers, prose from the licences of installed packages and
from sentences written for this. The seed knows Python only: C pages are what the loop must discover, through a
forum whose Python pages are recalled and whose questions a URL pattern names.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MODULES = ("argparse", "ast", "bisect", "calendar", "configparser", "csv", "decimal", "difflib", "fractions", "ftplib")
CODE_HOSTS = (
    "docs.snake.example",
    "www.snippets.example",
    "blog.coder.example",
    "git.host.example",
    "wiki.dev.example",
)
PROSE_HOSTS = (*(f"news{n}.example" for n in range(10)), "law.example:8080", "xn--fsqu00a.example")
FORUM = "forum.example"
PATTERN = "%forum.example/questions/%"

SUBJECTS = ("老师", "医生", "火车", "春天的花园", "邻居的猫", "La cuisinière", "Старый дом", "Die Stadt", "the orchard")
VERBS = ("昨天去了", "每天都看见", "很喜欢", "regarde souvent", "стоит возле", "erinnert sich an", "grows beside")
PLACES = ("山下的河。", "市场和学校。", "海边的小路。", "le marché du village.", "тихой реки.", "den alten Hafen.")


@attrs.frozen
class Page:
    """One page and what it is about: "python", "c" or "prose"."""

    url: str
    text: str
    kind: str


def pages() -> list[Page]:
    """Some 900 pages, in an order that has nothing to do with their hosts."""
    draw = random.Random(5)
    python, c, prose = (list(pieces) for pieces in (_python(), _c(), _prose(draw)))
    found = []
    for number, text in enumerate(python[:140]):
        host = FORUM if number % 4 == 0 else CODE_HOSTS[number % len(CODE_HOSTS)]
        found.append(Page(f"https://{host}/{'questions' if host == FORUM else 'page'}/{number}", text, "python"))
    for number, text in enumerate(c[:80]):
        host = FORUM if number % 2 == 0 else CODE_HOSTS[number % len(CODE_HOSTS)]
        found.append(Page(f"https://{host}/{'questions' if host == FORUM else 'page'}/c{number}", text, "c"))
    for number, text in enumerate(prose[:700]):
        host = FORUM if number % 20 == 0 else PROSE_HOSTS[number % len(PROSE_HOSTS)]
        found.append(Page(f"https://{host}/{'users' if host == FORUM else 'story'}/{number}", text, "prose"))
    draw.shuffle(found)
    return found


def _python() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for module in MODULES:
        yield from _pieces((library / f"{module}.py").read_text(), 1200, 40)


def _c() -> Iterator[str]:
    headers = sorted(Path(np.get_include()).rglob("*.h"), key=lambda path: path.name)
    for header in headers:
        yield from _pieces(header.read_text(errors="ignore"), 1200, 8)


def _prose(draw: random.Random) -> Iterator[str]:
    licences = {
        file.read_text()
        for distribution in distributions()
        for file in distribution.files or ()
        if file.name.upper().startswith(("LICENSE", "COPYING")) and file.locate().is_file()
    }
    real = [piece for text in sorted(licences) for piece in _pieces(text, 1200, 6)]
    for number in range(700):
        if number % 2 and number // 2 < len(real):
            yield real[number // 2]
        else:
            yield "\n".join(" ".join(map(draw.choice, (SUBJECTS, VERBS, PLACES))) for _ in range(30))


def _pieces(text: str, size: int, most: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text) - size // 2, size)][:most]


def write(root: Path, found: list[Page], files: int = 3, seeds: int = 70) -> None:
    """`pages-N.parquet` and `seed.parquet`: some Python pages, labelled, and a few labelled as no code."""
    for number in range(files):
        part = found[number::files]
        table = pa.table({"url": [page.url for page in part], "text": [page.text for page in part]})
        pq.write_table(table, root / f"pages-{number}.parquet", row_group_size=50)
    python = [page for page in found if page.kind == "python"][:seeds]
    prose = [page for page in found if page.kind == "prose"][: seeds // 3]
    chosen = python + prose
    pq.write_table(
        pa.table(
            {
                "url": [page.url for page in chosen],
                "text": [page.text for page in chosen],
                "label": [page.kind == "python" for page in chosen],
            }
        ),
        root / "seed.parquet",
    )
