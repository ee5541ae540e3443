"""What the section on off-policy values warns of."""

from dataclasses import replace

from evaluation.off_policy.estimates import OffPolicyParams
from evaluation.report.sections.off_policy.numbers import warning
from models.off_policy.estimators import Estimates, Value
from storage.dataset.scale import RatingScale, RewardMap

PARAMS = OffPolicyParams()


def test_each_reason_for_a_warning_is_said_alone() -> None:
    near, scale = Value(1.0, 0.8, 1.2), RatingScale()
    reward = RewardMap.default(scale)  # a reward is half a star
    sound = Estimates(near, near, near, near, Value(0.2, -0.1, 0.5), 60.0, 500.0, 50.0, Value(1.1, 0.9, 1.3), 10.0, 0.1)
    chance, small = Value(0.6, -0.1, 1.3), Value(0.2, 0.1, 0.3)
    for estimates in (
        sound,
        replace(sound, mean_weight=Value(2.4, 0.9, 3.0)),
        replace(sound, correction=chance),
        replace(sound, correction=small),
    ):
        assert warning(estimates, 0.95, PARAMS, scale, reward) is None
    nothing = Value(float("nan"), float("nan"), float("nan"))
    for estimates, support, word in (
        (replace(sound, effective_users=19.0), 0.95, "number of users is 19"),
        (sound, 0.7, "30%"),
        (replace(sound, mean_weight=Value(2.4, 2.0, 2.9)), 0.95, "more often"),
        (replace(sound, mean_weight=Value(0.3, 0.1, 0.6)), 0.95, "less often"),
        (replace(sound, correction=Value(0.6, 0.2, 1.0)), 0.95, "0.30 higher"),
        (replace(sound, correction=Value(-0.6, -1.0, -0.2)), 0.95, "0.30 lower"),
        (replace(sound, effective_users=0.0, doubly_robust=nothing, correction=nothing), 0.95, "number of users is 0"),
    ):
        said = warning(estimates, support, PARAMS, scale, reward)
        assert said is not None
        assert word in said
        assert said.count(". ") == 0
