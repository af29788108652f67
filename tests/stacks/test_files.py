"""Token files: Megatron's own builder writes the same bytes, and Megatron and NeMo read ours."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.stacks.bench import write_tokens


@pytest.fixture
def documents() -> list[np.ndarray]:
    """Twenty of different lengths."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 500, rng.integers(20, 300)) for _ in range(20)]


def test_megatrons_builder_writes_the_same_bytes(tmp_path, documents):
    """Of the index and of the tokens. tests/runtime/data/test_indexed.py holds our writer against these bytes, too."""
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    write_tokens(tmp_path, documents)
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    for document in documents:
        builder.add_document(torch.from_numpy(document), [len(document)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    for suffix in ("bin", "idx"):
        assert (tmp_path / f"tokens.{suffix}").read_bytes() == (tmp_path / f"theirs.{suffix}").read_bytes()


class Tokenizer:
    """What Megatron asks of a tokenizer that encodes nothing."""

    vocab_size, eod, pad, eos_id, bos_id, unk_id = 512, 511, 510, 511, 511, 511
    eos = eod
    unique_identifiers: ClassVar[dict[str, Any]] = {"class": "none", "vocab_size": 512}

    def text_to_ids(self, text: str) -> list[int]:
        """Not asked."""
        raise AssertionError


@pytest.fixture
def group():
    """Megatron's data sets are built in a process group."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_gpt_dataset_reads_our_files(tmp_path, documents, group):
    """Its samples are windows of our tokens, and every token is in one of them."""
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig

    write_tokens(tmp_path, documents)
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=16,
        blend=([str(tmp_path / "tokens")], None),
        split="1,0,0",
        path_to_cache=str(tmp_path / "cache"),
        tokenizer=Tokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    train, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [50, 0, 0], lambda: True, config).build()
    assert_windows([train[number] for number in range(50)], documents)


def test_nemos_data_module_reads_our_files(tmp_path, documents, group):
    """Its PreTrainingDataModule over a blend of two, with exact weights."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from megatron.core import parallel_state
    from nemo.collections import llm

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_tokens(tmp_path / name, documents)
    parallel_state.initialize_model_parallel()
    try:
        data = llm.PreTrainingDataModule(
            paths=["30", str(tmp_path / "a" / "tokens"), "70", str(tmp_path / "b" / "tokens")],
            tokenizer=Tokenizer(),
            seq_length=16,
            micro_batch_size=1,
            global_batch_size=1,
            num_workers=0,
            split="1,0,0",
            index_mapping_dir=str(tmp_path / "cache"),
        )
        data.build(40, 40, 0, 0)
        assert_windows([data._train_ds[number] for number in range(40)], documents)
    finally:
        parallel_state.destroy_model_parallel()


def assert_windows(samples: list[dict[str, torch.Tensor]], documents: list[np.ndarray]) -> None:
    """Each sample is one or more runs of a document, end to end; labels are one token on."""
    row = np.concatenate(documents)
    known = {tuple(row[start : start + 4]) for start in range(len(row) - 3)}
    for sample in samples:
        tokens, labels = sample["tokens"].numpy(), sample["labels"].numpy()
        assert np.array_equal(tokens[1:], labels[:-1])
        runs = [tuple(tokens[start : start + 4]) in known for start in range(len(tokens) - 3)]
        assert np.mean(runs) > 0.5  # documents are shuffled: only windows over a border are new
