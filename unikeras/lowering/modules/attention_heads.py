"""Attention as it is written out into source files."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its name in the written files
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Attention of several heads, with projections of query, key, value and output.

    Args:
        size: the features of the query, and of the others where nothing else is said.
        heads: how many heads.
        head_size: the features of a head's queries and keys.
        value_size: the features of a head's values, where they differ.
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
        self.heads = heads
        self.dropout = dropout
        keys = heads * head_size
        values = heads * (value_size or head_size)
        self.query = nn.Linear(size, keys, bias=bias)
        self.key = nn.Linear(key_features or size, keys, bias=bias)
        self.value = nn.Linear(value_features or size, values, bias=bias)
        self.attention_output = nn.Linear(values, out_features or size, bias=bias)

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Attend where mask (batch, query, key), or with heads second, is True."""
        q = self._heads(self.query(query))
        k = self._heads(self.key(value if key is None else key))
        v = self._heads(self.value(value))
        p = self.dropout if self.training else 0.0
        if mask is None:
            x = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=causal)
            return self.attention_output(x.transpose(1, 2).flatten(2))
        if mask.dim() == 3:
            mask = mask.unsqueeze(1)
        if causal:
            sizes = (q.shape[2], k.shape[2])
            mask = mask & torch.ones(sizes, dtype=torch.bool, device=q.device).tril()
        # Finite, so that a query that may look nowhere looks everywhere, as in Keras.
        far = -3e4 if q.dtype == torch.float16 else -1e9
        scores = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, far)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=scores, dropout_p=p)
        if self.dropout > 0:
            # With dropout, Keras lets it look nowhere.
            x = torch.where(mask.any(-1, keepdim=True), x, 0.0)
        return self.attention_output(x.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
