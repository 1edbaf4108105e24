"""Texts to the tokens that a text tower reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it.

    Attributes:
        ids: (tokens,), int64, with the tokens that mark beginning and end.
        truncated: The text went on beyond these.
    """

    ids: NDArray[np.int64]
    truncated: bool


class TextRecipe:
    """How a model wants its text. Safe to use from several threads.

    Args:
        tokenizer: Definition of a fast tokenizer, as JSON.
        max_tokens: Tokens a text is cut to.
        side: Which end is cut off: "right" or "left".
        padding: How shorter texts are filled up.
    """

    def __init__(self, tokenizer: str, max_tokens: int, side: str, padding: "Padding") -> None:
        # A copy of our own, configured once. The library's wrapper sets cutting and padding
        # anew in each call, which two threads must not do at the same time.
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, direction=side)
        self.max_tokens = max_tokens
        self.padding = padding

    def prepare(self, text: str) -> Tokens:
        """Splits a text into tokens and cuts it to what the model reads."""
        encoding = self._tokenizer.encode(text)
        return Tokens(np.array(encoding.ids, dtype=np.int64), bool(encoding.overflowing))


@dataclass(frozen=True)
class Padding:
    """How texts are filled up to the length of the longest.

    Attributes:
        token: Id of the padding token.
        left: In front instead of behind.
        most: Tokens that the model reads at most.
    """

    token: int
    left: bool
    most: int


def stack(
    batch: list[Tokens], padding: Padding, step: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pads texts to the longest of them, and that to a multiple of `step`.

    Args:
        batch: The texts, at least one.
        padding: With what.
        step: Tokens.

    Returns:
        Ids and attention mask (1 for a token, 0 for padding), each (len(batch), longest).
    """
    longest = max(len(tokens.ids) for tokens in batch)
    longest = max(longest, min(-(-longest // step) * step, padding.most))
    ids = np.full((len(batch), longest), padding.token, dtype=np.int64)
    mask = np.zeros((len(batch), longest), dtype=np.int64)
    for row, tokens in enumerate(batch):
        length = len(tokens.ids)
        place = slice(longest - length, None) if padding.left else slice(length)
        ids[row, place] = tokens.ids
        mask[row, place] = 1
    return ids, mask
