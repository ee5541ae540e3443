"""Make the static transition dataset from events and items."""

import json
import logging

from pydantic import BaseModel, ConfigDict, Field

from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import read_histories
from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.splits import SplitParams
from storage.dataset.writer import write_transitions
from storage.tables import embedding_matrix
from tasks.caching import artifact_store, artifact_task
from tasks.ingest import copy_file, read_table

logger = logging.getLogger("marquee.export")
HALF_STARS = RatingScale()  # MovieLens


class ExportParams(BaseModel):
    """How histories become transitions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int = Field(10, ge=1, le=200, description="F: events in one observation.")
    reward: RewardMap | None = Field(
        None,
        description="Reward of a rating, scale * rating + offset; none: from -4 at the lowest rating to 5 at the highest.",
    )
    splits: SplitParams = Field(SplitParams(), description="Which users and which time are held out.")


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
    """Write transitions.h5 (compact layout) beside the items it refers to."""
    catalogue = read_table(items, "items.parquet")
    users = read_table(splits, "users.parquet")
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
        time_cut=json.loads((artifact_store().open(splits) / "splits.json").read_text())["time_cut"],
        provenance={"events": events.digest, "items": items.digest, "splits": splits.digest},
    )
    copy_file(items, "items.parquet", draft.path)
    draft.rows = draft.facts["transitions"]
    logger.info("dataset: %s", json.dumps(draft.facts))
