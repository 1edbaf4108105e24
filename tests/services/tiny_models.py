"""Makes small CLIP models with random weights, saved by the libraries themselves.

They understand nothing, but their files, towers and tokenizers are of the same kind as the
real ones, and they tell inputs apart: what tests of correctness need.
"""

import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    CLIPModel,
    Dense,
    Pooling,
    Transformer,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
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

DIMENSIONS = 512


def save_image_model(
    folder: Path, *, full_size: bool = False, dimensions: int = DIMENSIONS
) -> Path:
    """Saves a CLIP model (image and text towers, English only) in sentence-transformers format.

    Args:
        folder: Where; made if absent.
        full_size: As large as ViT-B/32, to measure real costs.
        dimensions: Values in a vector.
    """
    torch.manual_seed(1)
    small = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ends = ["<|startoftext|>", "<|endoftext|>"]
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *ends]
    vocabulary = {word: i for i, word in enumerate(words)}
    marks = {"bos_token_id": vocabulary[ends[0]], "eos_token_id": vocabulary[ends[1]]}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": 77, **marks}
    network = CLIPNetwork(
        CLIPConfig(
            vision_config={"patch_size": 32, **({} if full_size else small)},
            text_config={**text, **({} if full_size else small)},
            projection_dim=dimensions,
        )
    )
    _spread(network)
    processor = CLIPProcessor(
        CLIPImageProcessor(), CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    )
    with tempfile.TemporaryDirectory() as raw:
        network.save_pretrained(raw)
        processor.save_pretrained(raw)
        SentenceTransformer(modules=[CLIPModel(raw)], device="cpu").save(str(folder))
    return folder


def save_text_model(folder: Path, *, full_size: bool = False, dimensions: int = DIMENSIONS) -> Path:
    """Saves a text model for any language: DistilBERT over bytes, mean pooling, a dense layer."""
    torch.manual_seed(2)
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: i for i, word in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=128,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )
    small = {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4}
    size = {} if full_size else small
    network = DistilBertModel(
        DistilBertConfig(
            vocab_size=len(vocabulary), max_position_embeddings=512 if full_size else 128, **size
        )
    )
    _spread(network)
    with tempfile.TemporaryDirectory() as raw:
        network.save_pretrained(raw)
        fast.save_pretrained(raw)
        transformer = Transformer(raw, max_seq_length=128)
        width = transformer.get_embedding_dimension()
        dense = Dense(width, dimensions, bias=False, activation_function=torch.nn.Identity())
        modules = [transformer, Pooling(width, "mean"), dense]
        SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def _spread(network: torch.nn.Module) -> None:
    """Enlarges the random weights, so that different inputs get clearly different vectors."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1 and "logit_scale" not in name:
                parameter.mul_(3.0)
