"""A full disk as each library tells it. A limit on file sizes stands for it, so nothing else is touched."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from compiler.errors import UserError
from runtime.full_disk import as_one_message, full_disk

LIMIT = 4096  # bytes
TOO_LARGE, NO_SPACE = os.strerror(errno.EFBIG), os.strerror(errno.ENOSPC)


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond LIMIT inside; Python ignores the signal, so writing fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_text(path: Path) -> None:
    path.write_text("x" * 100_000)


def write_array(path: Path) -> None:
    np.save(path, np.zeros(100_000))


def write_parquet(path: Path) -> None:
    pq.write_table(pa.table({"x": np.random.default_rng(1).random(10_000)}), path)


def write_weights(path: Path) -> None:
    save_file({"w": torch.zeros(100_000)}, path)


def copy_table(path: Path) -> None:
    duckdb.sql(f"COPY (SELECT range AS x FROM range(1000000)) TO '{path}' (FORMAT csv)")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_text, TOO_LARGE),
        (write_array, NO_SPACE),  # NumPy says only that it wrote less than asked
        (write_parquet, TOO_LARGE),
        (write_weights, TOO_LARGE),
        (copy_table, TOO_LARGE),
    ],
)
def test_every_librarys_words_become_one_message(tmp_path: Path, write: Callable[[Path], None], reason: str) -> None:
    """What for, the reason in the system's words, and the fix."""
    with pytest.raises(UserError) as error, as_one_message("code/sign in /store", fix="free some"), small_files():
        write(tmp_path / "file.npy")
    assert str(error.value) == f"no space left for code/sign in /store ({reason})\n  fix: free some"


def test_quotas_and_limits_are_told_apart() -> None:
    """The system's own words."""
    for number in (errno.EDQUOT, errno.EFBIG):
        assert full_disk(OSError(number, os.strerror(number), "file")) == os.strerror(number)


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("x"), UserError("No space left on device")]
)
def test_other_errors_pass_unchanged(error: Exception) -> None:
    """Also a message that was made already."""
    with pytest.raises(type(error)) as raised, as_one_message("x", fix="y"):
        raise error
    assert raised.value is error
