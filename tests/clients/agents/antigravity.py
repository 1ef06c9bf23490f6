#!/usr/bin/env python3
"""Antigravity's agent, from its Python SDK: supervises and works a batch, and polls. It shows its model only the names
of the tools. It writes their definitions and the instructions to files, and calls all of them through a tool of its
own. It declares forms, but without a person it cancels them itself.

Usage: antigravity.py TASKTALLY, in a Python environment with google-antigravity
"""

import json
import re
import sys

from definitions import assert_whole, instructions_of
from gemini_api import GeminiModel
from job import LAST_WORDS, PROMPT, assert_sorted, polling_job
from person import decides_elsewhere
from scripted_model import Call, Reply, Turn
from workspace import HERE, Workspace

TIMES = re.compile(r"\ACreated At: .*\nCompleted At: .*\n")
"""What the client writes before the result of a call."""


def script():
    """The job, with each call through the client's own tool."""
    job = polling_job(can_decide=False)
    turn = next(job)
    while True:
        reply = yield Turn(turn.text, [lazy(one) for one in turn.calls])
        results = {identifier: TIMES.sub("", result) for identifier, result in reply.by_call.items()}
        try:
            turn = job.send(Reply(results, reply.text))
        except StopIteration:
            return


def lazy(one):
    """The call of a tool whose definition the client has not loaded."""
    shown = {"toolSummary": "Task manager", "toolAction": "Calling the task manager"}
    called = {"ServerName": "task_manager", "ToolName": one.tool, "Arguments": one.arguments}
    return Call("call_mcp_tool", shown | called)


def written(workspace):
    """What the client has written for its model: the instructions, and each tool with its description and schema."""
    (folder,) = workspace.home.glob(".gemini/antigravity/brain/*/mcp/task_manager")
    tools = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    instructions = (folder / "instructions.md").read_text()
    return instructions, [(tool["name"], tool["description"], tool["parameters"]) for tool in tools]


def main():
    (tasktally,) = sys.argv[1:]
    with Workspace(tasktally) as workspace, GeminiModel(script) as model:
        env = workspace.client_env(GEMINI_API_KEY="scripted", **workspace.server_env)
        chat = [sys.executable, HERE / "antigravity_chat.py", model.url, PROMPT]
        with decides_elsewhere(workspace):
            said = workspace.run_client(*chat, *workspace.server, env=env)
        assert LAST_WORDS in said, said
        instructions, tools = written(workspace)
        assert instructions_of(workspace) in instructions, instructions
        assert len(tools) == len(workspace.server_tools()), tools
        size = assert_whole(tools, workspace.server_tools())
        assert {kind for kind, _ in workspace.decisions()} == {"person"}, workspace.decisions()
        assert_sorted(workspace, batches=1)
    print(
        f"antigravity: a batch in {len(model.requests)} requests; the client wrote {len(instructions.encode())} bytes "
        f"of instructions and {len(tools)} tools of {size} bytes whole"
    )


if __name__ == "__main__":
    main()
