"""The section of returns, on a small generated dataset with baselines."""

import numpy as np
import pytest
import torch
from unit.evaluation.off_policy.off_policy_support import Generated, generated

from evaluation.baselines import fit_baselines
from evaluation.fitted_dataset import FittedDataset, FittedParams
from evaluation.report.page import render_partial
from evaluation.report.sections.environment.charts import draw
from evaluation.report.sections.environment.numbers import (
    CONTROLS,
    GREEDY,
    PLAN,
    EnvironmentParams,
    EnvironmentSection,
    measure_environment,
)
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
