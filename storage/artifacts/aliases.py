"""Movable names of published artifacts, and rolling them back.

An alias, `aliases/<kind>/<name>.json`, names one artifact, remembers those before it, and is moved by compare-and-swap.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from storage.artifacts.manifest import sha256_json
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.published import published_manifest, replaceable
from storage.artifacts.store import ArtifactRef
from storage.errors import AliasMovedError, ArtifactDamagedError, RollbackError, UnknownAliasError

ALIAS_TRIES = 20
FORMAT: Literal["marquee-alias/2"] = "marquee-alias/2"
HISTORY = 20  # earlier artifacts that an alias remembers
CHAMPION, PREVIOUS = "champion", "previous"


class Earlier(BaseModel):
    """An artifact that an alias named before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    sha256: str
    moved_at: str  # when the alias was moved to it
    why: dict[str, Any]
    rolled_back: bool = False  # whether a rollback moved the alias away from it


class Alias(BaseModel):
    """A movable name of one published artifact, and the artifacts that it named before, newest first.

    In its file there is one more field from format 2 on, `checksum`: the SHA-256 of the canonical JSON of all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-alias/1", "marquee-alias/2"] = (
        "marquee-alias/1"  # the first had neither format, history nor checksum
    )
    kind: str
    name: str
    digest: str
    sha256: str
    previous: str | None  # the digest that it named before
    moved_at: str
    why: dict[str, Any]
    history: tuple[Earlier, ...] = ()

    def to_json(self) -> bytes:
        """The bytes of the alias's file, with the checksum."""
        values = json.loads(self.model_dump_json())
        return json.dumps(values | {"checksum": sha256_json(values)}, indent=2, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the bytes of an alias's file.

        Raises:
            ValueError: they are no alias, or the checksum is another one.
        """
        values = json.loads(data)
        if isinstance(values, dict) and values.get("format") == FORMAT:
            checksum = values.pop("checksum", None)
            if checksum != sha256_json(values):
                raise ValueError("expected the checksum of the other fields")
        return cls.model_validate(values)

    def moved(self, digest: str, sha256: str, why: dict[str, Any], history: tuple[Earlier, ...]) -> "Alias":
        """This alias after a move; its history keeps the newest artifacts, without the one that it names."""
        kept = tuple(one for one in history if one.digest != digest)[:HISTORY]
        return Alias(
            format=FORMAT, kind=self.kind, name=self.name, digest=digest, sha256=sha256, previous=self.digest,
            moved_at=now(), why=why, history=kept,
        )  # fmt: skip

    def as_earlier(self, rolled_back: bool = False) -> Earlier:
        """What this alias names, as an entry of its history."""
        return Earlier(
            digest=self.digest, sha256=self.sha256, moved_at=self.moved_at, why=self.why, rolled_back=rolled_back
        )

    @property
    def rollback_target(self) -> Earlier | None:
        """The newest artifact of the history that was not rolled back, or None."""
        return next((one for one in self.history if not one.rolled_back), None)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_alias(store: ObjectStore, kind: str, name: str) -> tuple[Alias, str] | None:
    """An alias and the etag that moving it requires, or None if there is no such alias.

    Raises:
        ArtifactDamagedError: it does not parse.
    """
    found = store.get(alias_key(kind, name))
    return None if found is None else (_parse(found[0], store, kind, name), found[1])


def present_alias(store: ObjectStore, kind: str, name: str) -> Alias | None:
    """An alias for those who will move it; a damaged one counts as none, with a warning, as for `move_alias`."""
    return _replaceable_alias(store, kind, name)[0]


def _replaceable_alias(store: ObjectStore, kind: str, name: str) -> tuple[Alias | None, str | None]:
    """An alias and the etag that moving it requires; a damaged one is None, and the next move replaces it."""
    return replaceable(store, alias_key(kind, name), lambda data: _parse(data, store, kind, name))


def _parse(data: bytes, store: ObjectStore, kind: str, name: str) -> Alias:
    where = f"{store.uri}/{alias_key(kind, name)}"
    try:
        alias = Alias.parse(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactDamagedError(
            f"{where}: expected an alias; found what does not parse, or has another checksum. Publish again: that "
            "replaces it."
        ) from error
    if (alias.kind, alias.name) != (kind, name):
        raise ArtifactDamagedError(
            f"{where}: expected the alias {kind}@{name}; found {alias.kind}@{alias.name}. Publish again: that replaces it."
        )
    return alias


def move_alias(
    store: ObjectStore,
    ref: ArtifactRef,
    name: str,
    why: dict[str, Any],
    should_move: Callable[[Alias | None], bool] = lambda present: True,
) -> Alias | None:
    """Move an alias to a published artifact; None if `should_move` returns False for the alias's present state.

    A damaged alias is replaced as if there were none, with a warning. One that names other content under the same digest
    is corrected.

    Raises:
        UnknownAliasError: the artifact is not published.
        AliasMovedError: others moved it each time that we tried.
    """
    published = published_manifest(store, ref.kind, ref.digest)
    if published is None:
        raise UnknownAliasError(
            f"{store.uri}: {ref.kind}/{ref.digest} expected a published artifact; found none. Publish it before {name} is moved to it."
        )
    for _ in range(ALIAS_TRIES):
        present, etag = _replaceable_alias(store, ref.kind, name)
        is_named = present is not None and present.digest == ref.digest
        if present is not None and is_named and present.sha256 == published.sha256:
            return present
        if not is_named and not should_move(present):
            return None
        if present is None:
            alias = Alias(
                format=FORMAT, kind=ref.kind, name=name, digest=ref.digest, sha256=published.sha256,
                previous=None, moved_at=now(), why=why,
            )  # fmt: skip
        else:
            alias = present.moved(ref.digest, published.sha256, why, (present.as_earlier(), *present.history))
        if store.compare_and_swap(alias_key(ref.kind, name), alias.to_json(), etag):
            return alias
    raise AliasMovedError(
        f"{store.uri}: {ref.kind}@{name} expected to move it; others moved it {ALIAS_TRIES} times meanwhile. Run again."
    )


def roll_back(store: ObjectStore, kind: str, name: str, to: str | None = None) -> tuple[Alias, Alias]:
    """Move an alias back to the artifact that it named before; returns the alias before and after.

    What is left is marked in the history as rolled back. A second rollback goes one artifact further back.

    Args:
        store: where the alias is.
        kind: of the artifact.
        name: of the alias.
        to: the digest, or its beginning, of an artifact in the history; default: the newest that was not rolled back.

    Raises:
        RollbackError: the history has no such artifact, or it is no longer published.
        AliasMovedError: another process moved the alias meanwhile; it stays as that process left it.
        UnknownAliasError: there is no such alias.
    """
    found = read_alias(store, kind, name)
    if found is None:
        raise UnknownAliasError(f"{store.uri}: expected {kind}@{name}; found no such alias. Publish first.")
    present, etag = found
    matching = [one for one in present.history if one.digest.startswith(to)] if to else [present.rollback_target]
    target = matching[0] if len(matching) == 1 else None
    if target is None:
        earlier = ", ".join(one.digest + " (rolled back)" * one.rolled_back for one in present.history)
        raise RollbackError(
            f"{store.uri}: {kind}@{name} names {present.digest}. Expected "
            f"{f'one earlier artifact {to}' if to else 'an earlier artifact that was not rolled back'}; "
            f"found {earlier or 'none'}. Name one of these with --to."
        )
    published = published_manifest(store, kind, target.digest)
    if published is None or published.sha256 != target.sha256:
        raise RollbackError(
            f"{store.uri}: expected {kind}/{target.digest} as it was published; found other content, or none. "
            "Publish it again, or name another digest with --to."
        )
    place = present.history.index(target)
    # Going back marks everything newer than the target; returning to what was rolled back marks nothing.
    newer = [present.as_earlier(), *present.history[:place]]
    passed = newer if target.rolled_back else [one.model_copy(update={"rolled_back": True}) for one in newer]
    history = (*passed, *present.history[place + 1 :])
    alias = present.moved(target.digest, target.sha256, {**target.why, "rolled_back_from": present.digest}, history)
    if not store.compare_and_swap(alias_key(kind, name), alias.to_json(), etag):
        raise AliasMovedError(
            f"{store.uri}: expected {kind}@{name} to name {present.digest}; another process moved it meanwhile. "
            "Look at what it names now, and run again."
        )
    return present, alias


def previous_champion(store: ObjectStore, kind: str) -> Earlier | None:
    """What `kind@previous` names: the artifact to which a rollback of the champion would go."""
    found = read_alias(store, kind, CHAMPION)
    return found[0].rollback_target if found else None


def alias_key(kind: str, name: str) -> str:
    """The key of an alias."""
    return f"aliases/{kind}/{name}.json"
