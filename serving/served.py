"""A published policy that is kept up to date: when its alias moves, the new policy takes the place of the old one."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.errors import LearnerError
from serving.asking import Question, Rated
from serving.errors import UnknownMethodError
from serving.loading import load, load_published
from serving.recommend import Recommender
from storage.artifacts.manifest import MANIFEST
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import resolve
from storage.errors import ArtifactError, MarqueeError, ObjectStoreError, UnknownAliasError

logger = logging.getLogger("marquee.serving")


class Served:
    """One policy under a name.

    Args:
        where: where policies are published, or the folder of a policy.
        policy: policy@<alias or digest>; with the folder of a policy it is only its name.
        baselines: names of baselines to fit beside it.
        items: a file of new items that it may recommend, which `marquee embed-items` made.
    """

    def __init__(self, where: str, policy: str, baselines: Sequence[str] = (), items: Path | None = None) -> None:
        self.where, self.policy, self.baselines, self.items = where, policy, tuple(baselines), items
        self.current: Recommender | None = None
        self.content = ""  # the hash of the artifact's content
        self.loaded_at = 0.0
        self.error: str | None = None  # why the newest attempt failed
        self.reloads = self.failures = 0
        self.is_folder = "://" not in where and (Path(where) / MANIFEST).is_file()

    def refresh(self) -> bool:
        """Load the policy if the name now means another one; True if it was replaced.

        Requests that hold the policy before finish with it. If the new one cannot be had or is not valid, the one before stays.

        Raises:
            MarqueeError, LearnerError: the new one cannot be had or is not valid.
        """
        try:
            found = self._new()
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            self.failures += 1
            raise
        self.error = None
        if found is None:
            return False
        self.current, self.content = found
        self.loaded_at = time.time()
        self.reloads += 1
        logger.info("%s: serving %s", self.policy, self.current.digest)
        return True

    def _new(self) -> tuple[Recommender, str] | None:
        if self.is_folder:
            if self.current is not None:
                return None
            return checked(
                replace(load(self.where, baselines=self.baselines, items=self.items), name=self.policy)
            ), self.where
        store = open_store(self.where)
        manifest = resolve(store, self.policy)
        if manifest.sha256 == self.content:
            return None
        digest = f"{manifest.recipe.kind}@{manifest.digest}"
        made = replace(load_published(store, digest, self.baselines, self.items), name=self.policy)
        if self.current is not None and not np.isin(made.catalogue.ids, self.current.catalogue.ids).any():
            raise ArtifactError(
                f"{self.policy}: expected a policy that knows some of the items that are served; found {manifest.digest}, which knows "
                "none of them. Start a server for the other catalogue."
            )
        return checked(made), manifest.sha256


def checked(made: Recommender) -> Recommender:
    """A recommender that has answered once, so that the first request is not slow, and a policy that cannot answer is refused."""
    best = made.catalogue.ids[int(made.catalogue.events.argmax())]
    made.recommend(Question(history=(Rated(movie_id=int(best), rating=made.ratings.scale.highest),), k=1))
    _ = made.catalogue.by_title, made.catalogue.genre_masks
    return made


def served_from(
    where: str, policies: Sequence[str], baselines: Sequence[str], items: Path | None = None
) -> list[Served]:
    """Policies of one place, not loaded yet; the baselines are fitted on the first one's dataset."""
    return [Served(where, name, baselines if place == 0 else (), items) for place, name in enumerate(policies)]


class ServedPolicies:
    """The policies of one server; the first is the default.

    Args:
        served: one or more; of several with the same name the last one counts.
        every: seconds between two looks at the aliases.
    """

    def __init__(self, served: Sequence[Served], every: float = 30.0) -> None:
        self.served = {one.policy: one for one in served}
        self.first, self.every = next(iter(self.served.values())), every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="marquee-refresh", daemon=True)

    def start(self) -> None:
        """Load all policies, then follow their aliases in a thread.

        If the object store does not answer, the server starts without policies, and the thread tries again.

        Raises:
            MarqueeError, LearnerError: a policy does not exist or is not valid.
        """
        for one in self.served.values():
            try:
                one.refresh()
            except UnknownAliasError:
                raise
            except ObjectStoreError as error:
                logger.warning("%s: not loaded, trying again in %g s: %s", one.policy, self.every, error)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(60)

    def _follow(self) -> None:
        while True:
            pa.system_memory_pool().release_unused()  # what loading took, and replaced policies that no request holds now
            if self._stop.wait(self.every):
                return
            for one in self.served.values():
                try:
                    one.refresh()
                except (MarqueeError, LearnerError) as error:
                    logger.warning("%s: the policy before stays: %s", one.policy, error)
                except Exception:
                    logger.exception("%s: the policy before stays.", one.policy)

    @property
    def problems(self) -> dict[str, str]:
        """By policy, why it is not served."""
        return {name: one.error or "not loaded yet" for name, one in self.served.items() if one.current is None}

    def recommender_for(self, method: str | None) -> Recommender | None:
        """The recommender of a policy, or the first policy's for its baselines and by default; None while it is not loaded.

        Raises:
            UnknownMethodError: there is no such policy or baseline.
        """
        if method in self.served:
            return self.served[method].current
        first = self.first.current
        if first is not None and method not in (None, *first.baselines):
            known = ", ".join((*self.served, *first.baselines))
            raise UnknownMethodError(f"method: expected one of {known}; found {method!r}. Name one of these.")
        return first
