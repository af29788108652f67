"""The profile that a run was submitted with, kept beside the plan for the supervisor. Secrets are references in it."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import cattrs

from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.profile import Profile


def write_profile(run_dir: Path, profile: Profile) -> None:
    """Keep a profile."""
    write_atomically(_path(run_dir), json.dumps(attrs.asdict(profile), indent=1, sort_keys=True) + "\n")


def read_profile(run_dir: Path) -> Profile:
    """The profile that was kept; UserError where there is none."""
    try:
        return cattrs.structure(json.loads(_path(run_dir).read_text()), Profile)
    except (OSError, ValueError, TypeError, cattrs.BaseValidationError) as error:
        what = f"the profile of this run cannot be read ({error})"
        raise UserError(what, where=str(_path(run_dir)), fix="run `ocspec submit` again") from None


def _path(run_dir: Path) -> Path:
    return run_dir / "slurm" / "profile.json"
