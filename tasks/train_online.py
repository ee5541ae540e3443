"""Training with simulated users, from new weights or from those of a policy.

Of a generated sample, the users are those that its ratings are from; of another dataset, they are fitted to it.
"""

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from evaluation.fitted_dataset import FittedDataset, FittedParams, NoEnvironmentError
from evaluation.protocols.cases import at_most, validation_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.simulated_dataset import SimulatedDataset
from evaluation.validation_return import ValidationReturn
from models.environments.marquee import Problem
from models.errors import PolicyError
from models.learners.registry import LEARNERS
from models.networks import Actor
from models.online.params import FROM, OnlineParams
from models.policy import Policy
from serving.stored_policies import facts_of, load_on
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.reader import TransitionDataset
from storage.errors import ArtifactError, MarqueeError
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.policies import policies_on, policy_named
from tasks.policy_files import write_catalogue, write_policy
from tasks.progress import Progress
from tasks.sample import simulated_dataset

EXPERT = 20_000  # liked choices of the log that GAIL imitates, at most


class MissingPackageError(MarqueeError):
    """A package of an extra is not installed."""


@artifact_task("policy")
def train_in_environment(
    draft: Draft,
    dataset: ArtifactRef,
    sample: ArtifactRef | None,
    fine_tune: ArtifactRef | None,
    learner: str,
    config: OnlineParams,
    fitted: FittedParams | None,
) -> None:
    """Train a policy with simulated training users; writes weights, config, metrics and the items that are ranked.

    The policy with the highest return on validation users is kept. The test users take no part.

    Args:
        draft: of the policy.
        dataset: whose users are simulated.
        sample: of the dataset; None: the users are fitted.
        fine_tune: the policy to begin from; None: new weights.
        learner: the name of what is trained.
        config: algorithm, reward, length and seed.
        fitted: how users are fitted, if they are.

    Raises:
        MissingPackageError: Stable-Baselines3 is not installed.
        NoEnvironmentError: the dataset has too few users, or the sample is not that of the dataset.
        PolicyError: the policy to fine-tune has no actor of the right sizes, or does not rank by cosine similarity.
    """
    need_stable_baselines()
    from models.online.gail import Expert  # noqa: PLC0415  # the package is an extra
    from models.online.training import train_online  # noqa: PLC0415

    data = open_dataset(dataset)
    simulated = known_users(data, sample) if sample else FittedDataset.for_training(data, fitted or FittedParams())
    progress = Progress(f"train-{learner}".replace("_", "-"), f"Training {learner}")
    trained = train_online(
        training_problem(simulated),
        config,
        ValidationReturn(simulated, config.validation_users, config.seed).of,
        start=None if fine_tune is None else actor_of(artifact_store().open(fine_tune), data),
        expert=Expert(*liked_choices(data, config.seed)) if config.reward == "gail" else None,
        show=lambda step: progress.show(step, config.steps),
    )
    write_policy(draft, trained.policy, trained.rows)
    write_catalogue(draft, dataset, data)
    metrics = validation_metrics(data, trained.policy, validation_cases(data, 2000, config.seed))
    draft.rows = len(trained.rows)
    draft.facts = {
        "learner": learner,
        "device": "cpu",
        "users": "fitted" if sample is None else "of the sample",
        "updates": config.steps,
        "selected_update": trained.step,
        "selected_by": "return",
        "validation_ndcg@10": round(metrics["ndcg@10"], 6),
        "validation_return": round(trained.value, 3),
    }


def known_users(data: TransitionDataset, sample: ArtifactRef) -> SimulatedDataset:
    """The users that a sample's ratings are from.

    Raises:
        NoEnvironmentError: the sample is of other ratings.
    """
    if (found := simulated_dataset(data, sample)) is None:
        raise NoEnvironmentError(
            f"sample/{sample.digest}: expected the users and items of {data.path}; found others. Build the dataset again."
        )
    return found


def training_problem(simulated: SimulatedDataset | FittedDataset) -> Problem:
    """The environment of a dataset's training users alone."""
    rows = simulated.rows[(simulated.data.user_split == 0) & (simulated.rows >= 0)]
    return Problem(simulated.users, simulated.view, "item", rows)


def liked_choices(data: TransitionDataset, seed: int) -> tuple[Tensor, Tensor]:
    """Observations (N, S) and actions (N, D) of at most `EXPERT` training transitions with a liked rating."""
    starts = data.starts("train")
    batch = data.gather(at_most(starts[data.liked(starts + data.frame)], EXPERT, seed))
    return batch.observation, batch.action


def actor_of(folder: Path, data: TransitionDataset) -> Actor:
    """The actor of a stored policy.

    Raises:
        PolicyError: it has none, ranks otherwise than by cosine similarity, or knows other items.
    """
    policy = load_on(folder, data)
    if isinstance(policy, Policy) and isinstance(policy.actor, Actor) and policy.state is None:
        if policy.nearest.measure != "cosine":  # by which a policy that is trained online ranks
            raise PolicyError(
                f"{folder}: expected a policy that ranks by cosine similarity; found {policy.nearest.measure}. Fine-tune another "
                "policy, or train this one with train.similarity=cosine."
            )
        return policy.actor
    raise PolicyError(
        f"{folder}: expected a policy on this dataset's items with an actor over frames, such as td3_bc or iql; found "
        f"{type(policy).__name__}. Fine-tune another policy."
    )


def need_stable_baselines() -> None:
    """Refuse to train where the package is absent.

    Raises:
        MissingPackageError: it is.
    """
    if find_spec("stable_baselines3") is None:
        raise MissingPackageError(
            "train-online: expected the package stable-baselines3; found none. Install it with marquee's extra: "
            "pip install 'marquee[online]'."
        )


def train_policy_online(
    dataset: ArtifactRef,
    sample: ArtifactRef | None,
    config: OnlineParams,
    fitted: FittedParams,
    fine_tune: str | None,
    published: str,
) -> ArtifactRef:
    """Train a policy with the simulated users of a dataset.

    Args:
        dataset: whose users are simulated.
        sample: of the dataset, if it is generated and its sample is here; else the users are fitted.
        config: algorithm, reward, length and seed.
        fitted: how users are fitted.
        fine_tune: the policy to begin from: the learner of one on this dataset, a digest, a folder or `policy@<alias>`.
        published: where an alias is looked up.

    Raises:
        ArtifactError: the policy to begin from is not found.
    """
    begin = None if fine_tune is None else policy_to_begin_from(dataset, fine_tune, published)
    learner = config.method
    if begin is not None:
        learner += f"{FROM}{facts_of(artifact_store().manifest(begin)).learner}"
    return train_in_environment(dataset, sample, begin, learner[:64], config, None if sample else fitted)


def policy_to_begin_from(dataset: ArtifactRef, spec: str, published: str) -> ArtifactRef:
    """The newest policy of the learner `spec` on a dataset, or the policy that `spec` names otherwise.

    Raises:
        ArtifactError: there is none.
    """
    if spec not in LEARNERS:
        return policy_named(spec, published)
    if spec not in (found := policies_on(dataset)):
        raise ArtifactError(
            f"fine-tuning: expected a policy of {spec} on dataset/{dataset.digest}; found those of {', '.join(found)}. Train it "
            "first, or name another policy."
        )
    return found[spec]
