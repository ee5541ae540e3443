"""The HTTP API: recommendations, items, policies, health and metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from serving.asking import MOST_ITEMS, Answer, ItemId, Question
from serving.batching import Batcher, Overloaded
from serving.catalogue import Catalogue
from serving.errors import RequestError, UnknownItemError, invalid_values
from serving.limits import BodyLimits
from serving.metrics import Measuring, add_served_metrics
from serving.recommend import Recommender
from serving.served import ServedPolicies

RETRY_AFTER_SECONDS = 1
NOT_READY_SECONDS = 5


class Refusal(BaseModel):
    """Why a request is refused."""

    error: str = Field(description="The reason, for programs.")
    message: str = Field(description="What was expected, and what was found.")


class Item(BaseModel):
    """An item of the catalogue."""

    movie_id: int
    external_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]
    training_events: int = Field(description="Ratings of it that the policy was trained with.")


class SimilarItem(Item):
    """An item that is similar to another one."""

    similarity: float = Field(description="Cosine of the two embeddings.")


class ServedScale(BaseModel):
    """The ratings that a history may have: lowest, lowest + step … highest."""

    lowest: float
    highest: float
    step: float


class LoadedPolicy(BaseModel):
    """A policy that the server has."""

    name: str
    digest: str | None
    items: int
    scale: ServedScale
    genres: tuple[str, ...] = Field(description="That items have; for the filter.")
    loaded_at: str
    last_error: str | None = Field(description="Why the newest attempt to load what the alias names failed.")


class Methods(BaseModel):
    """What can rank items."""

    policies: tuple[LoadedPolicy, ...] = Field(description="The first one is the default.")
    baselines: tuple[str, ...]


class Health(BaseModel):
    """Whether the server works."""

    status: str


class NotReadyError(Exception):
    """No policy is loaded yet."""


class QuestionRoute(APIRoute):
    """A route whose only argument is a question: pydantic reads its JSON, which takes half of FastAPI's time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request; see FastAPI, “Custom Request and APIRoute class”."""

        async def handler(request: Request) -> Response:
            try:
                question = Question.model_validate_json(await request.body())
            except ValidationError as error:
                located = [one | {"loc": ("body", *one["loc"])} for one in error.errors()]
                raise RequestValidationError(located) from error
            answer: Response = await self.endpoint(question)
            return answer

        return handler


def problem(status: int, error: str, message: str, **headers: str) -> JSONResponse:
    """An answer that refuses a request."""
    return JSONResponse({"error": error, "message": message}, status, headers)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    words = {
        404: "There is no such item.",
        408: "The body arrived too slowly.",
        413: "The body is too large.",
        422: "A value is not valid.",
        503: "Too many requests wait, or no policy is loaded yet; see Retry-After.",
    }
    return {status: {"model": Refusal, "description": words[status]} for status in statuses}


