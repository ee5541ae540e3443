"""Aliases of published artifacts in a folder; the same over HTTP is in tests/integration/test_s3.py."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from unit.storage.artifacts.publishing_support import make

from storage.artifacts.aliases import HISTORY, Alias, move_alias, read_alias, roll_back
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef
from storage.errors import AliasMovedError, ArtifactDamagedError, RollbackError, UnknownAliasError


def test_alias_moves_by_compare_and_swap(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path / "published")
    refs = []
    for seed in range(4):
        artifacts, ref = make(tmp_path / "home", seed=seed)
        publish(store, artifacts, ref)
        refs.append(ref)
    threads = [threading.Thread(target=move_alias, args=(store, ref, "latest", {})) for ref in refs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_alias(store, "policy", "latest")
    assert found is not None
    assert found[0].digest in {ref.digest for ref in refs}
    assert found[0].previous in {ref.digest for ref in refs} - {found[0].digest}

    def refuse(present: Alias | None) -> bool:
        assert present is not None
        return False

    other = next(ref for ref in refs if ref.digest != found[0].digest)
    assert move_alias(store, other, "latest", {}, refuse) is None
    assert read_alias(store, "policy", "latest") == found


class Contested(LocalFolder):
    """A store in which others move an alias just before each of our first writes."""

    def __init__(self, root: Path, others: list[ArtifactRef]) -> None:
        super().__init__(root)
        self.others = others

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        if self.others:
            move_alias(LocalFolder(self.root), self.others.pop(), "champion", {})
        return super().compare_and_swap(key, data, etag)


@pytest.fixture
def policies(tmp_path: Path) -> list[ArtifactRef]:
    """Three published policies."""
    refs = []
    for seed in range(3):
        artifacts, ref = make(tmp_path / "home", seed=seed)
        publish(LocalFolder(tmp_path / "published"), artifacts, ref)
        refs.append(ref)
    return refs


def test_an_alias_that_others_moved_meanwhile_is_read_again(tmp_path: Path, policies: list[ArtifactRef]) -> None:
    ours, first, second = policies
    seen: list[str | None] = []

    def should_move(present: Alias | None) -> bool:
        seen.append(present.digest if present else None)
        return True

    store = Contested(tmp_path / "published", [second, first])
    moved = move_alias(store, ours, "champion", {}, should_move)
    assert seen == [None, first.digest, second.digest]
    assert moved is not None
    assert moved.previous == second.digest
    found = read_alias(store, "policy", "champion")
    assert found is not None
    assert found[0] == moved


def test_an_alias_that_others_made_better_meanwhile_stays(tmp_path: Path, policies: list[ArtifactRef]) -> None:
    ours, better, _ = policies
    store = Contested(tmp_path / "published", [better])
    assert move_alias(store, ours, "champion", {}, lambda present: present is None) is None
    found = read_alias(store, "policy", "champion")
    assert found is not None
    assert found[0].digest == better.digest


def test_an_alias_that_cannot_be_moved_is_reported(
    tmp_path: Path, policies: list[ArtifactRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFolder, "compare_and_swap", lambda *_: False)
    with pytest.raises(AliasMovedError, match="20 times"):
        move_alias(LocalFolder(tmp_path / "published"), policies[0], "champion", {})


def champion(store: LocalFolder) -> Alias:
    found = read_alias(store, "policy", "champion")
    assert found is not None
    return found[0]


@pytest.fixture
def third(tmp_path: Path, policies: list[ArtifactRef]) -> LocalFolder:
    """A store whose champion was each of the three policies, in their order."""
    store = LocalFolder(tmp_path / "published")
    for place, ref in enumerate(policies):
        move_alias(store, ref, "champion", {"place": place})
    return store


def test_an_alias_remembers_what_it_named_before(third: LocalFolder, policies: list[ArtifactRef]) -> None:
    a, b, c = policies
    alias = champion(third)
    assert (alias.format, alias.digest, alias.previous) == ("marquee-alias/2", c.digest, b.digest)
    assert [(one.digest, one.sha256, one.why) for one in alias.history] == [
        (b.digest, b.sha256, {"place": 1}),
        (a.digest, a.sha256, {"place": 0}),
    ]


def test_rollback_goes_one_back_each_time_and_then_refuses(
    third: LocalFolder, policies: list[ArtifactRef], tmp_path: Path
) -> None:
    a, b, c = policies
    before, after = roll_back(third, "policy", "champion")
    assert (before.digest, after.digest) == (c.digest, b.digest)
    assert champion(third) == after
    assert after.why == {"place": 1, "rolled_back_from": c.digest}
    assert pull(third, "policy@champion", tmp_path / "pulled").digest == b.digest
    assert pull(third, "policy@previous", tmp_path / "pulled").digest == a.digest
    assert roll_back(third, "policy", "champion")[1].digest == a.digest
    with pytest.raises(RollbackError, match=rf"{b.digest} \(rolled back\), {c.digest} \(rolled back\)"):
        roll_back(third, "policy", "champion")
    assert champion(third).digest == a.digest
    with pytest.raises(UnknownAliasError):
        pull(third, "policy@previous", tmp_path / "pulled")


def test_rollback_to_a_digest_marks_what_is_newer_and_can_be_undone(
    third: LocalFolder, policies: list[ArtifactRef]
) -> None:
    a, b, c = policies
    after = roll_back(third, "policy", "champion", a.digest[:10])[1]
    assert [(one.digest, one.rolled_back) for one in after.history] == [(c.digest, True), (b.digest, True)]
    undone = roll_back(third, "policy", "champion", c.digest)[1]
    assert undone.digest == c.digest
    assert undone.rollback_target is not None
    assert undone.rollback_target.digest == a.digest


def test_a_move_after_a_rollback_keeps_the_mark(
    third: LocalFolder, policies: list[ArtifactRef], tmp_path: Path
) -> None:
    a, b, c = policies
    roll_back(third, "policy", "champion")
    artifacts, new = make(tmp_path / "home", seed=7)
    publish(third, artifacts, new)
    move_alias(third, new, "champion", {})
    history = [(one.digest, one.rolled_back) for one in champion(third).history]
    assert history == [(b.digest, False), (c.digest, True), (a.digest, False)]


def test_rollback_refuses_an_unknown_digest_and_what_is_no_longer_published(
    third: LocalFolder, policies: list[ArtifactRef]
) -> None:
    _, b, _ = policies
    with pytest.raises(RollbackError, match="Expected one earlier artifact 0000"):
        roll_back(third, "policy", "champion", "0000")
    with pytest.raises(UnknownAliasError, match="no such alias"):
        roll_back(third, "policy", "best")
    before = champion(third)
    shutil.rmtree(third.root / "artifacts" / "policy" / b.digest)
    with pytest.raises(RollbackError, match=f"policy/{b.digest} as it was published"):
        roll_back(third, "policy", "champion")
    assert champion(third) == before


def test_of_two_rollbacks_at_once_one_says_that_it_lost(
    third: LocalFolder, policies: list[ArtifactRef], tmp_path: Path
) -> None:
    class RolledBack(LocalFolder):
        def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
            roll_back(third, "policy", "champion")
            return super().compare_and_swap(key, data, etag)

    with pytest.raises(AliasMovedError, match=f"to name {policies[2].digest}"):
        roll_back(RolledBack(third.root), "policy", "champion")
    assert champion(third).digest == policies[1].digest


def test_a_history_is_bounded_and_holds_nothing_twice(third: LocalFolder, policies: list[ArtifactRef]) -> None:
    for _ in range(3):
        for ref in policies:
            move_alias(third, ref, "champion", {})
    assert [one.digest for one in champion(third).history] == [policies[1].digest, policies[0].digest]
    many = champion(third).model_copy(
        update={
            "history": tuple(champion(third).as_earlier().model_copy(update={"digest": f"{n:032x}"}) for n in range(40))
        }
    )
    assert len(many.moved("d" * 32, "s", {}, (many.as_earlier(), *many.history)).history) == HISTORY


def test_an_alias_of_the_first_format_is_read_and_one_of_another_is_refused(
    third: LocalFolder, policies: list[ArtifactRef]
) -> None:
    path = third.root / "aliases" / "policy" / "champion.json"
    old = {
        name: value
        for name, value in json.loads(path.read_text()).items()
        if name not in ("format", "history", "checksum")
    }
    path.write_text(json.dumps(old))
    assert (champion(third).format, champion(third).history) == ("marquee-alias/1", ())
    with pytest.raises(RollbackError, match="found none"):
        roll_back(third, "policy", "champion")
    move_alias(third, policies[0], "champion", {})
    assert roll_back(third, "policy", "champion")[1].digest == policies[2].digest
    path.write_text(json.dumps(old | {"format": "marquee-alias/9"}))
    with pytest.raises(ArtifactDamagedError, match="does not parse"):
        champion(third)


def test_every_changed_bit_of_an_alias_is_seen(third: LocalFolder) -> None:
    path = third.root / "aliases" / "policy" / "champion.json"
    whole, alias = path.read_bytes(), champion(third)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            assert champion(third) == alias  # another space between two fields
        except ArtifactDamagedError:
            continue
    path.write_bytes(whole)
    assert champion(third) == alias
