"""A served policy follows its alias, and a bad new one does not take its place."""

import shutil
from pathlib import Path

import pytest
from unit.serving.serving_support import ITEMS, make_policy, publish_policy

from models.errors import PolicyError
from serving.asking import Question, Rated
from serving.errors import UnknownMethodError
from serving.served import Served, ServedPolicies
from storage.artifacts.collection import collect
from storage.artifacts.object_stores import open_store
from storage.errors import ArtifactDamagedError, ArtifactError, UnknownAliasError


def test_a_moved_alias_replaces_the_policy_and_an_unmoved_one_does_not(published: str, tmp_path: Path) -> None:
    one = Served(published, "policy@champion")
    assert one.refresh()
    before = one.current
    assert not one.refresh()
    assert one.current is before
    ref = make_policy(tmp_path / "maker", seed=1)
    publish_policy(tmp_path / "maker", ref, published)
    assert one.refresh()
    assert one.current is not None
    assert (one.current.digest, one.current.name, one.reloads, one.error) == (ref.digest, "policy@champion", 2, None)


def refused(one: Served, error: type[Exception], message: str) -> None:
    before = one.current
    with pytest.raises(error, match=message):
        one.refresh()
    assert one.current is before
    assert one.error is not None
    assert message.split(maxsplit=1)[0] in one.error


def test_the_policy_before_stays_if_the_new_one_is_damaged_invalid_of_another_catalogue_or_unreachable(
    published: str, tmp_path: Path
) -> None:
    one = Served(published, "policy@champion")
    one.refresh()
    maker = tmp_path / "maker"
    damaged = make_policy(maker, seed=1)
    publish_policy(maker, damaged, published)
    weights = next(Path(published).glob(f"artifacts/policy/{damaged.digest}/*/policy.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(bytes(len(whole)))
    refused(one, ArtifactDamagedError, "expected SHA-256")
    invalid = make_policy(maker, seed=2, spoil=lambda folder: (folder / "config.json").write_text("{}"))
    publish_policy(maker, invalid, published)
    refused(one, PolicyError, "expected the config of a policy")
    other = make_policy(maker, seed=3, ids=range(1000, 1000 + ITEMS))
    publish_policy(maker, other, published)
    refused(one, ArtifactError, "expected a policy that knows some of the items")
    shutil.rmtree(published)
    refused(one, UnknownAliasError, "expected policy@champion")
    assert one.failures == 4


def test_a_replaced_policy_can_be_removed_and_still_answers_who_holds_it(published: str, tmp_path: Path) -> None:
    one = Served(published, "policy@champion")
    one.refresh()
    digests, asked = [], Question(history=(Rated(movie_id=11, rating=5.0), Rated(movie_id=14, rating=1.0)))
    for seed in range(3):
        ref = make_policy(tmp_path / "maker", "ranking", seed=seed)
        publish_policy(tmp_path / "maker", ref, published)
        one.refresh()
        digests.append(ref.digest)
        if seed == 0:
            held = one.current
            assert held is not None
            before = held.recommend(asked)
    reader = tmp_path / "reader"
    collect(reader, open_store(published), keep_days=0, delete=True)
    left = {path.name for path in (reader / "foreign").glob("*/policy/*")}
    assert left == set(digests[1:])  # the champion, and the one that a rollback goes back to
    assert held.recommend(asked) == before
    assert one.current is not None
    assert one.current.recommend(asked).digest == digests[-1]


def test_methods_are_named_by_policy_or_baseline(published: str, tmp_path: Path) -> None:
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker", seed=1), published, "latest")
    policies = ServedPolicies([Served(published, "policy@champion"), Served(published, "policy@latest")])
    assert policies.problems == {"policy@champion": "not loaded yet", "policy@latest": "not loaded yet"}
    assert policies.recommender_for(None) is None
    policies.start()
    policies.stop()
    first, second = (one.current for one in policies.served.values())
    assert first is not second
    assert policies.recommender_for(None) is policies.recommender_for("popularity") is first
    assert policies.recommender_for("policy@latest") is second
    assert policies.problems == {}
    with pytest.raises(
        UnknownMethodError, match="expected one of policy@champion, policy@latest, popularity; found 'x'"
    ):
        policies.recommender_for("x")


def test_a_policy_that_is_named_twice_is_loaded_once_and_is_the_default(published: str) -> None:
    policies = ServedPolicies([Served(published, "policy@champion"), Served(published, "policy@champion")])
    policies.start()
    policies.stop()
    assert policies.problems == {}
    assert policies.recommender_for(None) is policies.served["policy@champion"].current is not None


def test_an_unexpected_error_is_told_and_counted(published: str) -> None:
    one = Served(published, "policy@champion")
    alias = Path(published) / "aliases" / "policy" / "champion.json"
    alias.unlink()
    alias.mkdir()
    with pytest.raises(IsADirectoryError):
        one.refresh()
    assert one.error is not None
    assert one.error.startswith("IsADirectoryError")
    assert one.failures == 1


def test_a_folder_is_served_under_a_name(tmp_path: Path) -> None:
    ref = make_policy(tmp_path)
    one = Served(str(tmp_path / "artifacts" / "policy" / ref.digest), "policy@mine")
    assert one.refresh()
    assert not one.refresh()
    assert one.current is not None
    assert one.current.name == "policy@mine"
