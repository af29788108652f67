"""Files that are seen whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from compiler.files import write_atomically


def test_a_file_is_written_with_the_directories_above_it(tmp_path: Path) -> None:
    """As UTF-8 with plain line ends, readable by others."""
    path = tmp_path / "a" / "b" / "ä.txt"
    write_atomically(path, "ünï\r\nline\n")
    assert path.read_bytes() == "ünï\r\nline\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Text that has no encoding fails in the middle."""
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new" * 10_000 + "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    """Nor is anything left beside it."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", "text")
    assert os.listdir(tmp_path) == ["folder"]


def test_readers_see_the_old_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    """While one writes, many times over."""
    path, texts = tmp_path / "file", ["a" * 100_000, "b" * 200_000]
    write_atomically(path, texts[0])
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        write_atomically(path, texts[number % 2])
    done.set()
    reader.join()
    assert seen <= set(texts)
