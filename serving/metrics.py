"""What Prometheus can ask: requests by route and status, their times, and the loaded policies."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.served import ServedPolicies

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Measuring:
    """Counts requests and measures their times; paths with ids count as their route.

    Args:
        app: the application.
        registry: of the metrics.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self.app = app
        self.requests = Counter("marquee_requests", "Requests.", ("method", "route", "status"), registry=registry)
        self.seconds = Histogram(
            "marquee_request_seconds", "Time to answer.", ("route",), buckets=BUCKETS, registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and measure it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), "500"

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "none")  # set by the router
            method = scope["method"] if route != "none" else "any"
            self.requests.labels(method, route, status).inc()
            self.seconds.labels(route).observe(time.perf_counter() - began)


class ServedCollector(Collector):
    """The metrics of loaded policies, read when they are asked for."""

    def __init__(self, policies: ServedPolicies) -> None:
        self.policies = policies

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        loaded = GaugeMetricFamily("marquee_policy_loaded", "1: it is served.", labels=("policy", "digest"))
        reloads = CounterMetricFamily("marquee_policy_loads", "Times that it was loaded.", labels=("policy",))
        failures = CounterMetricFamily("marquee_policy_load_failures", "Times that loading failed.", labels=("policy",))
        for name, one in self.policies.served.items():
            current = one.current
            loaded.add_metric((name, (current and current.digest) or ""), float(current is not None))
            reloads.add_metric((name,), one.reloads)
            failures.add_metric((name,), one.failures)
        yield from (loaded, reloads, failures)


def add_served_metrics(registry: CollectorRegistry, policies: ServedPolicies) -> None:
    """Add the metrics of loaded policies."""
    registry.register(ServedCollector(policies))
