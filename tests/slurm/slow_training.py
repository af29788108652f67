"""The product's worker on a device that is slow: each step of training takes a tenth of a second longer, no more."""

from __future__ import annotations

import sys
import time
from typing import Any

from runtime import worker


def slow_down() -> None:
    """Lengthen every step from now on."""
    from runtime.training.trainer import Trainer

    update = Trainer.update

    def slow(self: Trainer, *arguments: Any) -> Any:
        time.sleep(0.1)
        return update(self, *arguments)

    Trainer.update = slow  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[2].endswith("/train"):
        slow_down()
    sys.exit(worker.main())
