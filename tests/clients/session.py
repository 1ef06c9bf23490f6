"""The calls of the scripts in this folder, independent of the client library.

A library is a function that starts `command` and yields a `Session`.
"""

import asyncio
from contextlib import asynccontextmanager

from jsonschema.validators import validator_for

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
PATIENCE = 30
"""Seconds that a reply may take."""


class Session:
    """A client of one server that validates every reply."""

    def __init__(self, client, call, tools):
        self.client, self.call = client, call
        self.tools = {tool.name for tool in tools}
        self.validators = {tool.name: validator_for(tool.output_schema)(tool.output_schema) for tool in tools}

    async def ask(self, tool, **arguments):
        """The reply, a success or a refusal."""
        result = await self.call(tool, arguments)
        reply = result.structured_content
        assert isinstance(reply, dict), f"{tool} {arguments}: no structured reply: {result}"
        assert isinstance(reply["message"], str) and reply["message"], f"{tool}: no message: {reply}"
        assert any(block.type == "text" for block in result.content), f"{tool}: nothing for older clients"
        if result.is_error:
            assert reply["success"] is False and reply["code"], f"{tool}: an error without a code: {reply}"
        else:
            self.validators[tool].validate(reply)
        return reply

    async def do(self, tool, **arguments):
        """The reply to a request that must succeed."""
        reply = await self.ask(tool, **arguments)
        assert reply["success"] is True, f"{tool} {arguments}: {reply}"
        return reply

    async def refused(self, code, tool, **arguments):
        """The reply to a request that must be refused with this code."""
        reply = await self.ask(tool, **arguments)
        assert reply["success"] is False and reply["code"] == code, f"{tool} {arguments}: {reply}"
        return reply


@asynccontextmanager
async def sdk(command, *, mode, env=None, cwd=None):
    """The official Python SDK (`mcp`)."""
    from mcp import Client, StdioServerParameters

    server = StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=cwd)
    async with Client(server, mode=mode, read_timeout_seconds=PATIENCE) as client:
        assert client.protocol_version == ERAS[mode], client.protocol_version
        yield Session(client, client.call_tool, (await client.list_tools()).tools)


@asynccontextmanager
async def fastmcp(command, *, mode, env=None, cwd=None):
    """The client of `fastmcp`."""
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport

    server = StdioTransport(command[0], command[1:], env=env, cwd=cwd, keep_alive=False)
    async with Client(server, mode=mode, timeout=PATIENCE) as client:
        assert client.protocol_version == ERAS[mode], client.protocol_version
        yield Session(client, client.call_tool_mcp, await client.list_tools())


LIBRARIES = {"mcp": sdk, "fastmcp": fastmcp}


def run(story):
    """Runs a coroutine. Raises its error without the exception groups around it."""
    try:
        return asyncio.run(story)
    except Exception as error:
        while inner := getattr(error, "exceptions", None):
            error = inner[0]
        raise error from None