def create_app(policies: ServedPolicies, most_waiting: int = 256, body_seconds: float = 10.0) -> FastAPI:
    """The application.

    Args:
        policies: what is served; its thread is started and stopped by others.
        most_waiting: further questions are refused with 503.
        body_seconds: in which a request's body must have arrived.
    """
    registry = CollectorRegistry()
    batcher = Batcher(registry, most_waiting)
    add_served_metrics(registry, policies)

    @asynccontextmanager
    async def answering(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    app = FastAPI(
        title="Marquee",
        version="1",
        description="Recommendations from published policies.",
        lifespan=answering,
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
    )
    app.add_middleware(BodyLimits, seconds=body_seconds)
    app.add_middleware(Measuring, registry=registry)
    add_refusals(app)

    def first() -> Recommender:
        if policies.first.current is None:
            raise NotReadyError(policies.problems)
        return policies.first.current

    async def recommend(question: Question) -> Response:
        """The best items for a history of ratings."""
        recommender = policies.recommender_for(question.method)
        if recommender is None:
            raise NotReadyError
        recommender.check(question)
        answer = await batcher.ask(recommender, question)
        return Response(answer.model_dump_json(), media_type="application/json")

    app.router.add_api_route(
        "/recommend",
        recommend,
        methods=["POST"],
        response_model=Answer,
        responses=refusals(408, 413, 422, 503),
        route_class_override=QuestionRoute,
    )

    @app.get("/items", responses=refusals(422, 503))
    def search(
        q: Annotated[
            str, Query(min_length=1, max_length=100, description="A title, or words of it.", examples=["heat"])
        ],
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> list[Item]:
        """Items of the first policy by title; the most popular of the exact finds first, or similar titles."""
        catalogue = first().catalogue
        return [Item.model_validate(item_of(catalogue, place)) for place in catalogue.by_title.search(q, limit)]

    @app.get("/items/{movie_id}/similar", responses=refusals(404, 422, 503))
    def similar(
        movie_id: Annotated[ItemId, Path(description="The item's id in its source.")],
        k: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 10,
    ) -> list[SimilarItem]:
        """The items whose embeddings are the nearest to one item's."""
        catalogue = first().catalogue
        return [
            SimilarItem.model_validate(item_of(catalogue, place) | {"similarity": round(cosine, 4)})
            for place, cosine in catalogue.similar(catalogue.place_of(movie_id), k)
        ]

    @app.get("/policies")
    def methods() -> Methods:
        """The policies and baselines that can be named as the method of a question."""
        loaded = [(one, one.current) for one in policies.served.values()]
        current = policies.first.current
        return Methods(
            policies=tuple(
                LoadedPolicy(
                    name=one.policy,
                    digest=has.digest,
                    items=len(has.catalogue),
                    scale=ServedScale.model_validate(has.ratings.scale.model_dump()),
                    genres=tuple(sorted({name for names in has.catalogue.genres for name in names})),
                    loaded_at=datetime.fromtimestamp(one.loaded_at, UTC).isoformat(timespec="seconds"),
                    last_error=one.error,
                )
                for one, has in loaded
                if has is not None
            ),
            baselines=tuple(current.baselines) if current else (),
        )

    @app.get("/healthz")
    async def healthz() -> Health:
        """Whether the process answers."""
        return Health(status="ok")

    @app.get("/readyz", responses=refusals(503))
    async def readyz() -> Health:
        """Whether all policies are loaded."""
        if policies.problems:
            raise NotReadyError
        return Health(status="ready")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def not_ready(_: Request, __: Exception) -> JSONResponse:
        why = "; ".join(f"{name}: {error}" for name, error in policies.problems.items())
        return problem(
            503, "not_ready", f"expected loaded policies; found {why}", **{"Retry-After": str(NOT_READY_SECONDS)}
        )

    app.add_exception_handler(NotReadyError, not_ready)
    return app


def item_of(catalogue: Catalogue, place: int) -> dict[str, Any]:
    """The fields of `Item`."""
    return {
        "movie_id": int(catalogue.ids[place]),
        "external_id": catalogue.external_ids[place],
        "title": catalogue.titles[place],
        "year": catalogue.year(place),
        "genres": catalogue.genres[place],
        "training_events": int(catalogue.events[place]),
    }


def add_refusals(app: FastAPI) -> None:
    """Answer errors with a `Refusal`."""

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [one | {"loc": one["loc"][1:] or one["loc"]} for one in error.errors()]  # without "body" or "query"
        return problem(422, "invalid_request", invalid_values(errors))

    @app.exception_handler(HTTPException)
    def not_served(request: Request, error: HTTPException) -> JSONResponse:
        found = f"{request.method} {request.url.path[:200]}"
        message = f"expected a path and method of /openapi.json; found {found}."
        return problem(error.status_code, "not_served", message, **(error.headers or {}))

    @app.exception_handler(RequestError)
    def refused(_: Request, error: RequestError) -> JSONResponse:
        return problem(404 if isinstance(error, UnknownItemError) else 422, error.code, str(error))

    @app.exception_handler(Overloaded)
    def overloaded(_: Request, __: Overloaded) -> JSONResponse:
        return problem(
            503,
            "overloaded",
            "expected room in the queue; found none. Ask again later.",
            **{"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
