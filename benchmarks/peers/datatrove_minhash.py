"""datatrove's MinHash pipeline, its four stages in one process: CORPUS.parquet OUT BANDSxROWS."""

from __future__ import annotations

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig


def main() -> None:
    """Run the stages one after another."""
    corpus, out, bands = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    buckets, rows = map(int, bands.split("x"))
    config = MinhashConfig(
        n_grams=5, num_buckets=buckets, hashes_per_bucket=rows, hash_config=HashConfig(precision=64, hash_fc="xxhash")
    )

    def reader() -> ParquetReader:
        return ParquetReader(str(corpus.parent), glob_pattern=corpus.name, text_key="content", id_key="id")

    for number, (stage, tasks) in enumerate(
        (
            ([reader(), MinhashDedupSignature(output_folder=f"{out}/signatures", config=config)], 1),
            ([MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)], buckets),
            ([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], 1),
            ([reader(), MinhashDedupFilter(f"{out}/remove"), JsonlWriter(f"{out}/kept", compression=None)], 1),
        )
    ):
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=f"{out}/log{number}").run()
    print("kept", sum(path.read_bytes().count(b"\n") for path in Path(out, "kept").rglob("*.jsonl")))


if __name__ == "__main__":
    main()
