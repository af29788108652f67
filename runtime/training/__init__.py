"""Training back ends: a `TrainJob`, token files and a data order in; a checkpoint and metrics out.

Not the schedule's or the mixture's design (the language and the compiler decide those) and not a data reader
in general. Loads nothing but torch, numpy, safetensors, attrs and the two compiler modules that are plain
data, so that it runs inside a training container without the data engines.
"""

from __future__ import annotations
