"""The files of a policy's artifact."""

import json
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from models.early_warnings import Row
from models.policy import Publishable
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingRewards
from tasks.ingest import read_table


def write_policy(draft: Draft, policy: Publishable, rows: Sequence[Row]) -> None:
    """Write the policy's files: weights as safetensors, config as JSON, metrics as a table."""
    save_file(policy.tensors(), draft.path / "policy.safetensors")
    (draft.path / "config.json").write_text(json.dumps(policy.config(), indent=2, sort_keys=True))
    table = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), draft.path / "metrics.parquet")


def write_catalogue(draft: Draft, dataset: ArtifactRef, data: TransitionDataset) -> None:
    """Write what a recommender needs beside the weights: the items with their training events, and how ratings are read."""
    events = torch.bincount(data.training_events()[1].cpu(), minlength=data.items)
    items = read_table(dataset, "items.parquet").append_column("training_events", pa.array(events.numpy()))
    pq.write_table(items, draft.path / "items.parquet")
    (draft.path / "ratings.json").write_text(RatingRewards(scale=data.scale, reward=data.reward).model_dump_json())
