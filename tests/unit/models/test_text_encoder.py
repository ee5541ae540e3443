"""The text encoder: what a vector depends on, and what precision costs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoders.text import TextEncoder, encoder_folder, encoder_sha256, resolve_precision
from storage.sources.sample import FACTORS

WORDS = " ".join(f"{one} {other}" for _, one, _, other in FACTORS).split()
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, size)) for size in RNG.integers(1, 70, 60)] + ["", "short"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load("minilm", 64)


@pytest.fixture(scope="module")
def vectors(encoder: TextEncoder) -> np.ndarray:
    return encoder.encode(TEXTS)


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12))
def test_a_vector_is_the_same_to_the_bit_in_any_company(
    encoder: TextEncoder, vectors: np.ndarray, rows: list[int]
) -> None:
    assert np.array_equal(encoder.encode([TEXTS[row] for row in rows]), vectors[rows])


def test_padding_is_not_pooled(encoder: TextEncoder, vectors: np.ndarray) -> None:
    for place in (0, 17, 33):
        tokens = encoder.tokenizer([TEXTS[place]], truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            mean = encoder.model(**tokens).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vectors[place], mean / mean.norm(), atol=2e-5)


def test_bfloat16_stays_near_float32(vectors: np.ndarray) -> None:
    half = TextEncoder.load("minilm", 64, "bfloat16").encode(TEXTS)
    filled = [place for place, text in enumerate(TEXTS) if text]
    assert (half[filled] * vectors[filled]).sum(1).min() >= 0.999
    assert not np.array_equal(half, vectors)
    assert half.dtype == np.float32


def test_precision_is_settled_by_the_machine() -> None:
    assert resolve_precision("bfloat16") == "bfloat16"
    assert resolve_precision("float32") == "float32"
    tiles = "amx_tile" in Path("/proc/cpuinfo").read_text() or torch.cuda.is_available()
    assert resolve_precision("auto") == ("bfloat16" if tiles else "float32")


def test_weights_stand_in_the_digest(tmp_path: Path) -> None:
    folder = encoder_folder("minilm")
    assert folder is not None
    assert encoder_sha256("minilm") == encoder_sha256(str(folder))
    assert encoder_sha256("somebody/on-the-hub") == "somebody/on-the-hub"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = encoder_sha256(str(tmp_path))
    (tmp_path / "README.md").write_text("not read")
    assert encoder_sha256(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert encoder_sha256(str(tmp_path)) != before
