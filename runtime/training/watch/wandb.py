"""A run on Weights & Biases, where OCSPEC_WANDB_PROJECT names a project and WANDB_API_KEY gives a key.

Not a keeper of secrets: the key stays in the environment, where the profile puts it by reference, and wandb's own
client reads it there. Its other variables (WANDB_MODE, WANDB_ENTITY, WANDB_BASE_URL ...) are the client's affair, too.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs

from compiler.trainjob import TrainJob
from runtime.training.watch.names import Unavailable

PROJECT, KEY, MODE = "OCSPEC_WANDB_PROJECT", "WANDB_API_KEY", "WANDB_MODE"
WITHOUT_KEY = ("offline", "disabled")
PATIENCE_S = 60.0  # for the server's first answer, and for what is left to send at the end


@attrs.define
class WandbRun:
    """An open run of wandb's client."""

    _run: Any

    def show(self, step: int, numbers: Mapping[str, float]) -> None:
        """Hand over the numbers of a step; the client sends them when it can."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """End this attempt; the next one goes on in the same run. Unavailable where the rest is not sent in time.

        The client would wait for a network that is gone until it comes back, and the stage's outputs with it.
        """
        ending = threading.Thread(target=self._run.finish, daemon=True)
        ending.start()
        ending.join(PATIENCE_S)
        if ending.is_alive():
            raise Unavailable(f"the last steps were not sent within {PATIENCE_S:g} s")


def start(environ: Mapping[str, str], job: TrainJob, resume: Path, first: int) -> WandbRun | None:
    """The run of this job, new or gone on with, if a project is named; Unavailable without package or key."""
    project = environ.get(PROJECT)
    if not project:
        return None
    if not environ.get(KEY) and environ.get(MODE) not in WITHOUT_KEY:
        raise Unavailable(
            f"{PROJECT} names project {project}, but {KEY} is not set; a profile can give it by reference"
        )
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"{PROJECT} names project {project}, but there is no module {error.name}: install wandb"
        ) from None
    (resume / "wandb").mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(console="off", silent=True, save_code=False, disable_git=True, init_timeout=PATIENCE_S)
    run = wandb.init(
        project=project,
        id=run_id(job, resume),
        name=job.stage,
        resume="allow",
        dir=str(resume),
        config=cattrs.unstructure(job),
        settings=settings,
    )
    return WandbRun(run)


def run_id(job: TrainJob, resume: Path) -> str:
    """The same for all attempts at a job in one place: 16 hex digits of the job and the last two names of `resume`.

    A store calls that directory KEY/resume-SHARD, and the key follows from job and data: runs that differ in data only
    are two.
    """
    told = [job.identity, *resume.resolve().parts[-2:]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
