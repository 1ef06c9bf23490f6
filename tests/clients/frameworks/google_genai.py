#!/usr/bin/env python3
"""google-genai with a session as a tool: it converts the schemas for Gemini and makes the model's calls itself.

Usage: google_genai.py TASKTALLY
"""

import asyncio

from conversion import check
from gemini_model import gemini_model
from google import genai
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from story import a_batch, by_schemas, every_parameter_empty, server


async def main():
    with server() as started, gemini_model() as model:
        client = genai.Client(api_key="none", http_options={"base_url": model.address})
        parameters = StdioServerParameters(command=started.command, args=started.args, env=started.env)
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()

            async def call(tool, arguments):
                model.next_call = {"name": tool, "args": arguments}
                # No config object: 3.6.1 copies it deeply, and a session cannot be copied.
                config = {"tools": [session]}
                await client.aio.models.generate_content(model="any", contents="Go on.", config=config)
                response = model.requests[-1]["contents"][-1]["parts"][0]["functionResponse"]["response"]
                return response["result"]["structuredContent"]

            await call("get_batch", {})
            listed = {tool.name: tool for tool in (await session.list_tools()).tools}
            schemas = {}
            for tool in model.declarations():
                assert tool["description"] == listed[tool["name"]].description, tool["name"]
                schemas[tool["name"]] = check(listed[tool["name"]], tool["parameters"])
            assert set(schemas) == set(listed), set(schemas)
            await a_batch(by_schemas(call, schemas), started.folder)
            for null in (False, True):
                await every_parameter_empty(call, schemas, null=null)
    print(f"google-genai {genai.__version__}: every schema kept its shape, a batch worked through it")


asyncio.run(main())
