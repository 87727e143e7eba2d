"""What was counted, and what is true at the moment, as Prometheus reads it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import groupby

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service import __version__
from service.counting import Family, Total
from service.live import Live
from service.metrics import Metrics

SPARSE = ("pullquote_http_requests", "pullquote_http_request_duration_seconds")
"""Of their series only those are written that have counted something: most routes give few statuses."""


def exposed(metrics: Metrics, live: Live, accept: str) -> tuple[bytes, str]:
    """Return all metrics in the format that an Accept header asks for, and its media type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(metrics, live))
    write, media_type = choose_encoder(accept)
    return write(registry), media_type


class _Everything(Collector):
    """All metrics, as the library has them written."""

    def __init__(self, metrics: Metrics, live: Live) -> None:
        self._metrics = metrics
        self._live = live

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        yield _info("pullquote_build", "What runs.", version=__version__, python=platform.python_version())
        for _, totals in groupby(self._metrics.counts.totals(), key=lambda one: one.family.name):
            yield _family([*totals])
        yield from self._index()
        yield from self._processes()

    def _index(self) -> Iterator[Metric]:
        """Yield what is true of the index in use."""
        index, snapshots = self._live.index, self._live.store.kept()
        ready = _gauge(
            "pullquote_index_ready", "1 where questions are answered, else 0.", float(index is not None)
        )
        yield ready
        yield _gauge("pullquote_index_snapshots", "Versions that are kept on disk.", len(snapshots))
        damaged = "What of the newest versions on disk turned out to be damaged."
        yield _gauge("pullquote_index_damaged", damaged, len(self._live.damage))
        if index is None:
            return
        snapshot = index.snapshot
        manifest = snapshot.manifest
        yield _info(
            "pullquote_index",
            "The index in use.",
            version=snapshot.version,
            model=manifest.model,
            fingerprint=manifest.fingerprint[:16],
            runtime=index.encoder.runtime,
        )
        with suppress(ValueError):  # a date that another program has written
            built = datetime.fromisoformat(manifest.built_at).timestamp()
            yield _gauge("pullquote_index_built_timestamp_seconds", "When the index in use was built.", built)
        yield _gauge("pullquote_index_documents", "Documents in the index in use.", len(snapshot.documents))
        yield _gauge("pullquote_index_passages", "Passages in the index in use.", snapshot.passages)
        yield _gauge("pullquote_index_segments", "Segments of the index in use.", len(snapshot.segments))
        skipped = "Files in the folder of documents that could not be read."
        yield _gauge("pullquote_index_skipped_documents", skipped, len(snapshot.skipped))

    def _processes(self) -> Iterator[Metric]:
        """Yield what each process takes, by the number of the worker, from 1."""
        found: dict[str, Metric] = {}
        running = self._metrics.counts.processes()
        for worker, pid in running:
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name not in found:
                    found[metric.name] = Metric(metric.name, metric.documentation, metric.type)
                for sample in metric.samples:
                    found[metric.name].add_sample(sample.name, {"worker": str(worker)}, sample.value)
        yield _gauge("pullquote_workers", "Processes that answer.", len(running))
        yield from found.values()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _info(name: str, text: str, **labels: str) -> Metric:
    return InfoMetricFamily(name, text, value=labels)


def _family(totals: list[Total]) -> Metric:
    """Return one family of what was counted."""
    family: Family = totals[0].family
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*map(floatToGoString, family.bounds), "+Inf"]
        for one in totals:
            if not one.buckets[-1] and family.name in SPARSE:
                continue
            histogram.add_metric(one.labels, [*zip(bounds, one.buckets, strict=True)], one.value)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = kind(family.name, family.help, labels=family.labels)
    for one in totals:
        if one.value or family.name not in SPARSE:
            plain.add_metric(one.labels, one.value)
    return plain
