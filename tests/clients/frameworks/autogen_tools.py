#!/usr/bin/env python3
"""AutoGen's MCP adapter, which makes a Pydantic model of every input schema, and calls through it.

Usage: autogen_tools.py TASKTALLY
"""

import asyncio
import json

from autogen_core import CancellationToken
from autogen_ext.tools.mcp import StdioServerParams, create_mcp_server_session, mcp_server_tools
from conversion import check
from story import a_batch, by_schemas, server


async def main():
    with server() as started:
        parameters = StdioServerParams(command=started.command, args=started.args, env=started.env)
        async with create_mcp_server_session(parameters) as session:
            await session.initialize()
            listed = {tool.name: tool for tool in (await session.list_tools()).tools}
            tools = {tool.name: tool for tool in await mcp_server_tools(parameters, session)}
            assert set(tools) == set(listed), set(tools)
            schemas = {}
            for name, tool in tools.items():
                assert tool.schema["description"] == listed[name].description, name
                schemas[name] = check(listed[name], tool.schema["parameters"])

            async def call(tool, arguments):
                content = await tools[tool].run_json(arguments, CancellationToken())
                return json.loads(content[0].text)

            await a_batch(by_schemas(call, schemas), started.folder)
    print("autogen: every schema kept its shape, a batch worked through the adapter")


asyncio.run(main())
