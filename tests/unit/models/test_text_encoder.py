"""The text encoder: what a vector depends on, and what precision costs."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoders.text import Precision, resolve_precision
from models.encoders.text_encoders import find_encoder
from models.encoders.text_encoders.minilm import load_minilm, minilm_folder
from models.encoders.text_encoders.transformer import TransformerEncoder
from storage.sources.sample.release import FACTORS

WORDS = " ".join(f"{one} {other}" for _, one, _, other in FACTORS).split()
RNG = np.random.default_rng(0)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
TEXTS = [" ".join(RNG.choice(WORDS, size)) for size in RNG.integers(1, 70, 60)] + ["", "short"]


@pytest.fixture(scope="module")
def encoders() -> dict[Precision, TransformerEncoder]:
    return {precision: load_minilm(64, precision) for precision in PRECISIONS}


@pytest.fixture(scope="module")
def encoder(encoders: dict[Precision, TransformerEncoder]) -> TransformerEncoder:
    return encoders["float32"]


@pytest.fixture(scope="module")
def vectors_at(encoders: dict[Precision, TransformerEncoder]) -> dict[Precision, np.ndarray]:
    return {precision: encoder.encode(TEXTS) for precision, encoder in encoders.items()}


@pytest.fixture(scope="module")
def vectors(vectors_at: dict[Precision, np.ndarray]) -> np.ndarray:
    return vectors_at["float32"]


@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12))
def test_a_vector_is_the_same_to_the_bit_in_any_company(
    encoders: dict[Precision, TransformerEncoder],
    vectors_at: dict[Precision, np.ndarray],
    precision: Precision,
    rows: list[int],
) -> None:
    assert np.array_equal(encoders[precision].encode([TEXTS[row] for row in rows]), vectors_at[precision][rows])


def test_padding_is_not_pooled(encoder: TransformerEncoder, vectors: np.ndarray) -> None:
    for place in (0, 17, 33):
        tokens = encoder.tokenizer([TEXTS[place]], truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            mean = encoder.model(**tokens).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vectors[place], mean / mean.norm(), atol=2e-5)


def test_bfloat16_stays_near_float32(vectors: np.ndarray, vectors_at: dict[Precision, np.ndarray]) -> None:
    half = vectors_at["bfloat16"]
    filled = [place for place, text in enumerate(TEXTS) if text]
    assert (half[filled] * vectors[filled]).sum(1).min() >= 0.999
    assert not np.array_equal(half, vectors)
    assert half.dtype == np.float32


def test_precision_is_settled_by_the_machine() -> None:
    for asked in get_args(Precision):
        assert resolve_precision(asked) == asked
    known = Path("/proc/cpuinfo").read_text().split()
    native = "amx_bf16" in known or "avx512_bf16" in known or torch.cuda.is_available()
    assert resolve_precision("auto") == ("bfloat16" if native else "float32")


@pytest.mark.parametrize(
    ("known", "precision"), [("amx_bf16", "bfloat16"), ("avx512_bf16", "bfloat16"), ("avx512_f", "float32")]
)
def test_auto_is_bfloat16_on_processors_that_multiply_it(
    known: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, known: True})
    assert resolve_precision("auto") == precision


def test_weights_stand_in_the_digest(tmp_path: Path) -> None:
    assert find_encoder("minilm").identity() == find_encoder(str(minilm_folder())).identity()
    assert find_encoder("somebody/on-the-hub").identity() == "somebody/on-the-hub"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = find_encoder(str(tmp_path)).identity()
    (tmp_path / "README.md").write_text("not read")
    assert find_encoder(str(tmp_path)).identity() == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert find_encoder(str(tmp_path)).identity() != before
