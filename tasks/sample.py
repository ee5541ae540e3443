"""The generated sample: a log of simulated users, written as a release, with the truth behind it."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evaluation.simulated_dataset import SimulatedDataset, Truth
from models.environments.logs import Log, roll_out_log
from models.environments.mechanics import Mechanics
from models.environments.users import SimulatedUsers
from models.environments.world import World, draw_world
from storage.artifacts.store import ArtifactRef
from storage.dataset.reader import TransitionDataset
from storage.sources.sample.release import GeneratedRatings, write_release
from storage.sources.sample.truth import read_truth, write_truth
from tasks.caching import artifact_store

LEAST, MOST = 12, 400  # ratings of a user
SHORT, SHORTEST = 0.012, 3  # share of users with fewer ratings than a frame, and their least number


class SampleParams(BaseModel):
    """The generator's size and seed, and how its users react."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(7, ge=0, description="Seed of everything that is drawn.")
    users: int = Field(600, ge=30, le=100_000, description="Number of users.")
    movies: int = Field(900, ge=60, le=20_000, description="Number of movies.")
    mechanics: Mechanics = Field(Mechanics(), description="How users react, as in the environment Marquee-v0.")


def write_sample(folder: Path, params: SampleParams) -> dict[str, Any]:
    """Write ratings, movies and metadata of users who choose by the behaviour policy, and the truth.

    Equal parameters give equal bytes.

    Returns: counts.
    """
    rng = np.random.default_rng(params.seed)
    world = draw_world(rng, params.users, params.movies)
    most = min(MOST, int(np.isfinite(world.popularity).sum()) * 2 // 3)
    log = _with_short_histories(roll_out_log(SimulatedUsers(world, params.mechanics), LEAST, most, rng), rng)
    generated = GeneratedRatings(world.items, world.quality, log.user, log.item, log.stars, params.users)
    ids, facts = write_release(folder, generated, rng)
    of_log = {f"log_{name}": values for name, values in log._asdict().items()}
    of_ids = {"user_ids": ids.users, "movie_ids": ids.movies}
    write_truth(folder, world._asdict() | of_log | of_ids, params.mechanics.model_dump())
    return facts


def load_truth(folder: Path) -> Truth:
    """What the sample in `folder` was generated from."""
    arrays, parameters = read_truth(folder)
    world = World(**{name: arrays[name] for name in World._fields})
    log = Log(**{name: arrays[f"log_{name}"] for name in Log._fields})
    users = SimulatedUsers(world, Mechanics.model_validate(parameters))
    return Truth(users, log, arrays["user_ids"], arrays["movie_ids"])


def simulated_dataset(data: TransitionDataset, sample: ArtifactRef) -> SimulatedDataset | None:
    """The simulated users behind generated ratings; None if the sample is of other ratings."""
    truth = load_truth(artifact_store().open(sample))
    return SimulatedDataset(truth, data) if SimulatedDataset.belongs(truth, data) else None


def _with_short_histories(log: Log, rng: np.random.Generator) -> Log:
    """The log with the histories of some users cut off before they fill a frame, as in real releases."""
    users = int(log.user.max()) + 1
    longest = np.where(rng.random(users) < SHORT, rng.integers(SHORTEST, 10, users), MOST)
    place = np.arange(len(log.user)) - np.searchsorted(log.user, log.user)
    return log.of(place < longest[log.user])
