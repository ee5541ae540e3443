"""The S3 client against a server that loses answers, breaks connections, sends pages, and lies about sizes and hashes."""

import hashlib
import re
from pathlib import Path

import pytest
from small_s3 import Answer, Fault, Request, SmallS3
from tests_support import REPOSITORY
from unit.storage.artifacts.publishing_support import make

from storage.artifacts.aliases import move_alias
from storage.artifacts.object_stores import DOCUMENT_BYTES
from storage.artifacts.object_stores.s3 import S3
from storage.artifacts.object_stores.s3_probe import PROBE, probe
from storage.artifacts.publishing import publish, pull
from storage.errors import (
    ArtifactDamagedError,
    ObjectStoreError,
    UnsupportedObjectStoreError,
)

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


def lose(_: Request, answer: Answer) -> Answer:
    answer.lost = True
    return answer


def keep(_: Request, answer: Answer) -> Answer:
    return answer


# The conditions that writes need.


def test_one_lost_answer_decides_nothing(server: SmallS3, store: S3) -> None:
    """The server has done what it was asked; the client does not hear of it, and asks again."""
    probe(store)
    requests = len(server.log)
    for lost in range(requests):
        server.reset()
        server.faults = [*[keep] * lost, lose]
        assert probe(store) is False
        assert not server.faults


def test_a_write_whose_answer_was_lost_is_not_repeated(server: SmallS3, store: S3) -> None:
    probe(store)
    server.faults = [lose]
    assert store.put("a", b"1", IfNoneMatch="*") is False  # the second request finds what the first has written
    assert server.objects["some/prefix/a"] == b"1"


def test_a_server_that_never_answers_is_not_called_unsupported_and_is_asked_again(server: SmallS3, store: S3) -> None:
    server.always = lose
    with pytest.raises(ObjectStoreError) as caught:
        store.compare_and_swap("a", b"1", None)
    assert not isinstance(caught.value, UnsupportedObjectStoreError)
    server.always = keep
    assert store.compare_and_swap("a", b"1", None)


@pytest.mark.parametrize("ignored", ["if-match", "if-none-match"])
def test_a_server_that_ignores_conditions_is_refused(server: SmallS3, store: S3, ignored: str) -> None:
    server.ignored = {ignored}
    for _ in range(2):
        with pytest.raises(UnsupportedObjectStoreError, match="ignores them"):
            store.compare_and_swap("a", b"1", None)
    assert "some/prefix/a" not in server.objects


def test_a_server_that_refuses_the_right_etag_is_refused(server: SmallS3, store: S3) -> None:
    def refuse(request: Request, answer: Answer) -> Answer:
        return Answer(412) if "if-match" in request.headers else answer

    server.always = refuse
    with pytest.raises(UnsupportedObjectStoreError, match="refuses the right ETag"):
        store.compare_and_swap("a", b"1", None)


def test_a_writer_that_may_not_delete_publishes_and_leaves_one_probe(server: SmallS3, tmp_path: Path) -> None:
    for seed in range(3):
        artifacts, ref = make(tmp_path / "home", seed=seed)
        assert publish(S3("bucket", "some/prefix"), artifacts, ref)
    assert [key for key in server.objects if "probe" in key] == [f"some/prefix/{PROBE}"]
    assert "DELETE" not in {request.method for request in server.log}


def test_the_calls_made_are_those_documented(server: SmallS3, store: S3, tmp_path: Path) -> None:
    made: set[str] = set()
    store.client.meta.events.register("before-call.s3", lambda model, **_: made.add(model.name))
    artifacts, ref = make(tmp_path / "home")
    publish(store, artifacts, ref)
    move_alias(store, ref, "latest", {})
    pull(store, "policy@latest", tmp_path / "pulled")
    pull(store, f"policy@{ref.digest[:9]}", tmp_path / "pulled")
    table = re.findall(r"^\| ([A-Z]\w+(?:, [A-Z]\w+)*) \| s3:", (REPOSITORY / "docs/security.md").read_text(), re.M)
    documented = {call for row in table for call in row.split(", ")}
    assert made == {call for call in documented if "Multipart" not in call and call != "UploadPart"}


# What is sent and what is there.


def test_damaged_bytes_are_seen_whatever_the_server_states(server: SmallS3, store: S3, tmp_path: Path) -> None:
    """This server keeps the checksum that it was sent and compares it with nothing."""
    (tmp_path / "file").write_bytes(BODY)
    store.put_file("a", tmp_path / "file", SHA256)
    assert store.holds("a", len(BODY), SHA256)
    assert not store.holds("a", len(BODY), "0" * 64)
    server.objects["some/prefix/a"] = b"x" + BODY[1:]
    assert not store.holds("a", len(BODY), SHA256)
    server.objects["some/prefix/a"] = BODY + b"x"
    assert not store.holds("a", len(BODY), SHA256)
    assert not store.holds("absent", len(BODY), SHA256)


