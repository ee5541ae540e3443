"""Encode a dataset's observations with a trained policy's state encoder, so that training need not run the encoder."""

import logging

import numpy as np
import torch
from torch import Tensor

from models.errors import PolicyError
from models.histories import Histories
from models.windows import latest
from serving.stored_policies import stored_encoder
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.encoded import write_encoded
from storage.dataset.format import Split
from storage.dataset.item_table import read_item_embeddings
from storage.errors import ArtifactError
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.ingest import copy_file
from tasks.progress import Progress
from tasks.train import Device, chosen_device

logger = logging.getLogger("marquee.states")
SPLITS: tuple[Split, ...] = ("train", "validation")  # training reads no others


@artifact_task("states", outside=("device",))
def encode_states(draft: Draft, dataset: ArtifactRef, policy: ArtifactRef, device: Device) -> None:
    """Write the states of all training and validation transitions, and a copy of the policy whose encoder made them.

    Raises:
        PolicyError: the policy has no state encoder, or ranks other items than the dataset's.
    """
    place = chosen_device(device)
    data = open_dataset(dataset).to(place)
    folder = artifact_store().open(policy)
    ids, vectors = read_item_embeddings(folder / "items.parquet")
    if not (np.array_equal(ids, data.movie_ids) and np.array_equal(vectors, data.embedding.cpu().numpy())):
        raise PolicyError(
            f"policy/{policy.digest}: expected one that was trained on the items of dataset/{dataset.digest}; found others. "
            "Train a policy with a state encoder on this dataset first."
        )
    encoder = stored_encoder(folder).to(place)
    length = encoder.config.length
    progress = Progress("encode-states", "Encoding states")

    @torch.no_grad()
    def encode(items: Tensor, rewards: Tensor) -> Tensor:
        states: Tensor = encoder(latest(Histories(items, rewards), length, data.embedding))
        return states

    draft.facts = write_encoded(
        draft.path / "transitions.h5",
        data,
        encode,
        encoder.config.width,
        length,
        SPLITS,
        {"dataset": dataset.digest, "policy": policy.digest},
        progress.show,
    )
    for name in ("policy.safetensors", "config.json", "items.parquet"):
        copy_file(policy, name, draft.path)
    draft.rows = draft.facts["rows"]
    logger.info("states: %s transitions of %d numbers", f"{draft.rows:,}", encoder.config.width)


def states_of(dataset: ArtifactRef, spec: str) -> ArtifactRef:
    """The encoded states with a digest, its beginning, or `latest`.

    Raises:
        ArtifactError: there are none, or they were made from another dataset.
    """
    store = artifact_store()
    found = store.select("states", spec)
    made_from = store.manifest(found).recipe.inputs.get("dataset")
    if made_from != dataset.name_as_input:
        raise ArtifactError(
            f"states/{found.digest}: expected states of dataset/{dataset.digest}; found those of dataset/{made_from}. "
            "Run encode-states on this dataset."
        )
    return found
