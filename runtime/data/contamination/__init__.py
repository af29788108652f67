"""Contamination: which documents share words or function names with the items of benchmarks.

    words      what a word is, and the hash of a phrase
    items      the items of a test set, read from its files
    functions  where a program defines a function
    evidence   the phrases and names of items that count, without templates
    scan       the compiled kernel: where a document may hold one of them
    search     hits, each verified word by word

Not near duplicates: those are `minhash`'s. Memory holds the phrases of the benchmarks and one batch of documents.
"""

from __future__ import annotations
