"""What the server has counted, for Prometheus. Who may see it stands in service.permits."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from service.doors.replies import live_of
from service.metrics import Metrics

router = APIRouter()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    tags=["health"],
    operation_id="metrics",
)
async def get_metrics(request: Request) -> Response:
    """Give everything that is counted, over all workers, in Prometheus' text format or as OpenMetrics."""
    counted: Metrics = request.app.state.metrics
    live, accept = live_of(request), request.headers.get("accept", "")

    def written() -> Response:
        # Loaded with the first look: it is of no use to anybody who asks.
        from service.exposition import exposed

        content, media_type = exposed(counted, live, accept)
        return Response(content, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    return await run_in_threadpool(written)
