import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.drafts import draft_beside
from storage.sources.web.response_cache import Response, ResponseCache

UNHURRIED = settings(deadline=None)  # other work on the machine is not a failure


def response(body: bytes = b"{}", days: float = 1) -> Response:
    now = datetime.now(UTC)
    return Response(False, body, now, now + timedelta(days=days))


@given(body=st.binary(max_size=300), key=st.text(max_size=60), absent=st.booleans())
@settings(UNHURRIED, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_the_cache_gives_back_what_it_got(tmp_path: Path, body: bytes, key: str, absent: bool) -> None:
    cache = ResponseCache(Path(tempfile.mkdtemp(dir=tmp_path)))  # no other example's keys
    kept = response(body)._replace(absent=absent)
    cache.put(key, kept)
    assert cache.get(key, datetime.now(UTC)) == kept
    assert cache.get(key + "?", datetime.now(UTC)) is None


@given(data=st.data())
@settings(UNHURRIED, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_damage_to_a_cached_file_gets_through(tmp_path: Path, data: st.DataObject) -> None:
    cache, body = ResponseCache(tmp_path), b'{"overview": "A text."}'
    kept = response(body)
    cache.put("key", kept)
    path = cache.path("key")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert", "replace"]))
    byte = data.draw(st.integers(1, 255))
    path.write_bytes({
        "cut": whole[:place], "flip": whole[:place] + bytes([whole[place] ^ byte]) + whole[place + 1 :],
        "insert": whole[:place] + bytes([byte]) + whole[place:], "replace": bytes([byte]) * place,
    }[kind])  # fmt: skip
    found = cache.get("key", datetime.now(UTC))
    assert found in (None, kept)
    cache.purge()


def test_expired_answers_are_removed_and_future_needs_respected(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    cache.put("old", response(days=-1))
    cache.put("new", response(days=3))
    before = cache.state()
    assert cache.get("old", datetime.now(UTC)) is None
    assert not cache.path("old").exists()
    assert cache.get("new", datetime.now(UTC) + timedelta(days=4)) is None
    assert cache.get("new", datetime.now(UTC) + timedelta(days=2)) is not None
    assert cache.state() != before


def test_purge_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    cache.put("key", response())
    killed = cache.path("key").with_name(".draft.x.ab")
    killed.mkdir()
    (killed / ".lock").touch()
    with draft_beside(cache.path("other")) as draft:
        draft.write_bytes(b"half")
        assert cache.purge() == 0
        assert draft.exists()
    assert not killed.exists()
