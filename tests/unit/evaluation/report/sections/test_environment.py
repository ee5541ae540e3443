"""The section of returns, on a small generated dataset with baselines."""

import numpy as np
import pytest
import torch
from unit.evaluation.off_policy.off_policy_support import Generated, generated

from evaluation.baselines import fit_baselines
from evaluation.fitted_dataset import FittedDataset, FittedParams, Later
from evaluation.report.page import render_partial
from evaluation.report.sections.environment.charts import draw
from evaluation.report.sections.environment.choosers import CONTROLS, GREEDY, PLAN
from evaluation.report.sections.environment.fit import boring_choices, logged_boredom
from evaluation.report.sections.environment.numbers import EnvironmentParams, EnvironmentSection, measure_environment
from evaluation.report.sections.environment.simulation import fitted_simulation, known_simulation
from models.environments.controls import of_policy
from models.environments.fitted import STRENGTHS
from models.environments.mechanics import Mechanics
from models.environments.returns import returns_of
from models.networks import Actor, Critics
from models.policy import Policy
from tasks.sample import SampleParams

PARAMS = EnvironmentParams(users=30, tuning_users=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    mechanics = Mechanics(horizon=25, exit_rate=0.02)
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=120, movies=200, mechanics=mechanics))


@pytest.fixture(scope="module")
def section(data: Generated) -> EnvironmentSection:
    scorers = fit_baselines(data.dataset, {"popularity": {}, "markov": {}, "content similarity": {}}, max_items=200)
    simulation = known_simulation(data.simulated)
    found = measure_environment(simulation, scorers, PARAMS, baselines=("popularity", "markov"), ndcg={"markov": 0.1})
    assert found is not None
    return found


@pytest.fixture(scope="module")
def of_fitted(data: Generated) -> EnvironmentSection:
    """The same ratings as if nobody knew whose they are."""
    params = EnvironmentParams(
        fitted_users=20, tuning_users=10, fitted=FittedParams(mechanics=Mechanics(appeal=0, horizon=15))
    )
    scorers = fit_baselines(data.dataset, {"popularity": {}, "content similarity": {}}, max_items=200)
    simulation = fitted_simulation(FittedDataset(data.dataset, params.fitted), params.strengths)
    found = measure_environment(simulation, scorers, params, baselines=("popularity",))
    assert found is not None
    return found


def test_every_method_and_control_has_its_return_best_first(section: EnvironmentSection, data: Generated) -> None:
    names = {one.name: one.kind for one in section.methods}
    assert names == {"popularity": "baseline", "markov": "baseline", "content similarity": "policy"} | dict.fromkeys(
        CONTROLS, "control"
    )
    values = [one.value for one in section.methods]
    assert values == sorted(values, reverse=True)
    assert all(one.low <= one.value <= one.high for one in section.methods)
    assert section.named("markov").ndcg == 0.1
    assert section.named("popularity").ndcg is None
    rows = data.simulated.rows[data.dataset.user_split == 2]
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:30])
    markov = fit_baselines(data.dataset, {"markov": {}}, max_items=200)["markov"]
    alone = returns_of(of_policy(markov), data.simulated.users, data.simulated.view, rows, 0)
    assert section.named("markov").value == pytest.approx(alone.values.mean())


def test_gains_are_differences_from_the_best_baseline(section: EnvironmentSection) -> None:
    assert section.best_baseline is not None
    best = section.named(section.best_baseline)
    assert best.value == max(one.value for one in section.methods if one.kind == "baseline")
    assert (best.gain, best.gain_low, best.gain_high) == (0, 0, 0)
    for one in section.methods:
        assert one.gain == pytest.approx(one.value - best.value)


def test_settings_switch_mechanisms_off(section: EnvironmentSection) -> None:
    assert [one.name for one in section.settings] == [
        "all mechanisms",
        "without boredom",
        "without after-effect",
        "without exit",
        "no mechanism",
    ]
    everything, nothing = section.settings[0].returns, section.settings[-1].returns
    assert everything[PLAN] == section.named(PLAN).value
    assert everything[PLAN] > everything[GREEDY]
    assert nothing[GREEDY] == max(nothing.values())  # nothing lasts, so no plan can win
    assert all("markov" in one.returns for one in section.settings)


