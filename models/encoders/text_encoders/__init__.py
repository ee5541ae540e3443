"""The text encoders: one file each, registered here. Any other name is that of a pretrained transformer."""

from models.encoders.text import EncoderSource
from models.encoders.text_encoders.minilm import MINILM
from models.encoders.text_encoders.transformer import pretrained

ENCODERS: dict[str, EncoderSource] = {
    "minilm": MINILM,
}


def find_encoder(name: str) -> EncoderSource:
    """The encoder of a name: a registered one, or a transformer from a local folder or the Hugging Face hub."""
    return ENCODERS.get(name) or pretrained(name)
