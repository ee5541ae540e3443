"""The text encoder: what a vector depends on, and what precision costs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_support import REPOSITORY

from models.encoders.int8 import int8_is_fast
from models.encoders.text import Precision, TextEncoder, encoder_folder, encoder_sha256, resolve_precision
from storage.sources.sample.release import FACTORS

WORDS = " ".join(f"{one} {other}" for _, one, _, other in FACTORS).split()
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, size)) for size in RNG.integers(1, 70, 60)] + ["", "short"]


@pytest.fixture(scope="module")
def encoders() -> dict[Precision, TextEncoder]:
    return {precision: TextEncoder.load("minilm", 64, precision) for precision in ("float32", "int8")}


@pytest.fixture(scope="module")
def encoder(encoders: dict[Precision, TextEncoder]) -> TextEncoder:
    return encoders["float32"]


@pytest.fixture(scope="module")
def vectors_at(encoders: dict[Precision, TextEncoder]) -> dict[Precision, np.ndarray]:
    return {precision: encoder.encode(TEXTS) for precision, encoder in encoders.items()}


@pytest.fixture(scope="module")
def vectors(vectors_at: dict[Precision, np.ndarray]) -> np.ndarray:
    return vectors_at["float32"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12))
def test_a_vector_is_the_same_to_the_bit_in_any_company(
    encoders: dict[Precision, TextEncoder],
    vectors_at: dict[Precision, np.ndarray],
    precision: Precision,
    rows: list[int],
) -> None:
    assert np.array_equal(encoders[precision].encode([TEXTS[row] for row in rows]), vectors_at[precision][rows])


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


def test_int8_stays_near_float32(vectors_at: dict[Precision, np.ndarray]) -> None:
    filled = [place for place, text in enumerate(TEXTS) if text]
    one, other = (vectors_at[precision][filled].astype(np.float64) for precision in ("float32", "int8"))
    cosine = (one * other).sum(1) / np.sqrt((one * one).sum(1) * (other * other).sum(1))
    assert cosine.mean() >= 0.999
    assert cosine.min() >= 0.997
    assert not np.array_equal(one, other)
    assert not vectors_at["int8"][TEXTS.index("")].any()


def test_precision_is_settled_by_the_machine() -> None:
    for asked in get_args(Precision):
        assert resolve_precision(asked) == asked
    known = Path("/proc/cpuinfo").read_text()
    tiles = "amx_bf16" in known or torch.cuda.is_available()
    assert int8_is_fast() <= ("avx512_vnni" in known)
    assert resolve_precision("auto") == ("bfloat16" if tiles else "int8" if int8_is_fast() else "float32")


def test_without_the_helper_auto_is_float32_and_int8_gives_the_same_bits(
    vectors_at: dict[Precision, np.ndarray],
) -> None:
    script = (
        "import json, sys, torch\n"
        "from models.encoders.text import TextEncoder, resolve_precision\n"
        "torch.set_num_threads(1)\n"
        "vectors = TextEncoder.load('minilm', 64, 'int8').encode(json.loads(sys.argv[1]))\n"
        "print(json.dumps([resolve_precision('auto'), vectors.tolist()]))\n"
    )
    command = [sys.executable, "-c", script, json.dumps(TEXTS[:5])]
    run = subprocess.run(
        command, env=os.environ | {"MARQUEE_PURE": "1"}, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    precision, vectors = json.loads(run.stdout)
    assert precision != "int8"
    assert np.array_equal(np.array(vectors, dtype=np.float32), vectors_at["int8"][:5])


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
