"""What training in the environment adds: returns on the sample's test users, with intervals, beside controls and stored policies.

    python benchmarks/online.py [--steps 600000] [--sac-steps 200000] [--fine-tune iql] [--seeds 1] [method …; default all]

Needs the newest dataset of MARQUEE_HOME to be a sample: `marquee build-dataset` makes one. Policies that are stored for it are
shown too. Trains online_ppo, online_sac, online_gail, and PPO from a stored policy if --fine-tune names its learner, with the
training users, and selects on the validation users; once with each training seed, 0 … --seeds - 1. CPU seconds are those of each
training, on one thread.
"""

import argparse
import time
from itertools import product

import torch

from evaluation.report.sections.environment.numbers import EnvironmentParams, measure_environment
from evaluation.report.sections.environment.simulation import known_simulation
from evaluation.validation_return import ValidationReturn
from models.histories import Scorer
from models.networks import Actor
from models.online.gail import Expert
from models.online.params import OnlineParams
from models.online.training import train_online
from serving.stored_policies import load_on
from storage.dataset.reader import TransitionDataset
from storage.errors import ArtifactError
from tasks.caching import artifact_store
from tasks.evaluate import about_dataset
from tasks.policies import policies_on
from tasks.sample import simulated_dataset
from tasks.train_online import actor_of, liked_choices, training_problem

METHODS: dict[str, dict[str, str]] = {
    "online_ppo": {},
    "online_sac": {"algorithm": "sac"},
    "online_gail": {"reward": "gail"},
}


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=OnlineParams().steps)
    parser.add_argument("--sac-steps", type=int, default=200_000)
    parser.add_argument("--fine-tune")
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store = artifact_store()
    dataset = store.select("dataset", "latest")
    data = TransitionDataset.open(store.open(dataset) / "transitions.h5")
    simulated = simulated_dataset(data, about_dataset(dataset)["sample"])
    assert simulated is not None  # noqa: S101
    try:
        stored = policies_on(dataset)
    except ArtifactError:
        stored = {}
    scorers: dict[str, Scorer] = {name: load_on(store.open(ref), data) for name, ref in stored.items()}
    wanted: dict[str, tuple[dict[str, str], Actor | None]] = {
        name: (changes, None) for name, changes in METHODS.items() if name in asked.methods or not asked.methods
    }
    if asked.fine_tune:
        wanted[f"online_ppo_from_{asked.fine_tune}"] = {}, actor_of(store.open(stored[asked.fine_tune]), data)
    seconds: dict[str, float] = {}
    for (method, (changes, start)), seed in product(wanted.items(), range(asked.seeds)):
        name = f"{method}, seed {seed}"
        steps = asked.sac_steps if "algorithm" in changes else asked.steps
        params = OnlineParams.model_validate({"steps": steps, "seed": seed, **changes})
        began = time.process_time()
        trained = train_online(
            training_problem(simulated),
            params,
            ValidationReturn(simulated, params.validation_users, params.seed).of,
            start=start,
            expert=Expert(*liked_choices(data, params.seed)),
        )
        seconds[name], scorers[name] = time.process_time() - began, trained.policy
        print(f"{name}: {steps:,} steps, {seconds[name]:.0f} CPU seconds, best at step {trained.step:,}", flush=True)
    found = measure_environment(known_simulation(simulated), scorers, EnvironmentParams())
    assert found is not None  # noqa: S101
    print(f"return on {found.users} test users, 95 % interval, and recommendations until the end")
    for one in found.methods:
        print(f"{one.name:32} {one.value:7.1f}  [{one.low:.1f}, {one.high:.1f}]  {one.length:5.1f}")


if __name__ == "__main__":
    main()
