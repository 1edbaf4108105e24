"""The two networks, their tokenizer, and their form on disk.

The folders have the structure of sentence-transformers' clip-ViT-B-32 and
clip-ViT-B-32-multilingual-v1, so that the same code loads either.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    CLIPModel,
    Dense,
    Pooling,
    Transformer,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPProcessor,
    CLIPTokenizer,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
)
from transformers import CLIPModel as CLIPNetwork

from imagesearch_dev.tiny_model.views import SIDE

DIMENSIONS = 512
MAX_TOKENS = 48
_SPECIALS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
_ENDS = ("<|startoftext|>", "<|endoftext|>")


def clip_network() -> CLIPNetwork:
    """The image tower, in a CLIP network whose own text tower is as small as can be."""
    letters = len(_clip_vocabulary())
    return CLIPNetwork(
        CLIPConfig(
            vision_config={
                "image_size": SIDE,
                "patch_size": 8,
                "hidden_size": 144,
                "intermediate_size": 432,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "hidden_act": "gelu_pytorch_tanh",
            },
            text_config={
                "vocab_size": letters,
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "max_position_embeddings": 16,
                "bos_token_id": letters - 2,
                "eos_token_id": letters - 1,
            },
            projection_dim=DIMENSIONS,
        )
    )


def image_vectors(network: CLIPNetwork, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Runs the image tower.

    Args:
        network: As `clip_network` makes it.
        pixels: (B, 3, SIDE, SIDE), normalised.

    Returns:
        (B, hidden) before the projection, and (B, DIMENSIONS) of unit length.
    """
    pooled = network.vision_model(pixel_values=pixels).pooler_output
    vectors = network.visual_projection(pooled)
    return pooled, nn.functional.normalize(vectors.float(), dim=-1)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learns the word pieces of some texts; Chinese is split by character."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1200, special_tokens=list(_SPECIALS), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    end, start = (_SPECIALS.index(name) for name in ("[SEP]", "[CLS]"))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", end), ("[CLS]", start))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )


def text_config(vocabulary: int) -> DistilBertConfig:
    """The text tower's size, for so many tokens."""
    return DistilBertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_TOKENS,
        dim=128,
        hidden_dim=384,
        n_layers=3,
        n_heads=4,
    )


class TextTower(nn.Module):
    """A DistilBERT, the mean of its outputs, and a projection."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.encoder = DistilBertModel(config)
        self.projection = nn.Linear(config.dim, DIMENSIONS, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, L) token ids and their mask to (B, DIMENSIONS) of unit length."""
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1)
        return nn.functional.normalize(self.projection(mean).float(), dim=-1)


def save(
    network: CLIPNetwork,
    text: TextTower,
    tokenizer: PreTrainedTokenizerFast,
    image_folder: Path,
    text_folder: Path,
) -> None:
    """Writes both towers as sentence-transformers models, weights in safetensors only."""
    vocabulary = _clip_vocabulary()
    vision: Any = network.config.vision_config
    side = vision.image_size
    processor = CLIPProcessor(  # type: ignore[no-untyped-call]
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16),
    )
    with tempfile.TemporaryDirectory() as raw:
        network.save_pretrained(raw)
        processor.save_pretrained(raw)
        _replace(image_folder, SentenceTransformer(modules=[CLIPModel(raw)], device="cpu"))
    with tempfile.TemporaryDirectory() as raw:
        text.encoder.save_pretrained(raw)
        tokenizer.save_pretrained(raw)
        transformer = Transformer(raw, max_seq_length=tokenizer.model_max_length)
        width = text.projection.in_features
        dense = Dense(width, DIMENSIONS, bias=False, activation_function=nn.Identity())
        with torch.no_grad():
            dense.linear.weight.copy_(text.projection.weight)
        modules = [transformer, Pooling(width, "mean"), dense]
        _replace(text_folder, SentenceTransformer(modules=modules, device="cpu"))


def load(
    image_folder: Path, text_folder: Path
) -> tuple[CLIPNetwork, TextTower, PreTrainedTokenizerFast]:
    """Reads what `save` wrote: both towers and the tokenizer."""
    images: Any = SentenceTransformer(str(image_folder), device="cpu")
    texts: Any = SentenceTransformer(str(text_folder), device="cpu")
    text = TextTower(texts[0].model.config)
    text.encoder.load_state_dict(texts[0].model.state_dict())
    text.projection.load_state_dict(texts[2].linear.state_dict())
    return images[0].model, text, texts.tokenizer


def _replace(folder: Path, model: SentenceTransformer) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.save(str(folder), create_model_card=False)


def _clip_vocabulary() -> dict[str, int]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *_ENDS]
    return {word: i for i, word in enumerate(words)}
