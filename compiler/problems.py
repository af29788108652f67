"""What a spec says is wrong with it, as errors for users. Not the finding of problems: objects check themselves."""

from __future__ import annotations

import os

from compiler.errors import UserError
from compiler.revisions import label
from ocspec.base import Problem


def as_error(problem: Problem) -> UserError:
    """A problem with the place where the object was made."""
    where = f"{short(problem.origin.file)}:{problem.origin.line}" if problem.origin else ""
    fix = problem.fix or f"correct it; `ocspec schema` describes {'.'.join(problem.path.split('.')[:2])}"
    return UserError(f"{problem.path}: {problem.what}", where=where, fix=fix)


def short(file: str) -> str:
    """A path as people write it: relative where that is shorter, `FILE@REVISION` for one of another revision."""
    labelled = label(file)
    if labelled != file:
        return labelled
    try:
        relative = os.path.relpath(file)
    except ValueError:
        return file
    return relative if len(relative) < len(file) else file
