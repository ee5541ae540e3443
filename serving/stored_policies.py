"""Load a stored policy, which may come from somebody else, as a scorer of a dataset's items."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.errors import PolicyError
from models.histories import Scorer
from models.policy import Policy, Publishable
from models.policy_facts import PolicyFacts
from models.policy_formats import policy_from
from models.stored_policy import need_finite
from models.translated import Translated
from models.windows import HistoryEncoder
from serving.errors import invalid_values
from storage.artifacts.manifest import Manifest
from storage.checked_tables import read_columns
from storage.dataset.item_index import ItemIndex
from storage.dataset.item_table import read_item_embeddings

if TYPE_CHECKING:  # a server needs neither pandas nor h5py, which take 40 and 12 MiB
    import pandas as pd

    from storage.dataset.reader import TransitionDataset

MAX_CONFIG_BYTES = 1 << 20


def facts_of(manifest: Manifest) -> PolicyFacts:
    """The facts about a policy.

    Raises:
        PolicyError: a fact is missing or of another type.
    """
    try:
        return PolicyFacts.model_validate(manifest.recipe.parameters | manifest.facts)
    except ValidationError as error:
        raise PolicyError(
            f"policy/{manifest.digest}: expected the facts of a training in its manifest; found "
            f"{invalid_values(error.errors())}. Train it again."
        ) from error


def load_policy(folder: Path, embedding: Tensor) -> Publishable:
    """The policy in an artifact's folder, on the items (I, D) it was trained with.

    Raises:
        PolicyError: a file is missing or damaged, or the policy is of another format or not valid.
    """
    config = config_of(folder)
    tensors = mapped_tensors(folder)
    try:
        need_finite(mapped_tensors(folder))  # in a mapping of its own, so that what only the check reads leaves memory
        return policy_from(config, tensors, embedding)
    except PolicyError as error:
        raise PolicyError(f"{folder}: {error}") from error


def mapped_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of the policy in an artifact's folder: a page of the file comes into memory when it is used.

    Raises:
        PolicyError: the file is missing or damaged.
    """
    path = folder / "policy.safetensors"
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise PolicyError(
            f"{path}: expected the weights of a policy; found {error}. Pull it again or train it again."
        ) from error


def config_of(folder: Path) -> dict[str, Any]:
    """The config of the policy in an artifact's folder; `format` is a string, and nothing else has been checked.

    Raises:
        PolicyError: the file is missing, too large, or no JSON object with a format.
    """
    path = folder / "config.json"
    try:
        size = path.stat().st_size
        config = json.loads(path.read_text(encoding="utf-8")) if size <= MAX_CONFIG_BYTES else f"{size:,} bytes"
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path}: expected the config of a policy; found {error}. Pull it again.") from error
    if not isinstance(config, dict) or not isinstance(config.get("format"), str):
        found = str(config)[:80]
        raise PolicyError(f"{path}: expected the config of a policy, with its format; found {found}. Pull it again.")
    return config


def load_on(folder: Path, dataset: "TransitionDataset") -> Scorer:
    """The policy in an artifact's folder as a scorer of a dataset's items, also if it was trained on another dataset.

    Raises:
        PolicyError: see `load_policy`.
        DatasetError: its items table is not valid.
        LearnerError: it knows none of the items.
    """
    ids, vectors = read_item_embeddings(folder / "items.parquet")
    embedding = torch.from_numpy(vectors)
    policy = load_policy(folder, embedding)
    if np.array_equal(ids, dataset.movie_ids) and torch.equal(embedding, dataset.embedding):
        return policy
    own = ItemIndex(ids).of(dataset.movie_ids).astype(np.int64)
    return Translated(policy, torch.from_numpy(own), dataset.frame)


def stored_encoder(folder: Path) -> HistoryEncoder:
    """The state encoder of the actor of the policy in an artifact's folder.

    Raises:
        PolicyError: see `load_policy`; or the policy has no state encoder.
        DatasetError: its items table is not valid.
    """
    policy = load_policy(folder, torch.from_numpy(read_item_embeddings(folder / "items.parquet")[1]))
    encoder = policy.actor.state_encoder if isinstance(policy, Policy) else None
    if not isinstance(encoder, HistoryEncoder):
        raise PolicyError(
            f"{folder}: expected an actor with a state encoder; found {policy.config()['format']} without one. "
            "Train it with state.kind gru or attention, such as --set train.td3_bc.state.kind=gru."
        )
    return encoder


def curves_of(folder: Path) -> "pd.DataFrame":
    """The metrics logged in a policy's training: columns step, split, metric, value.

    Raises:
        DatasetError: the table is not valid.
    """
    columns = {"step": pa.int64(), "split": pa.string(), "metric": pa.string(), "value": pa.float64()}
    table: pd.DataFrame = read_columns(folder / "metrics.parquet", columns).to_pandas()
    return table
