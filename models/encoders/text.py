"""The text of an item, and what an encoder of texts offers."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.bfloat16 import bfloat16_is_fast

Precision = Literal["float32", "bfloat16"]


class TextEncoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        width: E, width of a vector.
    """

    width: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (N, E) float32, in the order of `texts`; an empty text gives zeros.

        A text's vector must not depend on the other texts of the call.
        """


class EncoderSource(NamedTuple):
    """One kind of text encoder.

    Attributes:
        load: takes the number of tokens to read of a text and the precision; gives the encoder. Called on workers.
        identity: gives a string that changes with the weights; it is part of the digests of the vectors.
    """

    load: Callable[[int, Precision], TextEncoder]
    identity: Callable[[], str]


def item_text(
    title: str | None, year: int | None, genres: Sequence[str], tagline: str | None, overview: str | None
) -> str:
    """The text of a movie that the encoder reads; unknown parts are left out."""
    head = f"{title or ''} ({year})" if year else (title or "")
    parts = (head, ", ".join(genres), tagline or "", overview or "")
    return ". ".join(part.replace("\x00", "").strip().rstrip(".") for part in parts if part.strip())


def resolve_precision(asked: Literal["auto"] | Precision) -> Precision:
    """The precision that `auto` stands for on this machine: bfloat16 if the GPU or CPU multiplies it natively, else float32."""
    if asked != "auto":
        return asked
    return "bfloat16" if bfloat16_is_fast("cuda" if torch.cuda.is_available() else "cpu") else "float32"
