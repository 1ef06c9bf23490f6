#!/usr/bin/env python3
"""LangChain's MCP adapter: its tools for the models of OpenAI, Anthropic and Google, and calls through it.

Usage: langchain_tools.py TASKTALLY
"""

import asyncio
import json

from conversion import check
from gemini_model import gemini_model
from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from story import a_batch, by_schemas, every_parameter_empty, server


def for_openai(tools):
    for tool in ChatOpenAI(model="any", api_key="none").bind_tools(tools).kwargs["tools"]:
        yield tool["function"]["name"], tool["function"]["description"], tool["function"]["parameters"]


def for_anthropic(tools):
    for tool in ChatAnthropic(model="any", api_key="none").bind_tools(tools).kwargs["tools"]:
        yield tool["name"], tool["description"], tool["input_schema"]


def for_gemini(tools):
    # The conversion is a part of each request.
    with gemini_model() as model:
        client = ChatGoogleGenerativeAI(model="any", api_key="none", base_url=model.address)
        client.bind_tools(tools).invoke("Go on.")
        for tool in model.declarations():
            yield tool["name"], tool["description"], tool["parameters"]


FORMATS = {"OpenAI": for_openai, "Anthropic": for_anthropic, "Gemini": for_gemini}


async def main():
    for name, convert in FORMATS.items():
        with server() as started:
            parameters = StdioServerParameters(command=started.command, args=started.args, env=started.env)
            async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
                await session.initialize()
                listed = {tool.name: tool for tool in (await session.list_tools()).tools}
                tools = {tool.name: tool for tool in await load_mcp_tools(session)}

                async def call(tool, arguments):
                    made = {"type": "tool_call", "id": "1", "name": tool, "args": arguments}
                    message = await tools[tool].ainvoke(made)
                    return json.loads(message.content[0]["text"])

                schemas = {}
                for tool, description, schema in convert(list(tools.values())):
                    assert description == listed[tool].description, f"{tool}: {description}"
                    schemas[tool] = check(listed[tool], schema)
                assert set(schemas) == set(listed), set(schemas)
                await a_batch(by_schemas(call, schemas), started.folder)
                await every_parameter_empty(call, schemas, null=False)
        print(f"langchain to {name}: every schema kept its shape, a batch worked through the adapter")


asyncio.run(main())
