"""BERT-family transformers from a local folder or the Hugging Face hub."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.encoders.text import EncoderSource, Precision
from models.errors import EncoderError

DECIMALS = 5  # other machines and numbers of threads differ in the 7th
LENGTH_STEP = 8  # texts are padded to a multiple of so many tokens
BATCH_TOKENS = {"cpu": 512, "cuda": 16_384}  # on a CPU the activations of so many tokens stay in its L2 cache
_TOKENIZING = threading.Lock()  # fast tokenizers refuse a second thread


class TransformerEncoder:
    """Mean-pooled, normalised token states of a transformer.

    Attributes:
        width: E, width of the model's token states.
    """

    def __init__(self, tokenizer: Any, model: Any, max_tokens: int, precision: Precision = "float32") -> None:
        """Take a model for inference; it moves to the GPU if there is one.

        Args:
            tokenizer: of the model.
            model: of the `transformers` package; gives `last_hidden_state`.
            max_tokens: tokens of a text that are read.
            precision: of the model's weights and activations.
        """
        self.tokenizer = tokenizer
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.model = model.eval().to(device=self.device, dtype=dtype)
        self.max_tokens = max_tokens
        self.width = int(model.config.hidden_size)

    @classmethod
    def load(cls, name: str, max_tokens: int = 128, precision: Precision = "float32") -> Self:
        """Load a model. Only safetensors are read and no code of the model is run.

        Args:
            name: a local folder, or a name on the hub.
            max_tokens: tokens of a text that are read.
            precision: of the model's weights and activations.

        Raises:
            EncoderError: there is no such model here, and none could be fetched.
        """
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        local = Path(name).is_dir()
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
            model = AutoModel.from_pretrained(name, local_files_only=local, use_safetensors=True)
        except Exception as error:
            raise EncoderError(
                f"encoder {name!r}: expected a folder or hub model with safetensors; found none here "
                f"({type(error).__name__}). Without internet use the offline encoder: minilm."
            ) from error
        return cls(tokenizer, model, max_tokens, precision)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (N, E) float32, in the order of `texts`; an empty text gives zeros.

        A text's vector does not depend on the other texts: its length alone decides how far it is padded and how large its
        batch is. On one thread of one machine it is therefore always the same, to the bit.
        """
        cut = [text.replace("\x00", "")[: 10 * self.max_tokens].strip() for text in texts]
        filled = [place for place, text in enumerate(cut) if text]
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        if not filled:
            return vectors
        with _TOKENIZING:
            tokens = self.tokenizer([cut[row] for row in filled], truncation=True, max_length=self.max_tokens)
        for rows, ids, mask in self._batches(tokens["input_ids"]):
            with torch.inference_mode():
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            weight = mask.unsqueeze(-1).float()
            pooled = (states * weight).sum(1) / weight.sum(1)
            unit = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
            vectors[[filled[row] for row in rows]] = unit[: len(rows)]
        return np.round(vectors, DECIMALS)

    def _batches(self, tokens: list[list[int]]) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """Rows of near-equal lengths with their ids and mask, (B, L) int64; B and L follow from the length alone."""
        lengths: dict[int, list[int]] = {}
        for row, known in enumerate(tokens):
            length = min(-(-len(known) // LENGTH_STEP) * LENGTH_STEP, self.max_tokens)
            lengths.setdefault(length, []).append(row)
        padding = self.tokenizer.pad_token_id or 0
        for length, rows in sorted(lengths.items()):
            size = max(1, BATCH_TOKENS[self.device.type] // length)
            for first in range(0, len(rows), size):
                chosen = rows[first : first + size]
                ids = np.full((size, length), padding, dtype=np.int64)
                mask = np.zeros((size, length), dtype=np.int64)
                mask[len(chosen) :, 0] = 1  # rows that only fill the batch
                for place, row in enumerate(chosen):
                    ids[place, : len(tokens[row])] = tokens[row]
                    mask[place, : len(tokens[row])] = 1
                yield chosen, torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)


def folder_sha256(folder: Path) -> str:
    """SHA-256 of the files that a model in a folder is loaded from."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in {".json", ".txt", ".model", ".safetensors"}):
        with path.open("rb") as stream:
            digest.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def pretrained(name: str) -> EncoderSource:
    """The encoder of a local folder or of a name on the hub; the name stands for the weights of a hub model."""
    folder = Path(name)
    return EncoderSource(
        load=lambda max_tokens, precision: TransformerEncoder.load(name, max_tokens, precision),
        identity=lambda: folder_sha256(folder) if folder.is_dir() else name,
    )
