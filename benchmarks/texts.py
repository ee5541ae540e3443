"""Claim: texts are encoded at least twice as fast as naively where bfloat16 is native, to nearly the same vectors.

    python benchmarks/texts.py [texts, default 3,000] [rounds, default 3]

At float32 the gain is the padding that is saved: 2 times for short texts (50 tokens), 1.3 to 1.5 times for real ones (84).

Naive: batches of 64 in file order, padded to their longest text, at float32; of a random sample of at most 600 of the texts,
since its rate does not depend on how many there are.
One core: every way on one thread with the same sample, per second of CPU time, so that a busy machine matters less.
All cores: naive on all threads that torch uses by default; ours with all texts, on threads as `build-dataset` does it, and on
Dask workers as with `cluster.scheduler: local`; per second of wall time. The start of the workers is reported separately.
With MARQUEE_REAL_DATA the texts are those of its TMDB export (10,862 have an overview), else generated (about 56 tokens).
Prints texts per second (median of the rounds, which alternate), the ratio to naive, and cosines to naive's vectors.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.encoders.text import Precision, item_text, resolve_precision
from models.encoders.text_encoders.minilm import load_minilm
from models.encoders.text_encoders.transformer import TransformerEncoder
from storage.artifacts.exchange import Exchange
from storage.machine import usable_cores
from storage.sources.sample.release import FACTORS
from tasks.dask_cluster import Submit, dask_client, in_this_process, on_dask
from tasks.encode_texts import EncoderSpec, encode_texts

MAX_TOKENS = 128
SAMPLE = 600
Vectors = NDArray[np.float32]
Way = tuple[Callable[[], Vectors], NDArray[np.int64]]  # what it makes, and which rows of that are the sample's


def generated_texts(count: int) -> list[str]:
    """Title, genres and a plot; lengths spread as in real overviews."""
    rng = np.random.default_rng(0)
    words = " ".join(f"{one} {other}" for _, one, _, other in FACTORS).split()
    lengths = np.clip(rng.lognormal(3.5, 0.55, count), 4, 200).astype(int)
    return [
        f"The {words[place % len(words)]} ({1930 + place % 85}). Drama, Crime. {' '.join(rng.choice(words, length))}"
        for place, length in enumerate(lengths)
    ]


def real_texts(folder: Path, count: int) -> list[str]:
    """A sample of the movies' texts in the TMDB export `tmdb-movies/*.zip` below `folder`."""
    movies = pd.read_csv(next((folder / "tmdb-movies").glob("*.zip")))
    movies = movies[movies["overview"].notna()].sample(count, random_state=0)
    columns = movies[["original_title", "release_year", "genres", "tagline", "overview"]].fillna("").values.tolist()
    return [item_text(title, year, genres.split("|"), *rest) for title, year, genres, *rest in columns]


def naive(encoder: TransformerEncoder, texts: list[str], size: int = 64) -> Vectors:
    """Unit vectors, (N, width), by batches in file order."""
    parts = []
    for first in range(0, len(texts), size):
        tokens = encoder.tokenizer(
            texts[first : first + size], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        with torch.inference_mode():
            states = encoder.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        parts.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy())
    return np.concatenate(parts)


def in_partitions(submit: Submit, spec: EncoderSpec, texts: list[str]) -> Vectors:
    """The same in partitions, through an exchange that is empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        return encode_texts(texts, spec, submit, Exchange(f"file://{folder}/job")).vectors


def cosines(one: Vectors, other: Vectors) -> NDArray[np.float64]:
    """Cosine of every row of one with the same row of the other, (N,)."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    return np.asarray((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1)))


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 3_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    real = os.environ.get("MARQUEE_REAL_DATA")
    texts = real_texts(Path(real), count) if real else generated_texts(count)
    rows = np.random.default_rng(0).permutation(len(texts))[:SAMPLE]
    sample = [texts[row] for row in rows]
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    encoders = {precision: load_minilm(MAX_TOKENS, precision) for precision in precisions}
    full = encoders["float32"]
    tokens = [len(ids) for ids in full.tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]]
    spec = EncoderSpec("minilm", MAX_TOKENS, resolve_precision("auto"))
    cores = usable_cores()
    print(f"{len(texts):,} {'real' if real else 'generated'} texts of {np.mean(tokens):.0f} tokens, {rounds} rounds;")
    print(f"{len(sample)} of them, chosen at random, for naive and for one core")
    print(f"{cores} cores; precision auto means {spec.precision} here")
    print(f"{'way':32} {'texts/s':>8} {'ratio':>6} {'cosine mean':>12} {'min':>9}")
    everything = np.arange(len(sample))
    alone: dict[str, Way] = {"one core: naive, float32": (lambda: naive(full, sample), everything)}
    for precision, encoder in encoders.items():
        alone[f"one core: ours, {precision}"] = (partial(encoder.encode, sample), everything)
    measure(alone, rounds, time.process_time, 1)
    began = time.perf_counter()
    with dask_client("local") as client, in_this_process(cores) as threads:
        for submit in (threads, on_dask(client)):
            in_partitions(submit, spec, sample[:cores])
        ready = time.perf_counter() - began
        together: dict[str, Way] = {
            "all cores: naive, float32": (lambda: naive(full, sample), everything),
            f"all cores: threads, {spec.precision}": (lambda: in_partitions(threads, spec, texts), rows),
            f"all cores: Dask, {spec.precision}": (lambda: in_partitions(on_dask(client), spec, texts), rows),
        }
        measure(together, rounds, time.perf_counter, cores)
    print(f"not in the rates: {ready:.1f} s until the workers had started and one of them had loaded the encoder")


def measure(ways: dict[str, Way], rounds: int, clock: Callable[[], float], threads: int) -> None:
    """Run the ways in turn and print a line for each; the first is what the others are compared with."""
    torch.set_num_threads(threads)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, Vectors] = {}
    for _ in range(rounds):
        for name, (way, rows) in ways.items():
            began = clock()
            made = way()
            rates[name].append(len(made) / (clock() - began))
            vectors[name] = made[rows]
    first = next(iter(ways))
    base = statistics.median(rates[first])
    for name, seen in rates.items():
        cosine, rate = cosines(vectors[name], vectors[first]), statistics.median(seen)
        print(f"{name:32} {rate:8.0f} {rate / base:6.2f} {cosine.mean():12.6f} {cosine.min():9.6f}", flush=True)


if __name__ == "__main__":
    main()
