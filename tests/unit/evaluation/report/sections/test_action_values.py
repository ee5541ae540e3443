"""Values of recommended items against those of the actions."""

import numpy as np
import pytest
from torch.nn.functional import cosine_similarity
from unit.evaluation.report.sections.sections_support import rendered

from evaluation.report.sections.actions.numbers import measure_actions
from evaluation.report.sections.actions.values import Values, measure_values
from models.networks import Actor, Critics
from models.policy import Policy
from storage.dataset.reader import TransitionDataset


def policy_on(data: TransitionDataset, critics: bool = True) -> Policy:
    sizes = data.observation_dim, data.dim, 8
    return Policy(Actor(*sizes, 1.0), data.embedding, "cosine", Critics(2, *sizes) if critics else None)


def test_values_are_means_over_users_of_what_is_recommended_first(data: TransitionDataset) -> None:
    starts, policy = data.starts("test")[::5], policy_on(data)
    assert policy.critics is not None
    by_user: dict[int, list[tuple[float, float]]] = {}
    for start in starts:
        (items, _), user = data.histories(start.view(1)), int(data.users_of(start.view(1)))
        fresh = [item for item in range(len(data.embedding)) if item not in items[0].tolist()]
        state = data.gather(start.view(1)).observation
        action = policy.actor(state).detach()
        best = max(fresh, key=lambda item: float(cosine_similarity(action, data.embedding[item : item + 1])))
        values = [policy.critics(state, one).amin().item() for one in (action, data.embedding[best : best + 1])]
        by_user.setdefault(user, []).append((values[0], values[1]))
    generated, recommended = np.array([np.mean(rows, axis=0) for rows in by_user.values()]).mean(0)
    found = measure_values(data, policy, starts, seed=0)
    assert found is not None
    assert found.generated == pytest.approx(generated, abs=1e-6)
    assert found.recommended == pytest.approx(recommended, abs=1e-6)
    assert found.difference == pytest.approx(recommended - generated, abs=1e-6)
    assert found.low < found.difference < found.high


def test_only_policies_with_critics_have_values(data: TransitionDataset) -> None:
    policies = {"valuing": policy_on(data), "no critics": policy_on(data, critics=False)}
    section = measure_actions(data, policies, sample=40)
    assert isinstance(section.policies[0].values, Values)
    assert section.policies[1].values is None
    page = rendered("actions", section, [])
    assert page.count("<td>valuing</td>") == 2
    assert page.count("<td>no critics</td>") == 1
    assert 'id="action-values"' not in rendered(
        "actions", measure_actions(data, {"no": policies["no critics"]}, sample=40), []
    )
