"""Quality signals: numbers about one document, each a small function, all in the table SIGNALS.

Not the rules: `compiler.quality_rules` says which value drops a document, as data. A signal never raises and
never depends on a clock, on other documents or on the order of computation; None means that it does not
apply, and then no rule fires. Names and definitions follow the filter published with OpenCoder (arXiv
2411.04905, Appendix A); departures are said where they are.
"""

from __future__ import annotations

from runtime.data.signals.document import Document
from runtime.data.signals.signal import Signal
from runtime.data.signals.table import SIGNALS, SignalValues, compute, first_failing

__all__ = ["SIGNALS", "Document", "Signal", "SignalValues", "compute", "first_failing"]
