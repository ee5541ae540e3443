"""Whether a source has changed since the last publication."""

import logging

from prefect import task

from storage.artifacts.aliases import read_alias
from storage.artifacts.manifest import Manifest
from storage.artifacts.object_stores import open_store
from storage.artifacts.store import ArtifactRef
from storage.errors import ArtifactError
from tasks.caching import artifact_store
from tasks.sources import SourceParams, open_source
from tasks.story import add_section, show_text

logger = logging.getLogger("marquee.new-data")
# What extend-dataset reads of a source, and the kinds of artifacts that were made from it.
ROLES = ("ratings", "movies", "genres", "links", "metadata", "imdb")
KINDS = ("dataset", "events", "items", "movies", "catalogue")


@task(name="find-published-dataset")
def published_dataset(published: str) -> ArtifactRef | None:
    """The dataset of the last publication, or None if nothing was published.

    Args:
        published: s3://bucket/prefix, or a folder.

    Raises:
        ArtifactError: it is not in this work directory, so it cannot be extended here.
    """
    store = open_store(published)
    alias = read_alias(store, "dataset", "latest")
    if alias is None:
        return None
    found = artifact_store().find("dataset", alias[0].digest)
    if found is None:
        raise ArtifactError(
            f"{artifact_store().root}: expected dataset/{alias[0].digest}, which {store.uri} published last; found none. "
            "Run where it was made, or make a new one here with marquee retrain."
        )
    return found


def has_new_files(source: SourceParams, dataset: ArtifactRef) -> bool:
    """Whether a source has a file, or a declaration of how to read it, that a dataset was not made from.

    Files of an earlier extension count too. Answers of web services do not: they change without new ratings.
    """
    return not set(open_source(source).of(*ROLES).items()) <= files_behind(dataset)


def files_behind(dataset: ArtifactRef) -> set[tuple[str, str]]:
    """The role and hash of every source file that a dataset of this work directory was made from."""
    store = artifact_store()
    made: dict[str, Manifest] = {one.digest: one for kind in KINDS for one in store.manifests(kind)}
    found: set[tuple[str, str]] = set()
    left, seen = [dataset.digest], set()
    while left:
        digest = left.pop()
        if digest in seen or digest not in made:
            continue
        seen.add(digest)
        recipe = made[digest].recipe
        found |= set(recipe.parameters.get("sha256", {}).items())
        left += recipe.inputs.values()
    return found


@task(name="show-new-data")
def show_new_data(base: ArtifactRef, dataset: ArtifactRef) -> bool:
    """Show in the Prefect UI what is new since the last publication; returns whether there is anything.

    Args:
        base: the dataset of the last publication.
        dataset: the same, extended by the source; `base` if no file has changed.
    """
    unchanged = dataset.digest == base.digest
    facts = {} if unchanged else artifact_store().manifest(dataset).facts
    added = {name: facts.get(f"{name}_added", 0) for name in ("events", "users", "items")}
    if unchanged:
        text = f"No file of the source has changed since dataset/{base.digest} was published. Nothing is trained."
    elif added["events"] or added["items"]:
        text = f"New since dataset/{base.digest}: " + ", ".join(f"{number:,} {name}" for name, number in added.items())
    else:
        text = f"Files of the source have changed, but dataset/{base.digest} has all their events. Nothing is trained."
    logger.info(text)
    show_text("new-data", text, "What is new since the last publication")
    add_section("New data", text)
    return bool(added["events"] or added["items"])
