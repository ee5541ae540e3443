"""The item index of a policy, an artifact of its own."""

import logging

import torch
from prefect import task

from evaluation.protocols.cases import at_most
from models.errors import PolicyError
from models.histories import Histories
from models.wolpertinger import best_unseen
from serving.index.of_policy import query_vectors, searched_vectors
from serving.index.params import IndexParams
from serving.index.stored import build_index, overlap, recall_against_exact
from serving.stored_policies import load_policy
from storage.artifacts.aliases import move_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.store import ArtifactRef, Draft
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.ingest import copy_file
from tasks.publish import publish_artifact

logger = logging.getLogger("marquee.publish")
QUERIES = 1000
DEPTH = 10


@artifact_task("item-index")
def make_item_index(draft: Draft, dataset: ArtifactRef, policy: ArtifactRef, params: IndexParams) -> None:
    """Build the index of a policy's items, and measure on validation users what it finds.

    Recall is of the exact ten nearest; overlap is with the ten that the policy recommends, whose score may have terms that
    the index lacks.
    """
    data = open_dataset(dataset)
    ranks = load_policy(artifact_store().open(policy), data.embedding)
    vectors, measure = searched_vectors(ranks)
    index = build_index(draft.path, vectors.numpy(), measure, params)
    starts = at_most(data.starts("validation"), QUERIES, 0)
    asked, shared = [], []
    for part in starts.split(256):
        histories = Histories(*data.histories(part))
        asked.append(query_vectors(ranks, histories))
        best = best_unseen(ranks.scores(histories), histories.items, DEPTH).items
        shared.append(overlap(best, index.search(asked[-1], DEPTH, histories.items).items))
    vectors_asked = torch.cat(asked)
    found, common = recall_against_exact(index, vectors_asked, DEPTH), float(torch.cat(shared).mean())
    logger.info(
        "Item index of policy/%s: recall@%d of the exact search %.3f, overlap@%d with the policy's own %.3f",
        *(policy.digest, DEPTH, found, DEPTH, common),
    )
    copy_file(policy, "items.parquet", draft.path)
    draft.rows = len(vectors)
    draft.facts = {
        "measure": measure,
        "dim": vectors.shape[1],
        f"recall@{DEPTH}": round(found, 6),
        f"overlap@{DEPTH}": round(common, 6),
        "queries": len(vectors_asked),
    }


def publish_index(dataset: ArtifactRef, policy: ArtifactRef, params: IndexParams, to: str) -> None:
    """Build and upload the index of a policy, and let item-index@latest name it; a policy that has no index is skipped."""
    try:
        index = make_item_index(dataset, policy, params)
    except PolicyError as error:
        logger.warning("No item index of policy/%s is published. %s", policy.digest, error)
        return
    publish_artifact(index, to)
    name_index(index, policy, to)


@task(name="name-index")
def name_index(index: ArtifactRef, policy: ArtifactRef, to: str) -> None:
    """Move the alias item-index@latest."""
    recall_found = artifact_store().manifest(index).facts[f"recall@{DEPTH}"]
    move_alias(open_store(to), index, "latest", {"policy": policy.digest, f"recall@{DEPTH}": recall_found})
