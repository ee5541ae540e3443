import numpy as np
import pytest

from models.encoders.text import TextEncoder, item_text
from models.encoders.text_encoders import ENCODERS, find_encoder
from models.encoders.text_encoders.minilm import load_minilm
from models.errors import EncoderError


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_minilm(64)


def test_item_text_leaves_out_what_is_unknown() -> None:
    assert item_text("Heat", 1995, ["Crime", "Drama"], None, "A heist.") == "Heat (1995). Crime, Drama. A heist"
    assert item_text(None, None, [], None, None) == ""


def test_meaning_is_near_meaning(encoder: TextEncoder) -> None:
    war, battle, romance = encoder.encode(["soldiers in a war", "a battle of armies", "a wedding and a kiss"])
    assert war @ battle > war @ romance + 0.1
    assert np.isclose(np.linalg.norm(war), 1, atol=1e-3)


@pytest.mark.parametrize("name", ENCODERS)
def test_order_batches_and_odd_texts(name: str) -> None:
    encoder = find_encoder(name).load(64, "float32")
    texts = ["short", "", "a much longer text about ships and the sea", "nul\x00byte", "word " * 20_000, "   "]
    vectors = encoder.encode(texts)
    assert vectors.shape == (6, encoder.width)
    assert not vectors[1].any()
    assert not vectors[5].any()
    assert np.isfinite(vectors).all()
    for place, text in enumerate(texts):
        np.testing.assert_allclose(encoder.encode([text])[0], vectors[place], atol=2e-5)


def test_unknown_model_names_the_offline_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # as the variable does at import
    with pytest.raises(EncoderError, match="offline encoder: minilm"):
        find_encoder("nobody/has-this-model").load(64, "float32")
