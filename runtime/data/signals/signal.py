"""What a signal is: a function of one document, with the types of document that it makes sense for."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from compiler.quality_rules import SIGNAL_RANGES
from runtime.data.signals.document import Document


@attrs.frozen
class Signal:
    """A signal: its function, and the types of document that it makes sense for."""

    function: Callable[[Document], float | None]
    doc_types: tuple[str, ...] = ("code", "data", "text")

    @property
    def name(self) -> str:
        """What rules call it: the function's name."""
        return self.function.__name__

    @property
    def doc(self) -> str:
        """What it measures, in one line."""
        return self.function.__doc__ or ""

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value that it can take."""
        return SIGNAL_RANGES[self.name]
