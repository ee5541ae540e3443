"""Trained policies by digest, learner or published name."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from prefect import task

from models.errors import PolicyError
from serving.stored_policies import curves_of, facts_of, load_policy
from storage.artifacts.aliases import present_alias
from storage.artifacts.foreign import fetch, take_in
from storage.artifacts.object_stores import open_store
from storage.artifacts.store import ArtifactRef
from storage.dataset.item_table import read_item_embeddings, read_item_ids
from storage.errors import ArtifactDamagedError, ArtifactError, DatasetError
from tasks.caching import artifact_store

CHAMPION = "policy@champion"
logger = logging.getLogger("marquee.policies")


def policies_on(dataset: ArtifactRef, digests: list[str] | None = None) -> dict[str, ArtifactRef]:
    """Policies of this work directory trained on a dataset, by learner: the given ones, or the newest of each learner.

    Raises:
        ArtifactError: there is none, or a given one was trained on another dataset.
    """
    store = artifact_store()
    found: dict[str, ArtifactRef] = {}
    for manifest in reversed(store.manifests("policy")):
        wanted = digests is None or any(manifest.digest.startswith(digest) for digest in digests)
        if wanted and manifest.recipe.inputs.get("dataset") == dataset.name_as_input:
            found[facts_of(manifest).learner] = store.ref(manifest)
    if not found or len(found) < len(digests or ()):
        raise ArtifactError(
            f"{store.root}: expected policies {'of any learner' if digests is None else digests} trained on dataset {dataset.digest}; "
            f"found {[ref.digest for ref in found.values()]}. Run train-policy on this dataset first."
        )
    return found


@task(name="find-policies")
def policies_named(specs: list[str], published: str) -> dict[str, ArtifactRef]:
    """Find policies; returns them by learner, or by learner and digest if two have the same learner.

    Args:
        specs: for each policy, `policy@<alias or digest>` in `published`, the folder of a pulled policy, or the digest, its
            beginning, or `latest`, of one in the work directory.
        published: s3://bucket/prefix, or a folder.

    Raises:
        ArtifactError: a policy is not found, or the artifact is no policy.
    """
    found = {ref.sha256: ref for ref in (policy_named(spec, published) for spec in specs)}
    learners = {content: facts_of(artifact_store().manifest(ref)).learner for content, ref in found.items()}
    often = Counter(learners.values())
    names = {
        content: learners[content] if often[learners[content]] == 1 else f"{learners[content]} {ref.digest[:8]}"
        for content, ref in found.items()
    }
    often = Counter(names.values())
    return {
        name if often[name] == 1 else f"{name}, content {content[:8]}": found[content]
        for content, name in names.items()
    }


def policy_named(spec: str, published: str) -> ArtifactRef:
    """Bring one policy into the work directory; see `policies_named`."""
    store = artifact_store()
    if "@" in spec:
        kind, _, _ = spec.partition("@")
        if kind != "policy":
            raise ArtifactError(
                f"{spec}: expected policy@<alias or digest>; found one of kind {kind!r}. Name a policy."
            )
        return fetch(open_store(published), spec, store)
    if Path(spec).is_dir():
        return take_in(Path(spec), "policy", store)
    return store.select("policy", spec)


def why_not_comparable(policy: ArtifactRef, dataset: ArtifactRef) -> str | None:
    """Why a policy cannot rank a dataset's items: it is not valid, or it knows none of them; None if it can."""
    folder = artifact_store().open(policy)
    try:
        facts_of(artifact_store().manifest(policy))
        known, embedding = read_item_embeddings(folder / "items.parquet")
        load_policy(folder, torch.from_numpy(embedding))
        curves_of(folder)
    except (PolicyError, DatasetError) as error:
        return str(error)
    if not np.isin(known, read_item_ids(artifact_store().open(dataset) / "items.parquet")).any():
        return f"policy/{policy.digest} knows none of the items of dataset/{dataset.digest}."
    return None


@task(name="find-champion")
def find_champion(published: str, dataset: ArtifactRef, must_be: bool = False) -> ArtifactRef | None:
    """Bring the champion of `published` into the work directory; returns None if there is none that ranks the dataset's items.

    Args:
        published: s3://bucket/prefix, or a folder.
        dataset: whose items it has to rank.
        must_be: whether a missing champion is an error.

    Raises:
        UnknownAliasError: `must_be` is set and there is no champion.
        ArtifactDamagedError: `must_be` is set and the champion is damaged.
    """
    store = open_store(published)
    if not must_be and present_alias(store, "policy", "champion") is None:
        logger.info("%s: no %s yet", store.uri, CHAMPION)
        return None
    try:
        champion = fetch(store, CHAMPION, artifact_store())
    except ArtifactDamagedError as error:
        if must_be:
            raise
        logger.warning("%s is damaged, so it is not evaluated: %s", CHAMPION, error)
        return None
    if not must_be and (reason := why_not_comparable(champion, dataset)) is not None:
        logger.warning("%s is not evaluated: %s", CHAMPION, reason)
        return None
    return champion
