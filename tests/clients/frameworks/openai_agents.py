#!/usr/bin/env python3
"""The MCP tools of openai-agents, with schemas converted to strict ones, where every parameter is required.

Usage: openai_agents.py TASKTALLY
"""

import asyncio
import json
from importlib.metadata import version

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStdio
from agents.tool_context import ToolContext
from conversion import check
from story import a_batch, every_parameter_empty, server


async def main():
    with server() as started:
        parameters = {"command": started.command, "args": started.args, "env": started.env}
        async with MCPServerStdio(parameters) as connected:
            listed = {tool.name: tool for tool in await connected.list_tools()}
            agent = Agent(name="a", mcp_servers=[connected], mcp_config={"convert_schemas_to_strict": True})
            tools = {tool.name: tool for tool in await agent.get_mcp_tools(RunContextWrapper(None))}
            assert set(tools) == set(listed), set(tools)
            schemas = {}
            for name, tool in tools.items():
                assert tool.description == listed[name].description, name
                schemas[name] = check(listed[name], tool.params_json_schema)
                if tool.strict_json_schema:
                    assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), schemas[name]
            not_strict = {name for name, tool in tools.items() if not tool.strict_json_schema}
            # A list of any objects is impossible in strict mode.
            assert not_strict <= {"create_batch", "add_items"}, not_strict

            async def call(tool, arguments):
                text = json.dumps(arguments)
                context = ToolContext(None, tool_name=tool, tool_call_id="1", tool_arguments=text)
                reply = await tools[tool].on_invoke_tool(context, text)
                return json.loads(reply["text"] if isinstance(reply, dict) else reply)

            # Without what a model would have to add: in strict mode it chooses a word of every enum.
            await a_batch(call, started.folder)
            for null in (False, True):
                await every_parameter_empty(call, schemas, null=null)
    found = version("openai-agents")
    print(f"openai-agents {found}, strict: every schema kept its shape, every tool called with empty parameters")


asyncio.run(main())
