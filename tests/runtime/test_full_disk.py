"""A full disk as each library tells it: /dev/full refuses every byte, for real."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
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

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")


def write_text() -> None:
    FULL.write_text("x")


def write_array() -> None:
    with FULL.open("wb") as file:
        np.save(file, np.zeros(100_000))


def write_parquet() -> None:
    with FULL.open("wb") as file:
        pq.write_table(pa.table({"x": list(range(10_000))}), file)


def write_weights() -> None:
    save_file({"w": torch.zeros(100_000)}, FULL)


def copy_table() -> None:
    duckdb.sql("COPY (SELECT range AS x FROM range(1000000)) TO '/dev/full' (FORMAT csv, USE_TMP_FILE false)")


@pytest.mark.parametrize("write", [write_text, write_array, write_parquet, write_weights, copy_table])
def test_every_librarys_words_become_one_message(write: Callable[[], None]) -> None:
    """What for, the reason in the system's words, and the fix."""
    with pytest.raises(UserError) as error, as_one_message("code/sign in /store", fix="free some"):
        write()
    assert str(error.value) == "no space left for code/sign in /store (No space left on device)\n  fix: free some"


def test_quotas_and_limits_are_told_apart() -> None:
    """The system's own words."""
    for number in (errno.EDQUOT, errno.EFBIG):
        assert full_disk(OSError(number, os.strerror(number), "file")) == os.strerror(number)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), ValueError("x"), UserError("No space left on device")])
def test_other_errors_pass_unchanged(error: Exception) -> None:
    """Also a message that was made already."""
    with pytest.raises(type(error)) as raised, as_one_message("x", fix="y"):
        raise error
    assert raised.value is error
