"""What every registered service must do."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from unit.storage.sources.json_support import OBJECTS

from storage.errors import MetadataCredentialsError
from storage.sources.web.service import MovieIds, Query, WebService
from storage.sources.web.services import WebServices, enabled_services

EVERY = WebServices(**{field: {"enabled": True} for field in WebServices.model_fields})
SERVICES = list(enabled_services(EVERY).values())


def queries_of(service: WebService) -> list[Query]:
    """What the service asks for a movie that it does not find."""
    asked: list[Query] = []

    async def ask(query: Query) -> None:
        asked.append(query)

    asyncio.run(service.movie(MovieIds(1, "tt0000001"), ask))  # type: ignore[arg-type]
    return asked


QUESTIONS = [(service, query) for service in SERVICES for query in queries_of(service)]


def test_services_are_asked_only_if_enabled_and_in_the_order_of_trust() -> None:
    every = [getattr(EVERY, field).name for field in WebServices.model_fields]
    assert list(enabled_services(EVERY)) == every
    assert every[:2] == ["tmdb", "omdb"]
    assert len(set(every)) == len(every)
    assert enabled_services(WebServices()) == {}
    assert list(enabled_services(WebServices(omdb_api={"enabled": True}))) == ["omdb"]


@given(
    st.sampled_from(QUESTIONS),
    OBJECTS | st.none(),
    st.integers(200, 599).filter(lambda status: status not in (401, 403)),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_any_answer_is_judged(question: tuple[WebService, Query], body: dict[str, Any] | None, status: int) -> None:
    service, query = question
    assert service.is_absent(status, body) in (True, False)
    assert body is None or service.check(query, body).kind in ("answer", "absent", "again", "broken")


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize("key", ["", "  ", "two words", "a\nb", "schlüssel"])
def test_an_impossible_key_is_refused_without_showing_it(service: WebService, key: str) -> None:
    with pytest.raises(MetadataCredentialsError, match=service.key_variable) as refused:
        service.credential(SecretStr(key))
    assert not key.strip() or key not in str(refused.value)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://api.themoviedb.org/3"}, {"base_url": "ftp://x"}, {"base_url": "https://user:pw@host/3"},
        {"base_url": "https://host/3?api_key=1"}, {"cache_days": 200}, {"window_days": 31}, {"token": "x"},
        {"requests_per_second": 0}, {"max_failed_share": 2},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_are_bounded(service: WebService, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        type(service)(**wrong)
