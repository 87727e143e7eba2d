"""The Model Context Protocol: the tools, and every document's canonical text as a resource.

Importing this loads the `mcp` package, some 350 ms: it is imported where the first program calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote as percent
from urllib.parse import unquote

import mcp_types as types
import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from service import __version__, schemas
from service.doors.documents import ListQuery, list_page
from service.doors.tools import TOOLS, Desk, Tool, ToolError
from service.live import Live
from service.problems import STATUS, Refused

INSTRUCTIONS = """Pullquote answers questions from a folder of documents, and only ever quotes them.
Call `ask` for a short answer with its citations, `search` for passages to read. Offsets are half-open and
count Unicode code points of a document's canonical text, which is the resource `doc://{id}`. When `status` is
`not_found`, the documents hold no answer that is sure enough: say so."""

SCHEME = "doc://"
TEMPLATE = f"{SCHEME}{{id}}"

READ_ONLY = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

BROKEN = "something broke here; the server's log has the cause"

BROKEN_PARTS: tuple[type[Exception], ...] = tuple(STATUS)

EXPLAINED: tuple[type[Exception], ...] = (ToolError, Refused, *BROKEN_PARTS)
"""Errors whose message is meant for whoever called."""

Context = ServerRequestContext[dict[str, Any]]
Result = TypeVar("Result")

log = structlog.get_logger()


def server_of(desk: Desk) -> Server[dict[str, Any]]:
    """Return a server of the tools and resources over the Index that `desk.live` has in use."""
    live = desk.live

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS.values()])

    async def call_tool(_: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no such tool; there are {', '.join(TOOLS)}")
        return await run_in_threadpool(_called, desk, tool, params)

    async def list_resources(
        _: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return await run_in_threadpool(_guarded, lambda: _resources(live, params.cursor if params else None))

    async def list_templates(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        one = types.ResourceTemplate(
            name="document",
            title="Canonical text of a document",
            uri_template=TEMPLATE,
            description="The text that all offsets count in, line ends as in the file.",
            mime_type="text/plain",
        )
        return types.ListResourceTemplatesResult(resource_templates=[one])

    async def read_resource(_: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return await run_in_threadpool(_guarded, lambda: _resource(live, params.uri))

    return Server(
        "pullquote",
        title="Pullquote",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


@asynccontextmanager
async def over_http(desk: Desk) -> AsyncIterator[ASGIApp]:
    """Give the application that speaks streamable HTTP: every request stands alone, every reply is JSON."""
    manager = StreamableHTTPSessionManager(
        server_of(desk),
        json_response=True,
        stateless=True,
        max_request_body_size=desk.live.settings.max_body_bytes,
    )
    async with manager.run():
        yield manager.handle_request


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes.model_json_schema(),
        output_schema=_reply_schema(tool.gives),
        annotations=READ_ONLY,
    )


def _reply_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of what a tool gives: that of the REST reply, without the trace."""
    schema = model.model_json_schema()
    if model is schemas.AskReply:
        del schema["properties"]["trace"]
        for name in ("TraceOut", "HitTrace", "CandidateTrace"):
            del schema["$defs"][name]
    return schema


def _called(desk: Desk, tool: Tool, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Return a tool's result as data and, for clients that know no data, as the same JSON in a text.

    Whatever goes wrong is an error that says so: it never looks like an answer that was not found.
    """
    try:
        reply = tool.call(desk, params.arguments)
    except EXPLAINED as error:
        return _failed(str(error))
    except Exception as error:
        log.error("unexpected error", tool=tool.name, exc_info=error)
        return _failed(BROKEN)
    left_out = {"trace"} if tool.gives is schemas.AskReply else None
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=reply.model_dump_json(by_alias=True, exclude=left_out))],
        structured_content=reply.model_dump(mode="json", by_alias=True, exclude=left_out),
    )


def _failed(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=message)], is_error=True)


def _guarded(made: Callable[[], Result]) -> Result:
    """Return what `made` makes, its errors as the protocol's."""
    try:
        return made()
    except MCPError:
        raise
    except (Refused, ValidationError) as error:
        message = error.detail if isinstance(error, Refused) else "cursor: not a cursor"
        raise MCPError(types.INVALID_PARAMS, message) from error
    except BROKEN_PARTS as error:
        raise MCPError(types.INTERNAL_ERROR, str(error)) from error
    except Exception as error:
        log.error("unexpected error", exc_info=error)
        raise MCPError(types.INTERNAL_ERROR, BROKEN) from error


def _resources(live: Live, cursor: str | None) -> types.ListResourcesResult:
    page = list_page(live.current.snapshot, ListQuery(cursor=cursor))
    return types.ListResourcesResult(
        resources=[
            types.Resource(
                uri=SCHEME + percent(one.id, safe="/"),
                name=one.id,
                title=one.title,
                mime_type="text/plain",
            )
            for one in page.documents
            if one.problem is None
        ],
        next_cursor=page.next_cursor,
    )


def _resource(live: Live, uri: str) -> types.ReadResourceResult:
    snapshot = live.current.snapshot
    number = snapshot.numbers.get(unquote(uri.removeprefix(SCHEME))) if uri.startswith(SCHEME) else None
    if number is None:
        raise MCPError(
            types.INVALID_PARAMS,
            f"the index holds no document of that address; they are written {TEMPLATE}, percent-encoded, "
            "and `list_documents` names them",
        )
    text = types.TextResourceContents(uri=uri, mime_type="text/plain", text=snapshot.text(number))
    return types.ReadResourceResult(contents=[text])
