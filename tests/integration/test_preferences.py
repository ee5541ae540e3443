"""Whether a learner finds the preferences behind generated data."""

from pathlib import Path

import pytest
import torch
from tests_support import Marquee, values_of

from evaluation.baselines import fit_baselines
from evaluation.simulated_dataset import SimulatedDataset
from models.critic_weight import with_critic_weight
from models.histories import Histories
from serving.stored_policies import load_policy
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset
from tasks.sample import load_truth


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_a_learner_finds_the_preferences_behind_generated_data(marquee: Marquee, tmp_path: Path) -> None:
    """Test users truly like what the policy ranks first better than what is popular, and more so if the critics weigh more."""
    sizes = {
        "source.sample": "{users: 300, movies: 300, mechanics: "
        "{appeal: 0, after_effect: 0, satisfaction: 0, boredom: 0, exit_rate: 0.02, exit_slope: 0}}",
        "features.text.max_tokens": "48",
    }
    training = {
        "train.sequence_trainer": "{steps: 450, validate_every: 150}",
        "train.learners": "[ranking]",
    }
    overrides = [part for name, value in (sizes | training).items() for part in ("--set", f"{name}={value}")]
    built = values_of(marquee("build-dataset", *overrides).stdout)
    trained = values_of(marquee("train-policy", *overrides).stdout)
    data = TransitionDataset.open(Path(built["DATASET"]))
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    simulated = SimulatedDataset(load_truth(store.folder("sample", store.select("sample").digest)), data)
    affinity = torch.from_numpy(simulated.users.world.affinity(simulated.rows))
    starts = data.last_starts("test", 1)
    users = data.users_of(starts)

    known = Histories(*data.histories(starts))

    def liking(scores: torch.Tensor) -> float:
        seen = known.items.where(known.items >= 0, known.items[:, -1:])
        best = scores.scatter(1, seen, -torch.inf).topk(10).indices
        return float(affinity[users.unsqueeze(1), best].mean())

    policy = load_policy(Path(trained["POLICY_RANKING"]), data.embedding)
    popular = liking(fit_baselines(data, {"popularity": {}}, max_items=10)["popularity"].scores(known))
    weighted = with_critic_weight(policy, 2.0)
    assert weighted is not None
    shipped, valued = liking(policy.scores(known)), liking(weighted.scores(known))
    ideal = liking(affinity[users])
    assert shipped > popular + 0.05 * (ideal - popular), (popular, shipped, valued, ideal)
    assert valued > popular + 0.3 * (ideal - popular), (popular, shipped, valued, ideal)
