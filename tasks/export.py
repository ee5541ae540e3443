"""Make the static transition dataset from events and items."""

import json
import logging

from pydantic import BaseModel, ConfigDict, Field

from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import read_histories
from storage.dataset.format import MAX_FRAME
from storage.dataset.item_table import FEATURES
from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.splits import SplitParams
from storage.dataset.writer import write_transitions
from storage.tables import embedding_matrix
from tasks.caching import artifact_store, artifact_task
from tasks.ingest import copy_file, read_table
from tasks.steps import in_words

logger = logging.getLogger("marquee.export")
HALF_STARS = RatingScale()  # MovieLens


class ExportParams(BaseModel):
    """Parameters of the transitions and splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int = Field(10, ge=1, le=MAX_FRAME, description="F: number of events in an observation.")
    reward: RewardMap | None = Field(
        None,
        description="Reward of a rating, scale * rating + offset. None maps the lowest rating to -4 and the highest to 5.",
    )
    splits: SplitParams = Field(SplitParams(), description="Which users and which time, or which events, are held out.")


@artifact_task("dataset")
def make_dataset(
    draft: Draft,
    events: ArtifactRef,
    items: ArtifactRef,
    splits: ArtifactRef,
    frame: int,
    scale: RatingScale = HALF_STARS,
    reward: RewardMap | None = None,
) -> None:
    """Write transitions.h5 in the compact layout, and copies of the items that it refers to and of their fitted features.

    Args:
        draft: receives the files.
        events: with `events.parquet`.
        items: with `items.parquet` and `features.safetensors`.
        splits: with `users.parquet` and `splits.json`.
        frame: F, number of events in an observation.
        scale: the possible ratings.
        reward: the reward map; None: see `ExportParams`.
    """
    catalogue = read_table(items, "items.parquet")
    users = read_table(splits, "users.parquet")
    held_out = json.loads((artifact_store().open(splits) / "splits.json").read_text())
    movie_ids = catalogue["movie_id"].to_numpy()
    draft.facts = write_transitions(
        draft.path / "transitions.h5",
        read_histories(artifact_store().open(events) / "events.parquet", movie_ids, scale),
        user_ids=users["user_id"].to_numpy(),
        split=users["split"].to_numpy(),
        movie_ids=movie_ids,
        embeddings=embedding_matrix(catalogue),
        scale=scale,
        reward=reward,
        frame=frame,
        time_cut=held_out["time_cut"],
        mode=held_out["mode"],
        provenance={"events": events.digest, "items": items.digest, "splits": splits.digest},
    )
    for name in ("items.parquet", FEATURES):
        copy_file(items, name, draft.path)
    draft.rows = draft.facts["transitions"]
    logger.info("dataset: %s", in_words(draft.facts))
