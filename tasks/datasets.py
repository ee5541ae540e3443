"""The transitions of a dataset artifact."""

from storage.artifacts.store import ArtifactRef
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store


def open_dataset(dataset: ArtifactRef) -> TransitionDataset:
    """A dataset's transitions, on the CPU."""
    return TransitionDataset.open(artifact_store().open(dataset) / "transitions.h5")
