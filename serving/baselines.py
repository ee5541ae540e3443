"""Baselines beside a published policy, fitted on the published dataset that the policy was trained on."""

from collections.abc import Collection
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.baselines.descent import Descent
from models.baselines.registry import BASELINES
from models.baselines.training import TrainingData
from models.histories import Scorer
from serving.catalogue import Catalogue
from serving.errors import UnknownMethodError, invalid_values
from storage.artifacts.foreign import fetch
from storage.artifacts.manifest import Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.publishing import resolve
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset
from storage.errors import ArtifactError, UnknownAliasError

REPORT = "report@latest"  # whose facts have the tuned hyper-parameters
MAX_EPOCHS = 200


class TunedBaselines(BaseModel):
    """What a published report says about its baselines. It comes from elsewhere, so what it may cost here is bounded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_items: int = Field(TrainingData.max_items, ge=10, le=20_000)
    configs: dict[str, dict[str, Any]] = Field({}, description="By baseline: its hyper-parameters.")


def fit_published_baselines(
    store: ObjectStore, own: ArtifactStore, policy: Manifest, catalogue: Catalogue, names: Collection[str]
) -> dict[str, Scorer]:
    """Pull a policy's dataset and fit baselines on its training events; by name.

    Hyper-parameters are those that the report on this dataset chose on validation users; without such a report the defaults.

    Args:
        store: where the policy and its dataset are published.
        own: the artifacts of this work directory.
        policy: the manifest of the policy.
        catalogue: its items, and perhaps new ones, which no event has.
        names: of the baselines.

    Raises:
        UnknownMethodError: there is no such baseline.
        ArtifactError: the dataset is not published, or has other items than the policy; or the report's hyper-parameters are
            not valid.
    """
    if unknown := sorted(set(names) - set(BASELINES)):
        raise UnknownMethodError(
            f"baselines: expected names among {', '.join(BASELINES)}; found {', '.join(unknown)}. Name some of these."
        )
    digest = policy.recipe.inputs.get("dataset", "")
    data = TransitionDataset.open(own.open(fetch(store, f"dataset@{digest}", own)) / "transitions.h5")
    places = torch.from_numpy(catalogue.index.of(data.movie_ids)).long()
    if bool((places < 0).any()):
        raise ArtifactError(
            f"dataset/{digest}: expected the items of policy/{policy.digest}; found others. Publish the policy with its dataset."
        )
    tuned = tuned_baselines(store, digest)
    configs = {name: baseline_config(name, tuned) for name in names}
    users, items, rewards, times = data.training_events()
    training = TrainingData(users, places[items], rewards, times, catalogue.embedding, tuned.max_items)
    return {name: BASELINES[name].fit(config, training) for name, config in configs.items()}


def tuned_baselines(store: ObjectStore, dataset: str) -> TunedBaselines:
    """The baselines' tuned hyper-parameters from the newest report, if that is one on the dataset; otherwise the defaults.

    Raises:
        ArtifactError: the report's are not valid.
    """
    try:
        report = resolve(store, REPORT)
    except UnknownAliasError:
        return TunedBaselines()
    if report.recipe.inputs.get("dataset") != dataset:
        return TunedBaselines()
    try:
        return TunedBaselines.model_validate(report.facts.get("baselines", {}))
    except ValidationError as error:
        raise not_valid("baselines", invalid_values(error.errors())) from error


def baseline_config(name: str, tuned: TunedBaselines) -> Any:
    """The hyper-parameters of a baseline.

    Raises:
        ArtifactError: they are not valid, or ask for more than `MAX_EPOCHS` epochs.
    """
    try:
        config = BASELINES[name].config.model_validate(tuned.configs.get(name, {}))
    except ValidationError as error:
        raise not_valid(f"baselines.configs.{name}", invalid_values(error.errors())) from error
    if isinstance(config, Descent) and config.epochs > MAX_EPOCHS:
        raise not_valid(f"baselines.configs.{name}", f"{config.epochs} epochs; at most {MAX_EPOCHS} are trained here")
    return config


def not_valid(what: str, found: str) -> ArtifactError:
    """The error of a report's hyper-parameters."""
    return ArtifactError(
        f"{REPORT}: expected valid facts.{what}; found {found[:300]}. Publish a report of this version."
    )
