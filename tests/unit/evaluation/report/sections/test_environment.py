"""The section of returns, on a small generated dataset with baselines."""

import numpy as np
import pytest
from unit.evaluation.off_policy.off_policy_support import Generated, generated

from evaluation.baselines import fit_baselines
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
from models.environments.controls import of_policy
from models.environments.mechanics import Mechanics
from models.environments.returns import returns_of
from tasks.sample import SampleParams

PARAMS = EnvironmentParams(users=30, tuning_users=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    mechanics = Mechanics(horizon=25, exit_rate=0.02)
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=120, movies=200, mechanics=mechanics))


@pytest.fixture(scope="module")
def section(data: Generated) -> EnvironmentSection:
    scorers = fit_baselines(data.dataset, {"popularity": {}, "markov": {}, "content similarity": {}}, max_items=200)
    found = measure_environment(
        data.simulated, scorers, PARAMS, baselines=("popularity", "markov"), ndcg={"markov": 0.1}
    )
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
    alone = returns_of(of_policy(markov), data.simulated.users, data.simulated.catalogue, rows, 0)
    assert section.named("markov").value == pytest.approx(alone.values.mean())


def test_gains_are_differences_from_the_best_baseline(section: EnvironmentSection) -> None:
    assert section.best_baseline is not None
    best = section.named(section.best_baseline)
    assert best.value == max(one.value for one in section.methods if one.kind == "baseline")
    assert (best.gain, best.gain_low, best.gain_high) == (0, 0, 0)
    for one in section.methods:
        assert one.gain == pytest.approx(one.value - best.value)


def test_settings_switch_mechanisms_off(section: EnvironmentSection) -> None:
    assert [one.off for one in section.settings] == [
        (),
        ("boredom",),
        ("after_effect",),
        ("exit",),
        ("boredom", "after_effect", "exit"),
    ]
    everything, nothing = section.settings[0].returns, section.settings[-1].returns
    assert everything[PLAN] == section.named(PLAN).value
    assert everything[PLAN] > everything[GREEDY]
    assert nothing[GREEDY] == max(nothing.values())  # nothing lasts, so no plan can win


def test_the_page_says_what_was_measured(section: EnvironmentSection) -> None:
    text = str(render_partial("environment/template.html.j2", draw(section), section=section))
    assert f"{section.named(GREEDY).value:.0f}" in text
    for one in section.methods:
        assert one.name in text
        assert f"{one.value:.1f}" in text


def test_no_section_without_test_users(data: Generated, tmp_path_factory: pytest.TempPathFactory) -> None:
    alone = generated(tmp_path_factory.mktemp("few"), SampleParams(users=30, movies=60, mechanics=Mechanics(horizon=2)))
    alone.dataset.user_split = np.zeros_like(alone.dataset.user_split)
    assert measure_environment(alone.simulated, {}, PARAMS) is None