def test_the_check_is_of_the_setting_where_nothing_lasts(
    section: EnvironmentSection, of_fitted: EnvironmentSection
) -> None:
    for one in (section, of_fitted):
        assert one.check is not None
        returns = one.settings[-1].returns
        assert one.check.setting == one.settings[-1].name == "no mechanism"
        assert one.check.gain == pytest.approx(returns[one.check.best] - returns[GREEDY])
        assert returns[one.check.best] == max(returns[name] for name in set(returns) - {GREEDY})
        assert one.check.passed
    assert not section.check.model_copy(update={"low": 0.1}).passed  # type: ignore[union-attr]
    words = {}
    for low in (-1.0, 1.0):
        check = section.check.model_copy(update={"low": low})  # type: ignore[union-attr]
        changed = section.model_copy(update={"check": check})
        words[low] = str(render_partial("environment/template.html.j2", [], section=changed))
    assert "The measurement is wrong" in words[1.0]
    assert "The measurement is wrong" not in words[-1.0]


def test_fitted_users_are_compared_at_every_strength_and_say_how_well_they_predict(
    of_fitted: EnvironmentSection, section: EnvironmentSection, data: Generated
) -> None:
    assert [one.name for one in of_fitted.settings] == [one.name for one in STRENGTHS]
    assert all({"popularity", "content similarity"} < set(one.returns) for one in of_fitted.settings)
    assert section.fit is None
    fit = of_fitted.fit
    assert fit is not None
    mean, biased, model = fit.errors
    assert model.rmse < biased.rmse < mean.rmse
    assert model.mae < biased.mae < mean.mae
    test = data.dataset.user_split == 2
    assert fit.users == test.sum()
    later = FittedDataset(data.dataset, FittedParams()).later("test")
    ratings = data.dataset.rating_code[later.events].numpy() / 2
    assert fit.events == len(ratings)
    assert mean.rmse == pytest.approx(ratings.std(), abs=0.1)
    assert len(fit.calibration) == 10
    predicted, observed = (
        np.array([getattr(one, name) for one in fit.calibration]) for name in ("predicted", "observed")
    )
    assert (np.diff(predicted) > 0).all()
    assert predicted.mean() == pytest.approx(observed.mean(), abs=0.2)
    assert np.corrcoef(predicted, observed)[0, 1] > 0.8
    sessions = fit.sessions
    assert sessions.logged[0] == sessions.simulated[0] == 1
    assert sessions.distance == max(
        abs(one - other) for one, other in zip(sessions.logged, sessions.simulated, strict=True)
    )
    text = str(render_partial("environment/template.html.j2", draw(of_fitted), section=of_fitted))
    assert "a model and not the truth" in text
    assert f"{model.rmse:.3f}" in text
    assert "a model and not the truth" not in str(render_partial("environment/template.html.j2", [], section=section))


def test_the_page_says_what_was_measured(section: EnvironmentSection) -> None:
    text = str(render_partial("environment/template.html.j2", draw(section), section=section))
    assert f"{section.named(GREEDY).value:.0f}" in text
    for one in section.methods:
        assert one.name in text
        assert f"{one.value:.1f}" in text


def test_no_section_without_test_users(data: Generated, tmp_path_factory: pytest.TempPathFactory) -> None:
    alone = generated(tmp_path_factory.mktemp("few"), SampleParams(users=30, movies=60, mechanics=Mechanics(horizon=2)))
    alone.dataset.user_split = np.zeros_like(alone.dataset.user_split)
    assert measure_environment(known_simulation(alone.simulated), {}, PARAMS) is None


def test_a_return_is_the_product_of_its_parts(section: EnvironmentSection, data: Generated) -> None:
    view = data.simulated.view
    for one in section.methods:
        assert one.parts is not None
        assert one.parts.rating is not None
        reward = view.scale * one.parts.rating + view.offset
        assert one.value == pytest.approx(one.length * one.parts.watched * reward)
    boring = {one.name: one.parts.boring for one in section.methods if one.parts}
    assert boring["content similarity"] > boring["random items"] > 0
    assert boring[GREEDY] < boring["true liking, no state"]  # it knows what bores
    assert [one.name for one in section.explained] == ["content similarity", section.best_baseline, "markov"][
        : 2 + (section.best_baseline != "markov")
    ]
    text = str(render_partial("environment/template.html.j2", [], section=section))
    assert f"{100 * boring['content similarity']:.0f} % is of a topic that bores" in " ".join(text.split())


