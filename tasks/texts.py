"""Encode every movie's text with a BERT-family model, and take the vectors of known texts from an earlier artifact."""

import hashlib
import json
import logging
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from models.encoders.text import Precision, resolve_precision
from models.encoders.text_encoders import ENCODERS, find_encoder
from storage.artifacts.exchange import Exchange, ExchangeError
from storage.artifacts.manifest import Manifest, package_versions
from storage.artifacts.store import ArtifactRef, Draft
from storage.errors import ArtifactError
from storage.machine import usable_cores
from tasks.caching import artifact_store, artifact_task
from tasks.dask_cluster import ClusterParams, workers
from tasks.encode_texts import EncoderSpec, encode_partition, encode_texts, item_texts, unload_encoder
from tasks.fingerprint import code_fingerprint
from tasks.ingest import read_table
from tasks.progress import Progress

logger = logging.getLogger("marquee.texts")


class TextParams(BaseModel):
    """Parameters of the text encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(
        "minilm",
        description=f"Text encoder: {', '.join(ENCODERS)}, a local folder, or a hub model's name. minilm works offline.",
    )
    max_tokens: int = Field(128, ge=8, le=512, description="Most tokens of a text; the rest is cut off.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of the encoder's arithmetic; auto: bfloat16 if the GPU or CPU multiplies it natively, else "
        "float32.",
    )


@artifact_task("texts", schema_version=2, outside=("cluster", "base"))
def encode_movies(
    draft: Draft, movies: ArtifactRef, params: TextParams, weights: str, cluster: ClusterParams, base: str | None
) -> None:
    """Write every movie's text vector, (I, width) float32, to texts.npy, and the hash of its text to texts.parquet.

    Args:
        draft: receives the two files.
        movies: with `movies.parquet`.
        params: the encoder; its `precision` is not `auto`.
        weights: identity of the encoder's weights.
        cluster: where texts are encoded.
        base: digest of a `texts` artifact of the same encoder, whose vectors are copied; None: all texts are encoded.
    """
    table = read_table(movies, "movies.parquet")
    texts = item_texts(table)
    sha256 = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    known, vectors = _vectors_of(base)
    new = [place for place, name in enumerate(sha256) if name not in known]
    if new:
        fresh = _encode([texts[place] for place in new], movies, params, weights, cluster)
        vectors = np.concatenate([vectors, fresh]) if known else fresh
    # The vectors of new texts follow the base's rows.
    row = known | {sha256[place]: len(vectors) - len(new) + at for at, place in enumerate(new)}
    embedding = vectors[[row[name] for name in sha256]]
    np.save(draft.path / "texts.npy", embedding, allow_pickle=False)
    pq.write_table(pa.table({"movie_id": table["movie_id"], "text_sha256": sha256}), draft.path / "texts.parquet")
    draft.rows = len(texts)
    draft.facts = {
        "encoder": params.encoder,
        "precision": params.precision,
        "width": int(embedding.shape[1]),
        "empty": sum(not text for text in texts),
        "kept": len(texts) - len(new),
        "kept_from": base,
    }


def make_texts(
    movies: ArtifactRef, params: TextParams, cluster: ClusterParams, base: ArtifactRef | None = None
) -> ArtifactRef:
    """Make the `texts` artifact of the movies; texts that `base` holds are not encoded again.

    `base` is not in the digest: on one kind of machine the bytes do not depend on it.

    Args:
        movies: with `movies.parquet`.
        params: the encoder; a `precision` of `auto` is resolved here.
        cluster: where texts are encoded, and the exchange that keeps finished partitions until the artifact is complete.
        base: a `texts` artifact of the same encoder; None: the newest one of this work directory.

    Returns:
        The artifact.

    Raises:
        ArtifactError: `base` was made by another encoder, other parameters or other code.
    """
    params = params.model_copy(update={"precision": resolve_precision(params.precision)})
    weights = find_encoder(params.encoder).identity()
    texts = encode_movies(movies, params, weights, cluster, _base(params, weights, base))
    try:
        exchange(movies, params, weights, cluster).remove()
    except ExchangeError as error:  # the artifact is complete without the exchange
        logger.warning("%s", error)
    return texts


def exchange(movies: ArtifactRef, params: TextParams, weights: str, cluster: ClusterParams) -> Exchange:
    """The folder that keeps the finished partitions of one run: below the cluster's exchange, or in this work directory."""
    return Exchange(f"{cluster.exchange_root}/texts-{movies.digest[:16]}-{_identity(params, weights)[:16]}")


def _identity(params: TextParams, weights: str) -> str:
    made_of = [params.model_dump(mode="json"), weights, code_fingerprint(encode_partition)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _encode(
    texts: list[str], movies: ArtifactRef, params: TextParams, weights: str, cluster: ClusterParams
) -> np.ndarray[Any, np.dtype[np.float32]]:
    progress = Progress("encode-texts", f"Texts encoded by {params.encoder}")
    spec = EncoderSpec(params.encoder, params.max_tokens, cast(Precision, params.precision), _identity(params, weights))
    place = exchange(movies, params, weights, cluster)
    try:
        with workers(cluster, usable_cores()) as submit:
            result = encode_texts(texts, spec, submit, place, progress=progress.show)
    finally:
        unload_encoder()
    if result.resumed:
        logger.info("%d texts that were encoded before an interruption are used again", result.resumed)
    return result.vectors


def _base(params: TextParams, weights: str, given: ArtifactRef | None) -> str | None:
    """Digest of the artifact whose vectors are used again: the given one, or the newest that fits; None if none fits."""
    store = artifact_store()
    code, versions = code_fingerprint(encode_movies), package_versions()

    def fits(manifest: Manifest) -> bool:
        made = manifest.recipe
        return (
            (made.schema_version, made.code) == (2, code)
            and made.parameters == {"params": params.model_dump(mode="json"), "weights": weights}
            and all(manifest.versions.get(name) == versions.get(name) for name in ("torch", "transformers"))
        )

    if given is not None:
        if not fits(store.manifest(given)) or store.find("texts", given.digest) is None:
            raise ArtifactError(
                f"texts/{given.digest}: expected vectors by {params.encoder} at {params.max_tokens} tokens and "
                f"{params.precision}, complete and made by this version; found others. Build the dataset again with build-dataset."
            )
        return given.digest
    return next(
        (found.digest for found in store.manifests("texts") if fits(found) and store.find("texts", found.digest)), None
    )


def _vectors_of(base: str | None) -> tuple[dict[str, int], np.ndarray[Any, np.dtype[np.float32]]]:
    """The base's row of each text, by the text's SHA-256, and the base's vectors, (rows, width)."""
    if base is None:
        return {}, np.zeros((0, 0), dtype=np.float32)
    folder = artifact_store().folder("texts", base)
    names = pq.read_table(folder / "texts.parquet")["text_sha256"].to_pylist()
    vectors = np.load(folder / "texts.npy", allow_pickle=False)
    return {name: row for row, name in enumerate(names)}, vectors
