"""Baselines beside a published policy, fitted on the published dataset that the policy was trained on."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from models.baselines.registry import BASELINES
from models.baselines.training import TrainingData
from models.histories import Scorer
from serving.catalogue import Catalogue
from serving.errors import UnknownMethodError
from storage.artifacts.foreign import fetch
from storage.artifacts.manifest import Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.publishing import resolve
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset
from storage.errors import ArtifactError, UnknownAliasError

REPORT = "report@latest"  # whose facts have the tuned hyper-parameters


def fit_published_baselines(
    store: ObjectStore, own: ArtifactStore, policy: Manifest, catalogue: Catalogue, names: Collection[str]
) -> dict[str, Scorer]:
    """Pull a policy's dataset and fit baselines on its training events; by name.

    Hyper-parameters are those that the report on this dataset chose on validation users; without such a report the defaults.

    Args:
        store: where the policy and its dataset are published.
        own: the artifacts of this work directory.
        policy: the manifest of the policy.
        catalogue: its items.
        names: of the baselines.

    Raises:
        UnknownMethodError: there is no such baseline.
        ArtifactError: the dataset is not published, or has other items than the policy.
    """
    if unknown := sorted(set(names) - set(BASELINES)):
        raise UnknownMethodError(f"baselines: expected names among {', '.join(BASELINES)}; found {', '.join(unknown)}.")
    digest = policy.recipe.inputs.get("dataset", "")
    data = TransitionDataset.open(own.open(fetch(store, f"dataset@{digest}", own)) / "transitions.h5")
    if not np.array_equal(data.movie_ids, catalogue.ids):
        raise ArtifactError(
            f"dataset/{digest}: expected the items of policy/{policy.digest}; found others. Publish the policy with its dataset."
        )
    tuned = tuned_configs(store, digest)
    training = TrainingData(*data.training_events(), data.embedding, tuned.get("max_items", TrainingData.max_items))
    configs = tuned.get("configs", {})
    return {
        name: BASELINES[name].fit(BASELINES[name].config.model_validate(configs.get(name, {})), training)
        for name in names
    }


def tuned_configs(store: ObjectStore, dataset: str) -> Mapping[str, Any]:
    """The baselines' tuned hyper-parameters from the newest report, if that is one on the dataset; otherwise empty."""
    try:
        report = resolve(store, REPORT)
    except UnknownAliasError:
        return {}
    found = report.facts.get("baselines")
    return found if report.recipe.inputs.get("dataset") == dataset and isinstance(found, dict) else {}
