"""A full disk as one message: libraries say it in words of their own. It frees nothing and looks at no other fault."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from compiler.errors import UserError

REASONS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# All that NumPy says of it, and torch, whose words may stand in the middle of another library's.
SHORT_WRITE = re.compile(r"^\d+ requested and \d+ written$|inline_container.*(?:unexpected pos|file write failed)")


def full_disk(error: BaseException) -> str:
    """Why nothing more could be written, in the system's words; empty for any other error.

    >>> full_disk(RuntimeError("I/O error: No space left on device (os error 28)"))
    'No space left on device'
    >>> full_disk(RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"))
    'No space left on device'
    >>> full_disk(ValueError("no such column"))
    ''
    """
    said = str(error)
    if SHORT_WRITE.search(said):
        return REASONS[0]
    return next((reason for reason in REASONS if reason in said), "")


@contextmanager
def as_one_message(what: str, fix: str) -> Iterator[None]:
    """Inside, a full disk becomes a UserError that says for `what` there is no space left."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = full_disk(error)
        if not reason:
            raise
        raise UserError(f"no space left for {what} ({reason})", fix=fix) from error
