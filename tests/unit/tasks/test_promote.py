"""When policy@champion moves, and what happens when two runs decide at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from unit.storage.artifacts.publishing_support import make

from evaluation.protocols.promotion import ChampionComparison, PromotionParams, compare_per_user
from storage.artifacts.aliases import Alias, move_alias, read_alias, roll_back
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef
from storage.errors import AliasMovedError
from tasks.promote import TRIES, Decision, NotComparableError, Rule, comparable_champion, decide_and_move

WHY = {"learner": "ranking"}


class Bucket:
    """A folder with published policies, and the true value of each per user."""

    def __init__(self, folder: Path) -> None:
        self.store, self.home = LocalFolder(folder / "published"), folder / "home"
        self.values: dict[str, np.ndarray] = {}
        self.compared: list[tuple[str, str]] = []

    def policy(self, seed: int, better: float = 0.0) -> ArtifactRef:
        """Publish a policy that is better than the others by so much on average, and differs from them by chance."""
        artifacts, ref = make(self.home, seed=seed)
        publish(self.store, artifacts, ref)
        noise = np.random.default_rng(seed).normal(0, 0.2, 300)
        self.values[ref.digest] = 0.3 + better + noise - noise.mean()
        return ref

    def comparing(self, challenger: ArtifactRef) -> Callable[[str], ChampionComparison]:
        def compare(digest: str) -> ChampionComparison:
            self.compared.append((challenger.digest, digest))
            return compare_per_user(self.values[challenger.digest], self.values[digest], PromotionParams())

        return compare

    def decide(self, challenger: ArtifactRef, rule: Rule = "if-better", store: LocalFolder | None = None) -> Decision:
        return decide_and_move(store or self.store, challenger, WHY, rule, self.comparing(challenger))

    @property
    def champion(self) -> Alias | None:
        found = read_alias(self.store, "policy", "champion")
        return found[0] if found else None

    @property
    def digest(self) -> str | None:
        return self.champion.digest if self.champion else None


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


@pytest.mark.parametrize(
    ("rule", "better", "promoted"),
    [
        ("if-better", 0.1, True),
        ("if-better", 0.005, False),  # better on average, and inside the interval
        ("if-better", 0.0, False),
        ("if-better", -0.1, False),
        ("always", -0.1, True),
        ("never", 0.1, False),
    ],
)
def test_the_champion_moves_when_the_rule_says_so(bucket: Bucket, rule: Rule, better: float, promoted: bool) -> None:
    first, second = bucket.policy(0), bucket.policy(1, better)
    begun = bucket.decide(first)
    assert (begun.promoted, begun.why, begun.previous) == (True, "There was no champion.", None)
    decision = bucket.decide(second, rule)
    assert decision.promoted is promoted
    assert bucket.digest == decision.champion == (second if promoted else first).digest
    assert decision.previous == first.digest
    assert (decision.comparison is not None) is (rule == "if-better")
    if decision.comparison is not None:
        assert decision.comparison.difference == pytest.approx(better)
        assert decision.why == decision.comparison.sentence()


def test_a_promotion_keeps_the_previous_champion_and_says_why(bucket: Bucket) -> None:
    first, second = bucket.policy(0), bucket.policy(1, 0.1)
    bucket.decide(first)
    decision = bucket.decide(second)
    assert bucket.champion is not None
    assert [one.digest for one in bucket.champion.history] == [first.digest]
    why = bucket.champion.why
    assert (why["learner"], why["rule"], why["why"]) == ("ranking", "if-better", decision.why)
    assert decision.comparison is not None
    assert why["comparison"] == decision.comparison.model_dump()


def test_never_makes_no_first_champion_and_the_champion_itself_is_not_promoted(bucket: Bucket) -> None:
    first = bucket.policy(0)
    assert not bucket.decide(first, "never").promoted
    assert bucket.champion is None
    bucket.decide(first)
    for rule in ("if-better", "always"):
        again = bucket.decide(first, rule)
        assert (again.promoted, again.why) == (False, "It is the champion already.")


def test_what_was_rolled_back_is_not_promoted_again_by_itself(bucket: Bucket) -> None:
    first, second = bucket.policy(0), bucket.policy(1, 0.1)
    bucket.decide(first)
    bucket.decide(second)
    roll_back(bucket.store, "policy", "champion")
    kept = bucket.decide(second)
    assert not kept.promoted
    assert "was rolled back" in kept.why
    assert bucket.digest == first.digest
    assert bucket.decide(second, "always").promoted


def test_a_champion_that_cannot_be_compared_stays(bucket: Bucket) -> None:
    first, second = bucket.policy(0), bucket.policy(1, 0.1)
    bucket.decide(first)

    def compare(_: str) -> ChampionComparison:
        raise NotComparableError("It knows none of the items.")

    kept = decide_and_move(bucket.store, second, WHY, "if-better", compare)
    assert not kept.promoted
    assert "cannot be compared" in kept.why
    assert "knows none of the items" in kept.why
    assert bucket.digest == first.digest
    assert decide_and_move(bucket.store, second, WHY, "always", compare).promoted


class Contested(LocalFolder):
    """A store in which another run promotes a policy just before each of our first writes."""

    def __init__(self, bucket: Bucket, others: list[ArtifactRef]) -> None:
        super().__init__(bucket.store.root)
        self.bucket, self.others = bucket, others

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        if self.others:
            move_alias(self.bucket.store, self.others.pop(0), "champion", {})
        return super().compare_and_swap(key, data, etag)


@pytest.mark.parametrize(("better", "wins"), [(0.1, False), (0.4, True)])
def test_of_two_promoters_at_once_the_loser_compares_with_the_winner(bucket: Bucket, better: float, wins: bool) -> None:
    old, ours, theirs = bucket.policy(0), bucket.policy(1, better), bucket.policy(2, 0.2)
    bucket.decide(old)
    decision = bucket.decide(ours, store=Contested(bucket, [theirs]))
    assert bucket.compared == [(ours.digest, old.digest), (ours.digest, theirs.digest)]
    assert decision.promoted is wins
    assert decision.previous == theirs.digest
    assert bucket.digest == (ours if wins else theirs).digest


def test_a_first_champion_that_others_made_meanwhile_is_compared_with(bucket: Bucket) -> None:
    ours, theirs = bucket.policy(1), bucket.policy(2, 0.2)
    decision = bucket.decide(ours, store=Contested(bucket, [theirs]))
    assert bucket.compared == [(ours.digest, theirs.digest)]
    assert not decision.promoted
    assert bucket.digest == theirs.digest


def test_a_champion_that_moves_all_the_time_is_an_error(bucket: Bucket) -> None:
    ours = bucket.policy(1, 0.5)
    others = [bucket.policy(seed) for seed in range(2, 2 + TRIES)]
    with pytest.raises(AliasMovedError, match="others moved it 5 times"):
        bucket.decide(ours, store=Contested(bucket, list(others)))
    assert bucket.digest == others[-1].digest


def test_a_torn_champion_alias_does_not_block_promotion(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    first, second = bucket.policy(1), bucket.policy(2)
    bucket.decide(first)
    (bucket.store.root / "aliases" / "policy" / "champion.json").write_text('{"kind": "poli')
    assert bucket.decide(second).promoted
    assert bucket.digest == second.digest
    assert "The published document is damaged and will be replaced" in caplog.text


@pytest.mark.parametrize("lost", ["manifest.json", "a.bin"])
def test_a_champion_whose_files_are_gone_does_not_block_publishing(bucket: Bucket, lost: str) -> None:
    ref = bucket.policy(1)
    next(bucket.store.root.rglob(lost)).unlink()
    with pytest.raises(NotComparableError):
        comparable_champion(ref.digest, ref, bucket.store.uri)
