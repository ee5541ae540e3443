"""A small catalogue, policies on it, and publishing them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.fitted_terms import TrainingCatalogue
from models.networks import Actor, Critics
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import RankingPolicyConfig
from models.term_weights import TermWeights
from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.dataset.scale import RatingRewards, RatingScale, RewardMap
from storage.tables import MOVIES_SCHEMA, items_table

ITEMS, DIM, FRAME = 40, 4, 3
NAMED: dict[int, tuple[str, int | None, list[str]]] = {
    0: ("The Matrix", 1999, ["Action", "Sci-Fi"]),
    1: ("The Matrix Reloaded", 2003, ["Action", "Sci-Fi"]),
    2: ("Heat", 1995, ["Crime"]),
    3: ("Amélie", 2001, ["Romance"]),
    4: ("Solaris", 1972, ["Sci-Fi"]),
    5: ("Solaris", 2002, ["Sci-Fi"]),
    6: ("Unknown year", None, []),
}
SCALE = RatingScale()


def embedding(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(ITEMS, DIM)).astype(np.float32))


def item_rows(vectors: Tensor, ids: Sequence[int]) -> pa.Table:
    """Rows as a policy's items.parquet has them; item i has 100 - i training events."""
    rows = []
    for place, movie_id in enumerate(ids):
        title, year, genres = NAMED.get(place, (f"Film {place}", 1980 + place, ["Drama"]))
        rows.append(
            {"movie_id": movie_id, "external_id": str(movie_id), "title": title, "year": year, "genres": genres,
             "has_metadata": True}
        )  # fmt: skip
    movies = pa.Table.from_pylist(rows, schema=MOVIES_SCHEMA)
    table = items_table(movies, vectors.numpy(), np.ones(len(rows), bool))
    return table.append_column("training_events", pa.array(100 - np.arange(len(rows))))


def nearest(vectors: Tensor, critics: bool = True) -> Policy:
    size = FRAME * (DIM + 1)
    return Policy(Actor(size, DIM, 8, 1.0), vectors, "cosine", *((Critics(2, size, DIM, 8), 5) if critics else ()))


def ranking(vectors: Tensor) -> RankingPolicy:
    config, counts, rows = (
        RankingPolicyConfig(width=4, length=5, critic_width=4),
        torch.arange(ITEMS),
        torch.tensor([1, 4, 7]),
    )
    known = TrainingCatalogue(vectors, counts, counts // 2, rows, torch.randn(3, 3), torch.randn(3, 3), 5.0)
    policy = RankingPolicy(config, known).eval()
    policy.weights["next"] = TermWeights(actor=1.0, popularity=1.0, transitions=1.0, content=4.0, critic=0.1)
    policy.weights["liked"] = TermWeights(associations=1.0, taste=2.0)
    return policy


def make_policy(
    home: Path,
    kind: str = "nearest",
    seed: int = 0,
    ids: Sequence[int] | None = None,
    spoil: Any = lambda folder: None,
    **facts: Any,
) -> ArtifactRef:
    """A policy artifact in a work directory."""
    torch.manual_seed(seed)
    vectors = embedding()
    policy: Publishable = ranking(vectors) if kind == "ranking" else nearest(vectors, critics=kind == "nearest")
    recipe = Recipe(kind="policy", schema_version=1, parameters={"seed": seed, "kind": kind}, inputs={}, code="")
    with ArtifactStore(home / "artifacts").create(recipe) as draft:
        save_file(policy.tensors(), draft.path / "policy.safetensors")
        (draft.path / "config.json").write_text(json.dumps(policy.config()))
        pq.write_table(item_rows(vectors, ids or range(10, 10 + ITEMS)), draft.path / "items.parquet")
        rewards = RatingRewards(scale=SCALE, reward=RewardMap.default(SCALE))
        (draft.path / "ratings.json").write_text(rewards.model_dump_json())
        spoil(draft.path)
        draft.facts = {"learner": "td3", "validation_ndcg@10": 0.1} | facts
    return draft.committed


def publish_policy(home: Path, ref: ArtifactRef, to: str, alias: str = "champion") -> None:
    store = open_store(to)
    publish(store, ArtifactStore(home / "artifacts"), ref)
    move_alias(store, ref, alias, {})
