"""What the server has counted, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from service.access import is_local, require_admin
from service.doors.replies import live_of, problems
from service.metrics import Metrics
from service.problems import Refused
from service.settings import Settings

router = APIRouter()


def require_watcher(request: Request) -> None:
    """Let the request through, or raise Refused: from elsewhere it takes the admin key, or the setting."""
    settings: Settings = request.app.state.settings
    if settings.metrics_public or is_local(request):
        return
    try:
        require_admin(request)
    except Refused as error:
        raise Refused(
            error.status,
            "metrics-not-public",
            "metrics are for the server's own machine and for the admin key; "
            "set PULLQUOTE_METRICS_PUBLIC=true where everybody may read them",
            headers=error.headers,
        ) from error


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=problems(401, 403),
    dependencies=[Depends(require_watcher)],
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
