import pytest
import torch
from pydantic import ValidationError
from unit.models.online.online_support import EMBEDDING, PROBLEM, SHORT, new_actor, return_of

from models.errors import LearnerError
from models.online.gail import Expert
from models.online.params import OnlineParams
from models.online.training import OnlineResult, train_online
from models.policy import Policy, PolicyConfig

STATE = PROBLEM.view.observation_dim
EXPERT = Expert(torch.zeros(10, STATE), EMBEDDING[:10])
KINDS: dict[str, dict[str, str]] = {"ppo": {}, "sac": {"algorithm": "sac"}, "gail": {"reward": "gail"}}


def trained(name: str, **more: object) -> OnlineResult:
    params = SHORT.model_copy(update=KINDS[name] | more)
    return train_online(PROBLEM, params, return_of, expert=EXPERT if name == "gail" else None)


@pytest.mark.parametrize("name", KINDS)
def test_equal_seeds_give_equal_policies_which_are_stored_as_any_other(name: str) -> None:
    before = torch.random.get_rng_state()
    one, other, third = trained(name), trained(name), trained(name, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.rows == other.rows
    assert all(torch.equal(value, other.policy.tensors()[key]) for key, value in one.policy.tensors().items())
    assert one.rows != third.rows
    again = Policy.from_tensors(one.policy.config(), one.policy.tensors(), EMBEDDING)
    assert PolicyConfig.model_validate(again.config())
    assert return_of(again) == one.value
    assert {metric for _, _, metric, _ in one.rows} >= {"return", "actor_loss", "critic_loss"}


def test_the_policy_with_the_highest_return_is_kept() -> None:
    values = iter((1.0, 3.0, 2.0, 0.0))
    found = train_online(PROBLEM, SHORT, lambda _: next(values))
    assert (found.value, found.step) == (3.0, 256)
    assert [row[0] for row in found.rows if row[2] == "return"] == [0, 256, 512, 512]


def test_ppo_learns_what_pays() -> None:
    params = SHORT.model_copy(update={"steps": 8192, "envs": 64, "validate_every": 4096})
    found = train_online(PROBLEM, params, return_of)
    begin = next(value for step, _, metric, value in found.rows if metric == "return" and step == 0)
    assert found.value > 1.2 * begin


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_fine_tuning_begins_from_the_weights_of_the_policy(name: str) -> None:
    start = new_actor(5, hidden_dim=24)
    kept = {key: value.clone() for key, value in start.state_dict().items()}
    params = SHORT.model_copy(update=KINDS[name])
    found = train_online(PROBLEM, params, return_of, start=start)
    assert found.rows[0][3] == return_of(
        Policy(start, EMBEDDING, "cosine")
    )  # although it learns on scaled observations
    assert found.policy.actor.hidden_dim == 24
    assert all(torch.equal(value, kept[key]) for key, value in start.state_dict().items())  # a copy learns


def test_a_policy_of_other_sizes_is_not_fine_tuned() -> None:
    other = torch.nn.Module()
    other.observation_dim, other.action_dim = 7, 3  # type: ignore[assignment]
    with pytest.raises(LearnerError, match=r"observations of 33 .* found 7 and 3"):
        train_online(PROBLEM, SHORT, return_of, start=other)  # type: ignore[arg-type]


def test_gail_needs_ppo_and_logged_choices() -> None:
    with pytest.raises(ValidationError, match="gail, which needs ppo"):
        OnlineParams(algorithm="sac", reward="gail")
    with pytest.raises(LearnerError, match="expected logged choices"):
        train_online(PROBLEM, SHORT.model_copy(update={"reward": "gail"}), return_of)
