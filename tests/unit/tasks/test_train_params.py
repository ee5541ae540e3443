from typing import Any

import pytest
from pydantic import ValidationError

from models.learners.registry import LEARNERS, TRANSITION_LEARNERS
from models.learners.td3 import TD3Config
from tasks.train import TrainParams

ARTICLE = [name for name, entry in LEARNERS.items() if entry.article]
every_learner = pytest.mark.parametrize("name", ARTICLE)


def params(**values: Any) -> TrainParams:
    return TrainParams.model_validate(values)


@every_learner
def test_the_article_fills_in_what_is_not_given(name: str) -> None:
    config = getattr(params(preset="article"), name)
    assert config.actor_learning_rate == 1e-5
    assert (config.optimiser.name, config.optimiser.weight_decay) == ("radam", 0.01)
    assert name == "policy_learning" or (config.policy_delay, config.critic_learning_rate) == (10, 1e-5)
    assert getattr(params(), name) == getattr(params(preset="default"), name) == type(config)()
    assert getattr(params(), name) != config


def test_every_learner_of_the_article_has_its_preset() -> None:
    assert {"policy_learning", "reward_actor_critic", "td_actor_critic", "ddpg", "td3", "td3_bc"} <= set(ARTICLE)


def test_every_learner_has_described_and_bounded_parameters_in_the_form() -> None:
    schema = TrainParams.model_json_schema()
    assert schema["properties"]["learners"]["items"]["enum"] == list(LEARNERS)
    for name, entry in LEARNERS.items():
        assert schema["properties"][name]["description"] == entry.summary
        assert schema["properties"][name]["$ref"] == f"#/$defs/{entry.config.__name__}"
        assert all(
            "description" in field
            for key, field in schema["$defs"][entry.config.__name__]["properties"].items()
            if key != "name"
        )
    noise = schema["$defs"]["TD3Config"]["properties"]["target_noise"]
    assert (noise["minimum"], noise["maximum"], noise["default"]) == (0, 2, 0.2)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_is_trained_as_it_learns(name: str) -> None:
    chosen = params(trainer={"steps": 7}, sequence_trainer={"steps": 9})
    assert chosen.config_of(name).name == name
    assert chosen.trainer_of(name).steps == (7 if name in TRANSITION_LEARNERS else 9)


def test_what_is_given_counts_first() -> None:
    chosen = params(
        preset="article", td3={"discount": 0.5, "optimiser": {"name": "sgd"}}, ddpg={"target_bounds": None}, seed=3
    )
    assert (chosen.td3.discount, chosen.td3.policy_delay, chosen.td3.target_rate) == (0.5, 10, 0.001)
    assert (chosen.td3.optimiser.name, chosen.td3.optimiser.weight_decay) == ("sgd", 0.01)
    assert chosen.ddpg.target_bounds is None
    assert params(preset="article").ddpg.target_bounds == (-10, 10)
    given = TD3Config(discount=0.3)
    assert params(preset="article", td3=given).td3 == given


def test_a_filled_preset_reads_back_as_it_is() -> None:
    chosen = params(preset="article", td3={"discount": 0.5})
    assert TrainParams.model_validate(chosen.model_dump(mode="json")) == chosen


@pytest.mark.parametrize(
    "values",
    [
        {"learners": ["td4"]},
        {"preset": "articles"},
        {"preset": "article", "td3": 5},
        {"preset": "article", "td3": {"optimiser": 5}},
        {"preset": "article", "td3": {"alpha": 1}},
        {"td3": {"target_bounds": [3, 1]}},
        {"td3": {"target_bounds": "reward"}},
        {"ddpg": {"imitation": 2.5}},
        {"seed": 2**32},
        {"gru4rec": {"policy": {"transitions": 1}}},
    ],
)
def test_bad_values_are_refused_with_or_without_a_preset(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainParams.model_validate(values)


def test_a_learner_may_have_a_criterion_of_its_own() -> None:
    found = params(criteria={"iql": "fitted_return"}, trainer={"select_by": "policy_loss"})
    assert found.trainer_of("iql").select_by == "fitted_return"
    assert found.trainer_of("td3").select_by == "policy_loss"
    assert found.fitted_for("iql") == found.fitted
    assert found.fitted_for("td3") is None  # so that its recipe does not depend on it
    with pytest.raises(ValidationError, match="expected names among"):
        params(criteria={"nobody": "ndcg@10"})


def test_a_grid_of_re_ranked_items_needs_critics_that_re_rank() -> None:
    with pytest.raises(ValidationError, match="critic_candidates = 0"):
        TD3Config(candidate_grid=(0, 10))
    assert TD3Config(critic_candidates=5, candidate_grid=(0, 10)).candidate_grid == (0, 10)
