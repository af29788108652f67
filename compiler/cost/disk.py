"""Temporary disk of a task's shards: what DuckDB may spill when memory does not hold it. Not the size of any output.

Counted as if all of the widest intermediate table were spilled once, so the truth lies between nothing and this.
Bytes of a row are those of its columns plus DuckDB's own for sorting and hashing.
"""

from __future__ import annotations

from compiler import ir
from compiler.cost.size import Size

KEY_ROW = 64  # item, value or hash of a bucket, and its place in a hash table
VERDICT_ROW = 48  # position, language, mark
SAMPLE_ROW = 144  # position, id, size and the md5 that orders it
TOKEN_BYTES = 4
BYTES_A_TOKEN = 3  # a byte-level BPE of code makes 3 to 4; fewer means more tokens
FILES_A_REPOSITORY = 44  # 485,817,123 files in 11,037,352 repositories (OpenCoder, table 13)


def temporary_disk(op: ir.Operator, size: Size | None, shards: int) -> int | None:
    """Bytes that one shard may spill, None where the size of its data set is not known.

    >>> temporary_disk(ir.Edges(granularity="file", exact=True, key=0, bands=16), Size(1_000_000, 0), 17)
    64000000
    >>> temporary_disk(ir.Refine(dataset="d", readers=()), None, 1)
    0
    """
    if isinstance(op, ir.Sign | ir.Refine | ir.Encode | ir.MakePairs | ir.FetchPackages):
        return 0
    if size is None:
        return None
    if isinstance(op, ir.Edges):
        return size.documents * KEY_ROW // max(1, shards // (op.bands + op.exact))
    if isinstance(op, ir.Cluster | ir.DropTwins):
        return size.documents * VERDICT_ROW
    if isinstance(op, ir.MergeSignatures):
        permutations = op.key.bands * op.key.rows if op.key else 0
        return size.documents // FILES_A_REPOSITORY * (KEY_ROW + 4 * permutations)
    if isinstance(op, ir.Downsample | ir.Select | ir.TrainBPE):
        return size.documents * SAMPLE_ROW
    if isinstance(op, ir.Pack):
        return size.bytes // BYTES_A_TOKEN * TOKEN_BYTES
    return 0
