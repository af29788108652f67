"""Lineage: what became of a document, step by step, and which documents a rule removed.

It reads the plan, the finished artefacts and the sources, and writes nothing. `trail` puts a data set's steps in
order, `recorded` asks their tables, `reread` reads documents again, `judge` decides about them anew with the
operators' own code; `history`, `check`, `removed` and `samples` are what the verbs `why` and `data show` ask for.
"""

from __future__ import annotations
