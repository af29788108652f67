"""Model shapes and tokenizers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from ocspec.base import DOC, EXECUTION, Bytes, Spec, Tokens
from ocspec.sources import AKA

END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", "<|im_end|>", "<|pad|>")


class Transformer(Spec):
    """A Llama-style decoder: RMSNorm, SwiGLU, RoPE, grouped-query attention, untied embeddings, no biases."""

    change_class = "train"

    num_layers: int = Field(gt=0, description="Decoder layers.")
    hidden_size: int = Field(gt=0, description="Width of the residual stream.")
    intermediate_size: int = Field(gt=0, description="Width of the SwiGLU feed-forward layer.")
    num_heads: int = Field(gt=0, description="Query heads.")
    num_kv_heads: int = Field(gt=0, description="Key-value heads, each shared by num_heads / num_kv_heads queries.")
    head_dim: int | None = Field(default=None, gt=0, description="Width of a head; None: hidden_size / num_heads.")
    max_positions: Tokens = Field(gt=0, description="Context length.")
    rope_theta: float = Field(default=10_000.0, gt=0, description="Base of the rotary position embedding.")
    norm_eps: float = Field(default=1e-5, gt=0, description="Epsilon of RMSNorm.")
    init_std: float = Field(default=0.02, gt=0, description="Standard deviation of the initial weights.")

    @model_validator(mode="after")
    def _heads(self) -> Transformer:
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
                "; fix: let each key-value head serve the same number of query heads"
            )
        if self.head_dim is None and self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
                "; fix: change one, or give head_dim"
            )
        return self


class Tokenizer(Spec):
    """Base of tokenizers."""

    abstract: ClassVar[bool] = True

    vocab_size: int = Field(gt=256, description="Entries of the vocabulary, special tokens included.")
    special_tokens: tuple[str, ...] = Field(
        default=SPECIAL_TOKENS, description="Tokens that no text encodes to; the first ends a document."
    )


class TrainedBPE(Tokenizer):
    """A byte-level BPE trained on a sample of the first stage's mixture."""

    sample_bytes: Bytes = Field(default=8_000_000, gt=0, description="Size of the sample.")
    seed: int = Field(default=0, description="Chooses the sample.")


class PretrainedTokenizer(Tokenizer):
    """A tokenizer.json made elsewhere."""

    name: str = Field(min_length=1, description="What it is called in plans and reports.")
    aka: str = Field(default="", description=AKA)
    path: Annotated[str, EXECUTION] = Field(min_length=1, description="Its tokenizer.json.")
    digest: str = Field(default="", description="SHA-256 of the file; empty where it is not known.")
    note: Annotated[str, DOC] = Field(default="", description="Free text; it changes nothing.")
