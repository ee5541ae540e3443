"""Training that begins from an earlier policy: which one, and how its weights reach the learner."""

import logging
from typing import Literal

import torch

from models.errors import PolicyError
from models.learners.config import LearnerConfig
from models.policy import Publishable
from models.warm_start import begin_from
from serving.stored_policies import load_policy
from storage.artifacts.store import ArtifactRef
from storage.dataset.item_index import ItemIndex
from storage.dataset.item_table import read_item_embeddings, read_item_ids
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError
from tasks.caching import artifact_store
from tasks.learning import Learning

logger = logging.getLogger("marquee.train")
Start = Literal["cold", "warm"]


def earlier_policy(dataset: ArtifactRef, config: LearnerConfig, seed: int) -> ArtifactRef | None:
    """The newest policy of the same learner and hyper-parameters that was trained here on the dataset which this one extends.

    One with the same seed is preferred, so that the members of an ensemble stay different. None if there is none, with the
    reason in the log. Policies from elsewhere do not count.
    """
    store, wanted = artifact_store(), config.model_dump(mode="json")
    base = store.manifest(dataset).recipe.inputs.get("base")
    why = f"dataset/{dataset.digest} extends no other dataset"
    if base is not None:
        why = f"no policy with these hyper-parameters was trained here on dataset/{base}"
        made = store.manifests("policy")  # the newest first, also after this sort
        made.sort(key=lambda manifest: manifest.recipe.parameters.get("seed") != seed)
        for manifest in made:
            recipe = manifest.recipe
            if recipe.inputs.get("dataset") != base or recipe.parameters.get("config") != wanted:
                continue
            try:
                if (found := store.find("policy", manifest.digest)) is not None:
                    stored(found)
                    logger.info("%s starts from the weights of policy/%s.", config.name, found.digest)
                    return found
                why = f"policy/{manifest.digest} is damaged"
            except (PolicyError, DatasetError) as error:
                why = str(error)
    logger.info("%s starts from new weights: %s.", config.name, why.rstrip("."))
    return None


def start_from(earlier: ArtifactRef, learning: Learning, data: TransitionDataset) -> None:
    """Give a learner on a dataset the weights of a policy that was trained on the dataset which it extends.

    Raises:
        PolicyError: the policy does not fit the learner.
    """
    ids = read_item_ids(artifact_store().open(earlier) / "items.parquet")
    places = torch.from_numpy(ItemIndex(data.movie_ids).of(ids)).long()
    begin_from(learning.learner, learning.policy, stored(earlier), places)


def stored(policy: ArtifactRef) -> Publishable:
    """The policy of an artifact.

    Raises:
        PolicyError, DatasetError: it is not valid.
    """
    folder = artifact_store().open(policy)
    return load_policy(folder, torch.from_numpy(read_item_embeddings(folder / "items.parquet")[1]))
