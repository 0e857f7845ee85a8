"""Models of transformers, two layers deep."""

from __future__ import annotations

import torch
import transformers
from torch import nn

from .zoo_model import BATCH, SEQUENCE, ZooModel, images

WORDS = 97
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
DRY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ENDS = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}


class Output(nn.Module):
    """One tensor of a model's output."""

    def __init__(self, model: nn.Module, name: str, *inputs: str, **settings):
        super().__init__()
        self.model, self.name, self.inputs, self.settings = model, name, inputs, settings

    def forward(self, *tensors):
        return self.model(**dict(zip(self.inputs, tensors, strict=True)), **self.settings)[self.name]


def _tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(2, WORDS, (batch, length))


def _masked_tokens(batch: int, length: int) -> tuple[torch.Tensor, ...]:
    """Draw tokens and a mask whose second row is shorter."""
    lengths = torch.where(torch.arange(batch) == 1, length - 2, length)
    return _tokens(batch, length), (torch.arange(length)[None] < lengths[:, None]).long()


def _bert(**settings) -> nn.Module:
    config = transformers.BertConfig(vocab_size=WORDS, max_position_embeddings=64, **SMALL, **DRY)
    model = transformers.AutoModelForMaskedLM.from_config(config, **settings)
    return Output(model, "logits", "input_ids", "attention_mask")


def _gpt2() -> nn.Module:
    drops = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=64, n_embd=32, n_layer=2, n_head=4, **drops, **ENDS
    )
    return Output(transformers.GPT2LMHeadModel(config), "logits", "input_ids", use_cache=False)


def _llama() -> nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=WORDS, max_position_embeddings=64, num_key_value_heads=2, **SMALL, **ENDS
    )
    model = transformers.LlamaForCausalLM(config)
    return Output(model, "logits", "input_ids", "attention_mask", use_cache=False)


def _t5() -> nn.Module:
    config = transformers.T5Config(
        vocab_size=WORDS,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = transformers.T5ForConditionalGeneration(config)
    return Output(model, "logits", "input_ids", "decoder_input_ids", use_cache=False)


def _vit() -> nn.Module:
    config = transformers.ViTConfig(image_size=32, patch_size=8, **SMALL, **DRY)
    return Output(transformers.ViTModel(config), "last_hidden_state", "pixel_values")


def _swin() -> nn.Module:
    config = transformers.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        drop_path_rate=0.0,
        **DRY,
    )
    return Output(transformers.SwinModel(config), "last_hidden_state", "pixel_values")


def _whisper() -> nn.Module:
    """Return an encoder, which takes spectrograms of one length."""
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = transformers.WhisperConfig(
        vocab_size=WORDS,
        num_mel_bins=16,
        encoder_layers=2,
        encoder_attention_heads=4,
        d_model=32,
        encoder_ffn_dim=64,
        max_source_positions=16,
        decoder_start_token_id=1,
        dropout=0.0,
        **ENDS,
    )
    return Output(WhisperEncoder(config), "last_hidden_state", "input_features")


MODELS = {
    "bert": ZooModel(_bert, _masked_tokens, (SEQUENCE, SEQUENCE)),
    "bert with attention written out": ZooModel(
        lambda: _bert(attn_implementation="eager"), _masked_tokens, (SEQUENCE, SEQUENCE)
    ),
    "gpt2": ZooModel(_gpt2, lambda batch, length: (_tokens(batch, length),), (SEQUENCE,)),
    "llama": ZooModel(_llama, _masked_tokens, (SEQUENCE, SEQUENCE)),
    "t5": ZooModel(
        _t5,
        lambda batch, length: (_tokens(batch, length), _tokens(batch, length + 3)),
        (SEQUENCE, {0: "batch", 1: "target_length"}),
    ),
    "vit": ZooModel(_vit, images(32)),
    "swin": ZooModel(_swin, images(32)),
    "whisper encoder": ZooModel(_whisper, lambda batch, length: (torch.randn(batch, 16, 32),), (BATCH,)),
}
