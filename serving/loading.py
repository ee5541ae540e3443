"""Load a recommender from the folder of a policy, or from where policies are published."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from models.errors import PolicyError
from models.policy_formats import with_further_items
from serving.catalogue import Catalogue
from serving.recommend import POPULARITY, Recommender
from serving.stored_policies import load_policy
from storage.artifacts.foreign import fetch
from storage.artifacts.manifest import MANIFEST, Manifest, read_manifest, verify_files
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.store import ArtifactStore
from storage.dataset.item_table import made_for
from storage.dataset.scale import RatingRewards
from storage.errors import ArtifactError, DatasetError
from storage.home import home, using_home

CHAMPION = "policy@champion"
MAX_RATINGS_BYTES = 1 << 16


def load(
    where: str | Path, policy: str = CHAMPION, baselines: Sequence[str] = (), items: Path | None = None
) -> Recommender:
    """Load a policy that recommends items.

    A published one is pulled into the work directory, and each of its bytes is verified. Needs no Prefect.

    Args:
        where: the folder of a policy, as `marquee pull` makes it; or where policies are published, s3://bucket/prefix or a folder.
        policy: which published policy: policy@<alias or digest>.
        baselines: by name, to be fitted on the dataset that is published with the policy.
        items: a file of new items, which `marquee embed-items` made.

    Raises:
        ArtifactError, ObjectStoreError, PolicyError, DatasetError: there is no such policy, or it is not valid.
    """
    text = str(where)
    if "://" not in text and (Path(text) / MANIFEST).is_file():
        if set(baselines) - {POPULARITY}:
            raise ArtifactError(
                f"{text}: expected a place where a dataset is published, too, to fit {', '.join(baselines)}; found the folder of a "
                "policy. Give s3://bucket/prefix or a folder that was published to."
            )
        return load_folder(Path(text), items)
    return load_published(open_store(text), policy, baselines, items)


def load_published(
    store: ObjectStore, policy: str, baselines: Sequence[str] = (), items: Path | None = None
) -> Recommender:
    """Pull a published policy and load it; see `load`.

    Raises:
        ArtifactError: it names no policy; otherwise see `load`.
    """
    need_policy(policy, policy.partition("@")[0])
    with using_home():
        own = ArtifactStore(home() / "artifacts")
        ref = fetch(store, policy, own)
        manifest = own.manifest(ref)
        made = recommender(own.open(ref), policy, manifest, items)
        if not (wanted := set(baselines) - {POPULARITY}):
            return made
        from serving.baselines import fit_published_baselines  # noqa: PLC0415  # all baselines take 50 MiB

        return replace(made, baselines=fit_published_baselines(store, own, manifest, made.catalogue, wanted))


def load_folder(folder: Path, items: Path | None = None) -> Recommender:
    """Verify a policy's folder and load it.

    Raises:
        ArtifactError: it holds no policy; otherwise see `load`.
    """
    manifest = read_manifest(folder)
    need_policy(str(folder), manifest.recipe.kind)
    verify_files(folder, manifest)
    return recommender(folder, f"policy@{manifest.digest}", manifest, items)


def need_policy(what: str, kind: str) -> None:
    """Refuse an artifact of another kind.

    Raises:
        ArtifactError: it is no policy.
    """
    if kind != "policy":
        raise ArtifactError(
            f"{what}: expected policy@<alias or digest>, or the folder of a policy; found {kind!r}. Name a policy."
        )


def recommender(folder: Path, name: str, manifest: Manifest, items: Path | None = None) -> Recommender:
    """The recommender of a policy's folder, whose bytes were verified.

    Raises:
        PolicyError, DatasetError: a file is missing or not valid.
        ArtifactError: the new items were embedded for another dataset.
    """
    ratings = ratings_of(folder)
    catalogue = Catalogue.read(folder / "items.parquet")
    policy = load_policy(folder, catalogue.embedding)
    if items is not None:
        trained, catalogue = catalogue, catalogue.with_further(new_items(items, manifest, catalogue))
        places = torch.from_numpy(catalogue.index.of(trained.ids)).long()
        policy = with_further_items(policy, places, catalogue.embedding)
    return Recommender(name, manifest.digest, policy, catalogue, ratings)


def new_items(path: Path, policy: Manifest, catalogue: Catalogue) -> Catalogue:
    """The items of a file of `marquee embed-items`.

    Args:
        path: of the file.
        policy: the manifest of the policy that is to recommend them.
        catalogue: its items.

    Raises:
        DatasetError: the file is not valid, or has an item that the policy has.
        ArtifactError: they were embedded for another dataset than the policy's.
    """
    dataset, found = policy.recipe.inputs.get("dataset"), made_for(path)
    if found is None or found != dataset:
        raise ArtifactError(
            f"{path}: expected items embedded for dataset/{dataset}, on which policy/{policy.digest} was trained; found "
            f"{f'dataset/{found}' if found else 'no dataset'}. Run marquee embed-items with this dataset."
        )
    new, width = Catalogue.read(path), catalogue.embedding.shape[1]
    known = int(np.isin(new.ids, catalogue.ids).sum())
    if known or new.embedding.shape[1] != width:
        raise DatasetError(
            f"{path}: expected other items than the policy's, with embeddings of {width} numbers; found {known} of its items, and "
            f"{new.embedding.shape[1]} numbers. Run marquee embed-items again."
        )
    return new


def ratings_of(folder: Path) -> RatingRewards:
    """The rating scale and the rewards of a policy.

    Raises:
        PolicyError: the file is missing or not valid.
    """
    path = folder / "ratings.json"
    try:
        if path.stat().st_size > MAX_RATINGS_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        return RatingRewards.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise PolicyError(
            f"{path}: expected the scale of the ratings; found no such file. The policy was trained by an earlier version of "
            "Marquee: train and publish it again."
        ) from error
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise PolicyError(
            f"{path}: expected the scale of the ratings; found {str(error)[:200]}. Pull it again."
        ) from error