def test_policies_are_rolled_out_in_the_order_of_their_critics_too(data: Generated) -> None:
    torch.manual_seed(0)
    sizes = data.dataset.observation_dim, data.dataset.dim, 8
    policies = {name: Policy(Actor(*sizes, 2.0), data.dataset.embedding, "cosine", Critics(2, *sizes)) for name in "ab"}
    policies["b"].candidates = 5  # its critics re-rank already
    everything = known_simulation(data.simulated)
    simulation = everything._replace(
        settings={name: everything.settings[name] for name in ("all mechanisms", "no mechanism")}
    )
    params = PARAMS.model_copy(update={"users": 4, "tuning_users": 2, "critic_candidates": 20})
    found = measure_environment(simulation, policies, params)
    assert found is not None
    assert {one.name for one in found.methods if one.kind == "critics"} == {"a by its critics"}
    assert found.best_by_critics == found.named("a by its critics")
    assert found.best_policy in policies
    assert "a by its critics" not in found.settings[1].returns
    policies["a"].candidates = 20
    again = measure_environment(simulation, policies, params)
    assert again is not None
    assert again.named("a").value == found.named("a by its critics").value != found.named("a").value
    assert again.best_by_critics is None
    text = str(render_partial("environment/template.html.j2", draw(found), section=found))
    assert "the 20 items nearest" in " ".join(text.split())


def test_the_log_shows_boredom_if_ratings_of_boring_topics_are_lower(
    data: Generated, of_fitted: EnvironmentSection
) -> None:
    assert of_fitted.fit is not None
    assert of_fitted.fit.boredom is not None
    assert of_fitted.fit.boredom.assumed == pytest.approx(-2 * 0.75)
    fitted = FittedDataset(data.dataset, FittedParams())
    later = fitted.later("test")
    boring, noise = boring_choices(fitted, later), np.random.default_rng(0).normal(0, 0.1, len(later.events))
    nothing, bored = (logged_boredom(fitted, later, noise - lower * boring) for lower in (0.0, 1.0))
    assert nothing is not None
    assert bored is not None
    assert nothing.low < 0 < nothing.high
    assert bored.low < -1 < bored.high < -0.9
    assert bored.share == pytest.approx(boring.mean())
    assert logged_boredom(fitted, Later(later.users[:1], later.events[:1]), noise[:1]) is None  # one kind alone


def test_boring_choices_follow_the_rule_event_by_event(data: Generated) -> None:
    fitted = FittedDataset(data.dataset, FittedParams())
    later, mechanics = fitted.later("test"), fitted.users.mechanics
    found = dict(zip(later.events.tolist(), boring_choices(fitted, later).tolist(), strict=True))
    user = int(np.flatnonzero(data.dataset.user_split == 2)[0])
    begin, end = (int(one) for one in data.dataset.head.offset[user : user + 2])
    topics = fitted.users.world.topics[data.dataset.item[begin:end].numpy()].tolist()
    until = dict.fromkeys(topics, 0)
    for place, topic in enumerate(topics):
        if begin + place in found:
            assert found[begin + place] == (place < until[topic])
        if topics[max(0, place - mechanics.bored_within + 1) : place + 1].count(topic) >= mechanics.bored_after:
            until[topic] = place + 1 + mechanics.bored_for


def test_the_challenger_is_rolled_out_without_its_critics_too(data: Generated) -> None:
    torch.manual_seed(0)
    dataset = data.dataset
    sizes = dataset.observation_dim, dataset.dim, 8
    policies = {
        str(candidates): Policy(Actor(*sizes, 2.0), dataset.embedding, "cosine", Critics(2, *sizes), candidates)
        for candidates in (20, 0)
    }
    policies["0"].actor, policies["0"].critics = policies["20"].actor, policies["20"].critics
    simulation, params = known_simulation(data.simulated), PARAMS.model_copy(update={"users": 10})
    found = measure_environment(simulation, policies, params, challenger="20")
    assert found is not None
    assert found.without_critics is not None
    one, values = found.without_critics, {name: found.named(name).value for name in policies}
    assert (one.value, one.without) == (values["20"], values["0"])
    assert one.difference == pytest.approx(values["20"] - values["0"])
    assert one.low <= one.difference <= one.high
    plain = measure_environment(simulation, policies, params, challenger="0")
    assert plain is not None
    assert plain.without_critics is None
