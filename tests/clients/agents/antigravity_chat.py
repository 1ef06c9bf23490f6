#!/usr/bin/env python3
"""Antigravity's agent, as its Python SDK starts it: answers one prompt and prints the answer.

Usage: antigravity_chat.py MODEL_URL PROMPT COMMAND…

COMMAND is the MCP server `task_manager`. It gets the environment of this program.
"""

import asyncio
import os
import sys

from google.antigravity import Agent, LocalAgentConfig, policy, types
from google.antigravity.models import GeminiAPIEndpoint, ModelTarget


async def main():
    url, prompt, command, *arguments = sys.argv[1:]
    config = LocalAgentConfig(
        models=[ModelTarget(name="gemini-2.5-pro", endpoint=GeminiAPIEndpoint(base_url=url))],
        mcp_servers=[types.McpStdioServer(name="task_manager", command=command, args=arguments)],
        policies=[policy.allow_all()],
        workspaces=[os.getcwd()],
    )
    async with Agent(config) as agent:
        answer = await agent.chat(prompt)
        print(await answer.text())


asyncio.run(main())
