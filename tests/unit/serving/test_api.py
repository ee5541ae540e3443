"""The HTTP API on a real server: answers, refusals of bad input, limits, overload."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx
import pytest
from unit.serving.api_support import running
from unit.serving.serving_support import make_policy, publish_policy

from serving.api import create_app
from serving.asking import Answer, Question
from serving.limits import MOST_BODY_BYTES
from serving.recommend import Recommender
from serving.served import Served, ServedPolicies

HISTORY = [{"movie_id": 12, "rating": 5}, {"movie_id": 20, "rating": 1.5}]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPolicies]:
    folder = tmp_path_factory.mktemp("api")
    published = str(folder / "published")
    publish_policy(folder / "maker", make_policy(folder / "maker"), published)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARQUEE_HOME", str(folder / "reader"))
        found = ServedPolicies([Served(published, "policy@champion")])
        found.start()
        yield found
        found.stop()


@pytest.fixture(scope="module")
def client(policies: ServedPolicies) -> Iterator[httpx.Client]:
    headers = {"content-type": "application/json"}
    with (
        running(create_app(policies, body_seconds=3)) as url,
        httpx.Client(base_url=url, timeout=60, headers=headers) as client,
    ):
        yield client


def test_recommend_gives_what_the_recommender_gives(client: httpx.Client, policies: ServedPolicies) -> None:
    asked = {"history": HISTORY, "k": 5, "genres": ["Drama"], "diversity": 0.3}
    answer = client.post("/recommend", json=asked)
    assert answer.status_code == 200
    recommender = policies.first.current
    assert recommender is not None
    assert Answer.model_validate(answer.json()) == recommender.recommend(Question.model_validate(asked))


def test_an_empty_history_is_answered_by_popularity_and_unknown_ids_are_listed(client: httpx.Client) -> None:
    answer = client.post("/recommend", json={"history": [{"movie_id": 1, "rating": 5}]}).json()
    assert (answer["method"], answer["unknown_ids"]) == ("popularity", [1])
    assert client.post("/recommend", json={}).json()["note"] == "Ordered by popularity, because there are no ratings."


def of(**more: Any) -> bytes:
    return json.dumps({"history": HISTORY} | more).encode()


BAD: dict[str, tuple[bytes, str, str]] = {
    "broken JSON": (b'{"history": [', "invalid_request", "Invalid JSON"),
    "no JSON": (b"\xff\xfe", "invalid_request", ""),
    "deep JSON": (b"[" * 100_000, "invalid_request", ""),
    "a list": (b"[]", "invalid_request", ""),
    "NaN": (b'{"history": [{"movie_id": 1, "rating": NaN}]}', "invalid_request", "history.0.rating"),
    "infinity": (b'{"history": [{"movie_id": 1, "rating": 1e999}]}', "invalid_request", "history.0.rating"),
    "off the scale": (of(history=[{"movie_id": 12, "rating": 6}]), "rating_off_scale", "expected one of 0.5, 1 … 5; found 6"),
    "between ratings": (of(history=[{"movie_id": 12, "rating": 3.3}]), "rating_off_scale", "found 3.3"),
    "k of 0": (of(k=0), "invalid_request", "k: Input should be greater than or equal to 1"),
    "k of a million": (of(k=10**6), "invalid_request", "k: Input should be less than or equal to 1000"),
    "a large id": (of(exclude=[2**70]), "invalid_request", "exclude.0"),
    "a long history": (of(history=HISTORY * 501), "invalid_request", "history: Tuple should have at most 1000 items"),
    "an unknown field": (of(kk=3), "invalid_request", "kk: Extra inputs"),
    "an unknown method": (of(method="x"), "unknown_method", "expected one of policy@champion, popularity; found 'x'"),
    "an unknown distance": (of(distance="hamming"), "invalid_request", "distance"),
    "a distance of a baseline": (of(distance="cosine", method="popularity"), "unsuitable_method", "distance"),
    "a weight of a baseline's critics": (of(critic_weight=1, method="popularity"), "unsuitable_method", "critic_weight"),
    "a weight below 0": (of(critic_weight=-0.1), "invalid_request", "critic_weight"),
    "a weight of NaN": (b'{"critic_weight": NaN}', "invalid_request", "critic_weight"),
    "a diversity of 2": (of(diversity=2), "invalid_request", "diversity"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_the_reason(client: httpx.Client, name: str) -> None:
    body, error, message = BAD[name]
    answer = client.post("/recommend", content=body)
    assert (answer.status_code, answer.json()["error"]) == (422, error)
    assert message in answer.json()["message"]
    assert len(answer.content) < 2000


def test_a_body_of_ten_megabytes_is_refused(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield from (b" " * (1 << 20) for _ in range(10))

    for content in (b" " * (10 << 20), chunks(), b" " * (MOST_BODY_BYTES + 1)):
        answer = client.post("/recommend", content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
    assert client.post("/recommend", content=of() + b" " * (MOST_BODY_BYTES - len(of()))).status_code == 200


def test_a_client_that_sends_slowly_is_refused_and_delays_no_other(client: httpx.Client) -> None:
    address = urlparse(str(client.base_url))
    slow, slower = (
        [socket.create_connection((str(address.hostname), int(address.port or 0))) for _ in range(20)] for _ in range(2)
    )
    try:
        for one in slower:
            one.sendall(b"POST /recommend HTTP/1.1\r\nhost:")
        for one in slow:
            one.sendall(b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        began = time.monotonic()
        assert client.post("/recommend", content=of()).status_code == 200
        assert time.monotonic() - began < 2
        for one in slow:
            one.settimeout(60)
            assert one.recv(1000).startswith(b"HTTP/1.1 408")
    finally:
        for one in slow + slower:
            one.close()


def test_items_are_found_by_title_and_by_likeness(client: httpx.Client, policies: ServedPolicies) -> None:
    found = client.get("/items", params={"q": "matrx"}).json()
    assert found[0] == {
        "movie_id": 10, "external_id": "10", "title": "The Matrix", "year": 1999, "genres": ["Action", "Sci-Fi"],
        "training_events": 100,
    }  # fmt: skip
    recommender = policies.first.current
    assert recommender is not None
    unit = recommender.catalogue.unit
    cosine = unit @ unit[0]
    near = client.get("/items/10/similar", params={"k": 3}).json()
    assert [one["movie_id"] - 10 for one in near] == cosine.argsort(descending=True)[1:4].tolist()
    assert len(client.get("/items/10/similar", params={"k": 1000}).json()) == 39
    absent = client.get("/items/9/similar")
    assert (absent.status_code, absent.json()["error"]) == (404, "unknown_item")
    for path in ("/items", "/items?q=", f"/items?q={'x' * 101}", "/items/x/similar", f"/items/{2**63}/similar"):
        assert (client.get(path).status_code, client.get(path).json()["error"]) == (422, "invalid_request")


def test_policies_health_and_metrics(client: httpx.Client) -> None:
    listed = client.get("/policies").json()
    assert listed["baselines"] == ["popularity"]
    (one,) = listed["policies"]
    assert (one["name"], one["items"], one["scale"]) == (
        "policy@champion",
        40,
        {"lowest": 0.5, "highest": 5.0, "step": 0.5},
    )
    assert one["genres"] == ["Action", "Crime", "Drama", "Romance", "Sci-Fi"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert 'marquee_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert 'route="none",status="404"' in text
    assert "nowhere" not in text
    assert client.get("/nowhere").json() == {
        "error": "not_served", "message": "expected a path and method of /openapi.json; found GET /nowhere.",
    }  # fmt: skip
    assert f'marquee_policy_loaded{{digest="{one["digest"]}",policy="policy@champion"}} 1.0' in text


class Held(Recommender):
    """A recommender that waits before it answers."""

    begun, go = threading.Event(), threading.Event()

    def answer(self, questions: Any) -> list[Answer]:
        self.begun.set()
        assert self.go.wait(60)
        return super().answer(questions)


def test_overload_is_refused_at_once_and_what_waits_is_answered(policies: ServedPolicies) -> None:
    real = policies.first.current
    assert real is not None
    held = Held(real.name, real.digest, real.policy, real.catalogue, real.ratings)
    policies.first.current = held
    try:
        with running(create_app(policies, most_waiting=2)) as url, ThreadPoolExecutor(8) as threads:

            def ask() -> httpx.Response:
                return httpx.post(f"{url}/recommend", json={"history": HISTORY}, timeout=60)

            first = threads.submit(ask)
            assert held.begun.wait(60)
            waiting = [threads.submit(ask) for _ in range(7)]
            while sum(one.done() for one in waiting) < 5:
                time.sleep(0.01)
            refused = [one.result() for one in waiting if one.done()]
            assert {one.status_code for one in refused} == {503}
            assert {(one.headers["retry-after"], one.json()["error"]) for one in refused} == {("1", "overloaded")}
            assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
            held.go.set()
            assert first.result().status_code == 200
            assert sorted(one.result().status_code for one in waiting) == [200] * 2 + [503] * 5
    finally:
        policies.first.current = real


def test_without_a_policy_the_server_is_not_ready(tmp_path: Path) -> None:
    with running(create_app(ServedPolicies([Served(str(tmp_path), "policy@champion")]))) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        for answer in (
            httpx.get(f"{url}/readyz"),
            httpx.post(f"{url}/recommend", json={}),
            httpx.get(f"{url}/items?q=x"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json() == {
                "error": "not_ready",
                "message": "expected loaded policies; found policy@champion: not loaded yet",
            }
        assert httpx.get(f"{url}/policies").json() == {"policies": [], "baselines": []}
