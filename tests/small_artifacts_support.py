"""Small artifacts of this work directory, made without Prefect."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rankings_support import small_dataset
from torch import Tensor

from models.learners.config import LearnerConfig
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef, ArtifactStore, Draft
from tasks.caching import artifact_store, references
from tasks.datasets import open_dataset
from tasks.ingest import copy_file
from tasks.learning import make_learning
from tasks.policy_files import write_policy

Strings = Mapping[str, str]


def recipe_of(kind: str, parameters: Mapping[str, Any] | None = None, inputs: Strings | None = None) -> Recipe:
    return Recipe(kind=kind, schema_version=1, parameters=dict(parameters or {}), inputs=dict(inputs or {}), code="")


def making(
    kind: str, parameters: Mapping[str, Any] | None = None, inputs: Strings | None = None
) -> AbstractContextManager[Draft]:
    """The draft of an artifact, which is committed after the block."""
    return artifact_store().create(recipe_of(kind, parameters, inputs))


def filled(kind: str, task: Callable[..., object], *given: Any) -> ArtifactRef:
    """The artifact that the function of an `artifact_task` makes."""
    names = list(inspect.signature(task).parameters)[1:]
    inputs = references(dict(zip(names, given, strict=False)))
    recipe = recipe_of(kind, inputs={name: ref.name_as_input for name, ref in inputs.items()})
    with artifact_store().create(recipe, list(inputs.values())) as draft:
        inspect.unwrap(task)(draft, *given)
    return draft.committed


def embedding_column(vectors: Tensor) -> pa.FixedSizeListArray:
    """The column `embedding` of an items table, of vectors (I, D)."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.numpy().reshape(-1)), vectors.shape[1])


def made_dataset(inputs: Strings | None = None, **sizes: int) -> ArtifactRef:
    """The dataset of `small_dataset` with its items."""
    with making("dataset", sizes, inputs) as draft:
        data = small_dataset(draft.path / "transitions.h5", **sizes)  # type: ignore[arg-type]
        columns = {"movie_id": data.movie_ids, "embedding": embedding_column(data.embedding)}
        pq.write_table(pa.table(columns), draft.path / "items.parquet")
    return draft.committed


def untrained_policy(
    dataset: ArtifactRef, config: LearnerConfig, seed: int = 1, store: ArtifactStore | None = None
) -> ArtifactRef:
    """The policy of a learner before its first update; its weights depend on the seed."""
    policy = make_learning(config, open_dataset(dataset), 16, "cosine", "cpu", seed).policy
    parameters = {"config": config.model_dump(mode="json"), "seed": seed}
    with (store or artifact_store()).create(recipe_of("policy", parameters, {"dataset": dataset.digest})) as draft:
        write_policy(draft, policy, [])
        copy_file(dataset, "items.parquet", draft.path)
        draft.facts = {"learner": config.name}
    return draft.committed
