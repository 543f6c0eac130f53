"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_MOMENTS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            "kosmoscope_requests", "Requests by route and status.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self.admitted = Gauge(
            "kosmoscope_requests_admitted", "Requests that will be answered.", registry=registry
        )
        self.waiting = Gauge(
            "kosmoscope_queue_depth", "Texts that wait for the model.", registry=registry
        )
        self.batch = Gauge("kosmoscope_batch_size", "Texts under way.", registry=registry)
        self.passes = Counter("kosmoscope_passes", "Passes of the decoder.", registry=registry)
        self.tokens = Counter("kosmoscope_tokens", "Tokens generated.", registry=registry)
        self.cancelled = Counter(
            "kosmoscope_cancelled", "Texts whose reader went away.", registry=registry
        )
        self.first_token = Histogram(
            "kosmoscope_first_token_seconds", "From the queue to the first token.",
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.refusals = Histogram(
            "kosmoscope_refusal_seconds", "From a request's head to that of its answer 429.",
            registry=registry, buckets=_MOMENTS,
        )  # fmt: skip
        self.lag = Histogram(
            "kosmoscope_loop_lag_seconds", "How late the event loop is, ten times a second.",
            registry=registry, buckets=_MOMENTS,
        )  # fmt: skip
        self.stages = Counter(
            "kosmoscope_stage_seconds", "Seconds by stage.", ["stage"], registry=registry
        )
        self.hits = Counter(
            "kosmoscope_picture_cache_hits", "Pictures that were encoded.", registry=registry
        )
        self.misses = Counter(
            "kosmoscope_picture_cache_misses", "Pictures that were not.", registry=registry
        )
        self.cached = Gauge(
            "kosmoscope_picture_cache_bytes", "Size of the pictures kept.", registry=registry
        )

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