def test_a_server_that_compares_checksums_is_believed_and_refuses_other_bytes(
    server: SmallS3, store: S3, tmp_path: Path
) -> None:
    server.checks_checksums = True
    (tmp_path / "file").write_bytes(BODY)
    store.put_file("a", tmp_path / "file", SHA256)
    server.sent = 0
    assert store.holds("a", len(BODY), SHA256)
    assert not store.holds("a", len(BODY), "0" * 64)
    assert server.sent == 0
    (tmp_path / "file").write_bytes(b"x" + BODY[1:])
    with pytest.raises(ObjectStoreError, match="BadDigest"):
        store.put_file("a", tmp_path / "file", SHA256)
    assert server.objects["some/prefix/a"] == BODY


def test_a_reader_who_may_not_write_reads_the_bytes_instead(server: SmallS3, tmp_path: Path) -> None:
    server.checks_checksums = True
    (tmp_path / "file").write_bytes(BODY)
    S3("bucket", "some/prefix").put_file("a", tmp_path / "file", SHA256)

    def forbid(request: Request, answer: Answer) -> Answer:
        return Answer(403, b"<Error><Code>AccessDenied</Code></Error>") if request.method == "PUT" else answer

    server.always = forbid
    assert S3("bucket", "some/prefix").holds("a", len(BODY), SHA256)


# Downloads.


def cut(at: int, length: bool = True) -> Fault:
    def fault(_: Request, answer: Answer) -> Answer:
        answer.cut_at, answer.length = at, length
        return answer

    return fault


def ranges(server: SmallS3) -> list[str | None]:
    return [request.headers.get("range") for request in server.log if request.method == "GET"]


@pytest.mark.parametrize("length", [True, False], ids=["announced", "unannounced"])
def test_a_broken_download_goes_on_where_it_stopped(server: SmallS3, store: S3, tmp_path: Path, length: bool) -> None:
    server.objects["some/prefix/a"] = BODY
    server.faults = [cut(100_000, length), cut(50_000, length), cut(0, length)]
    store.download("a", tmp_path / "a", len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY
    last = len(BODY) - 1
    assert ranges(server) == [None, f"bytes=100000-{last}", f"bytes=150000-{last}", f"bytes=150000-{last}"]


def test_a_download_that_always_breaks_ends_in_a_typed_error_and_keeps_the_bytes(
    server: SmallS3, store: S3, tmp_path: Path
) -> None:
    server.objects["some/prefix/a"] = BODY
    server.faults = [cut(100_000), *[cut(0)] * 9]
    with pytest.raises(ObjectStoreError, match="the connection broke"):
        store.download("a", tmp_path / "a", len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY[:100_000]
    assert len(server.log) == 4


@pytest.mark.parametrize("answer", ["416", "whole"])
def test_a_server_that_cannot_resume_sends_all_of_it_again(
    server: SmallS3, store: S3, tmp_path: Path, answer: str
) -> None:
    server.objects["some/prefix/a"] = BODY
    (tmp_path / "a").write_bytes(BODY[:1000])

    def fault(_request: Request, _answer: Answer) -> Answer:
        whole = Answer(200, BODY, {"ETag": '"e"'})
        return Answer(416, b"<Error><Code>InvalidRange</Code></Error>") if answer == "416" else whole

    server.faults = [fault]
    store.download("a", tmp_path / "a", len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("have", [0, 1])
def test_no_more_is_read_than_was_declared(
    server: SmallS3, store: S3, tmp_path: Path, announced: bool, have: int
) -> None:
    def endless(request: Request, answer: Answer) -> Answer:
        if request.method == "GET":
            answer.status, answer.body, answer.length = 200, bytes(64 << 20), announced
            answer.headers.pop("Content-Range", None)
        return answer

    server.objects["some/prefix/a"] = b"xx"
    server.always = endless
    if have:
        (tmp_path / "a").write_bytes(b"x" * have)
    with pytest.raises(ArtifactDamagedError, match="expected 2 bytes"):
        store.download("a", tmp_path / "a", 2)
    kept = (tmp_path / "a").stat().st_size if (tmp_path / "a").exists() else 0
    assert kept == have if announced else kept <= 2
    assert not store.holds("a", 2, SHA256)
    found = store.get("a")
    assert found is not None
    assert len(found[0]) == DOCUMENT_BYTES + 1
    assert server.sent < 64 << 20


def test_an_object_that_is_shorter_than_declared_is_damaged(server: SmallS3, store: S3, tmp_path: Path) -> None:
    server.objects["some/prefix/a"] = b"x"
    with pytest.raises(ArtifactDamagedError, match="expected 2 bytes, from 0 on; found 1"):
        store.download("a", tmp_path / "a", 2)
    assert len(server.log) == 1


def test_an_absent_object_is_a_typed_error(store: S3, tmp_path: Path) -> None:
    with pytest.raises(ArtifactDamagedError, match="found none"):
        store.download("a", tmp_path / "a", 2)


# Pages of proxies and login portals.
