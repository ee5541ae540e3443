"""Every movie's text as a vector of a BERT-family model, in partitions on Dask workers."""

import logging

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from storage.artifacts import ArtifactRef, Draft
from tasks.caching import artifact_task
from tasks.dask_cluster import ClusterParams, dask_client
from tasks.encode_texts import encode_texts, item_texts
from tasks.ingest import read_table
from tasks.progress import Progress

logger = logging.getLogger("marquee.texts")


class TextParams(BaseModel):
    """How texts become vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field("minilm", description="Text encoder: minilm (offline), a local folder, or a hub model's name.")
    max_tokens: int = Field(128, ge=8, le=512, description="Tokens of a movie's text that are read.")


@artifact_task("texts", modules=("models.encoders.text", "tasks.encode_texts"), outside=("cluster",))
def make_texts(draft: Draft, movies: ArtifactRef, params: TextParams, cluster: ClusterParams) -> None:
    """Encode every movie's text."""
    texts = item_texts(read_table(movies, "movies.parquet"))
    progress = Progress("encode-texts", f"Texts encoded by {params.encoder}")

    def show(done: int, total: int) -> None:
        progress.show(done, total)
        logger.info("encoded %d of %d texts", done, total)

    with dask_client(cluster.scheduler, cluster.workers) as client:
        embedding = encode_texts(texts, params.encoder, params.max_tokens, client, progress=show)
    np.save(draft.path / "texts.npy", embedding, allow_pickle=False)
    draft.rows = len(texts)
    draft.facts = {
        "encoder": params.encoder,
        "width": int(embedding.shape[1]),
        "empty": sum(not text for text in texts),
    }
