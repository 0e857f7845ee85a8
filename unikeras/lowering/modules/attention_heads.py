"""Attention as it is written out into source files."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Attention of several heads, with a projection each for query, key, value and output.

    Args:
        size: the features of the query, and of key, value and output where nothing else is said.
        heads: how many heads.
        head_size: the features of a head's queries and keys.
        value_size: those of its values, where they differ.
        key_features: the features of the key.
        value_features: the features of the value.
        out_features: the features of the output.
        dropout: the share of the attention weights that is dropped in training.
        bias: whether projections have one.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        head_size: int,
        *,
        value_size: int | None = None,
        key_features: int | None = None,
        value_features: int | None = None,
        out_features: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        value_size = value_size or head_size
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(size, heads * head_size, bias=bias)
        self.key = nn.Linear(key_features or size, heads * head_size, bias=bias)
        self.value = nn.Linear(value_features or size, heads * value_size, bias=bias)
        self.attention_output = nn.Linear(heads * value_size, out_features or size, bias=bias)

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Attend; mask is True at (batch, query, key), or at (batch, heads, query, key), where a query may look."""
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(value if key is None else key).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.value(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        if mask is None:
            x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal)
        else:
            mask = mask if mask.dim() == 4 else mask.unsqueeze(1)
            if causal:
                mask = mask & torch.ones_like(mask[:1, :1]).expand(1, 1, q.shape[2], k.shape[2]).tril()
            # Large and finite: a query that may look nowhere looks everywhere, as in Keras.
            far = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -3e4 if q.dtype == torch.half else -1e9)
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=far, dropout_p=dropout)
            if self.dropout > 0:
                # Keras' layer of dropped weights lets it look nowhere.
                x = torch.where(mask.any(-1, keepdim=True), x, 0.0)
        return self.attention_output(x.transpose(1, 2).flatten(2))
