"""The index, its jobs, and signs of life."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from service import __version__, schemas
from service.doors.replies import changing, json_reply, keeper_of, live_of, problems, take_index
from service.jobs import Job
from service.problems import Refused

router = APIRouter()


@router.get(
    "/v1/index",
    response_model=schemas.IndexReply,
    responses=problems(503),
    tags=["index"],
    operation_id="getIndex",
)
def get_index(request: Request) -> Response:
    """Say what the index holds, what was left out and why, and whether a refresh failed."""
    live = live_of(request)
    index = take_index(request)
    snapshot = index.snapshot
    manifest, failure = snapshot.manifest, live.last_failure
    return json_reply(
        schemas.IndexReply(
            state="building" if keeper_of(request).building else "idle",
            version=snapshot.version,
            built_at=manifest.built_at,
            documents=len(snapshot.documents),
            passages=snapshot.passages,
            model=manifest.model,
            fingerprint=manifest.fingerprint,
            runtime=index.encoder.runtime,
            snapshots=live.store.kept(),
            pinned=live.store.pinned(),
            segments=len(snapshot.segments),
            skipped=[
                schemas.SkippedOut(id=one.id, reason=one.reason, bytes=one.bytes) for one in snapshot.skipped
            ],
            last_failure=schemas.Failure(at=failure.at, problem=failure.problem) if failure else None,
            damaged=live.damage,
        )
    )


@router.post(
    "/v1/reindex",
    status_code=202,
    response_model=schemas.JobReply,
    responses=problems(401, 403, 409, 413, 422, 503),
    tags=["index"],
    operation_id="reindex",
)
def post_reindex(
    request: Request,
    body: schemas.ReindexRequest | None = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1, max_length=255, description="The same key gives the same job, also after a restart."
        ),
    ] = None,
) -> Response:
    """Make the index follow the folder; questions go on being answered meanwhile."""
    wanted = body or schemas.ReindexRequest()
    try:
        job = keeper_of(request).request_refresh(wanted.mode, dry_run=wanted.dry_run, key=idempotency_key)
    except ValueError as error:
        raise Refused(409, "key-in-use", str(error)) from error
    except OSError as error:
        raise Refused(503, "jobs-not-writable", str(error)) from error
    return json_reply(_job(job), 202, headers={"Location": f"/v1/jobs/{job.id}"})


@router.post(
    "/v1/index/rollback",
    response_model=schemas.IndexReply,
    responses=problems(401, 403, 404, 409, 413, 422, 503, 507),
    tags=["index"],
    operation_id="rollback",
)
def post_rollback(request: Request, body: schemas.RollbackRequest) -> Response:
    """Go back to a kept version. It stays in use until the next reindex that is asked for."""
    live = live_of(request)
    if body.version not in live.store.kept():
        kept = ", ".join(live.store.kept())
        raise Refused(404, "no-such-version", f"that version is not kept; kept are {kept}")
    with changing():
        keeper_of(request).roll_back(body.version)
    return get_index(request)


@router.get(
    "/v1/jobs/{job_id}",
    response_model=schemas.JobReply,
    responses=problems(404, 422, 503),
    tags=["index"],
    operation_id="getJob",
)
def get_job(request: Request, job_id: str) -> Response:
    """Say how far a job is, or how it ended."""
    return json_reply(_job(_find(request, job_id)))


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=202,
    response_model=schemas.JobReply,
    responses=problems(401, 403, 404, 409, 422, 503),
    tags=["index"],
    operation_id="cancelJob",
)
def delete_job(request: Request, job_id: str) -> Response:
    """Ask a job to stop; the index stays as it was."""
    job = _find(request, job_id)
    if job.is_over:
        raise Refused(409, "job-is-over", f"the job has {job.state} already")
    job.cancel()
    return json_reply(_job(job), 202)


@router.get("/livez", response_model=schemas.Health, tags=["health"], operation_id="livez")
async def get_livez() -> Response:
    """Say that the process runs."""
    return json_reply(schemas.Health(status="ok"))


@router.get(
    "/readyz", response_model=schemas.Health, responses=problems(503), tags=["health"], operation_id="readyz"
)
async def get_readyz(request: Request) -> Response:
    """Say that questions are answered: an index is open and found its own first passage."""
    take_index(request)
    if live_of(request).ending:
        raise Refused(503, "ending", "this server is ending; others may be ready")
    return json_reply(schemas.Health(status="ready"))


@router.get(
    "/version",
    response_model=schemas.VersionReply,
    responses=problems(),
    tags=["health"],
    operation_id="version",
)
async def get_version(request: Request) -> Response:
    """Say what is running."""
    index = live_of(request).index
    return json_reply(
        schemas.VersionReply(
            version=__version__,
            index_version=index.snapshot.version if index else None,
            model=index.snapshot.manifest.model if index else None,
        )
    )


def _find(request: Request, job_id: str) -> Job:
    job = keeper_of(request).jobs.get(job_id)
    if job is None:
        raise Refused(404, "no-such-job", "no job with that id is remembered here")
    return job


def _job(job: Job) -> schemas.JobReply:
    counts = job.counts
    return schemas.JobReply(
        id=job.id,
        state=job.state,
        mode=job.mode,
        dry_run=job.dry_run,
        progress=schemas.ProgressOut(done=job.progress.done, total=job.progress.expected),
        counts=schemas.CountsOut(**{name: getattr(counts, name) for name in counts.__slots__})
        if counts
        else None,
        documents={kind: list(ids) for kind, ids in job.documents.items()},
        differences=[schemas.DifferenceOut.model_validate(asdict(one)) for one in job.differences],
        index_version=job.version,
        problem=job.problem,
        estimated_seconds=job.estimated_seconds,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )
