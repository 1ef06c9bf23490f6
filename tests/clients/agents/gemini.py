#!/usr/bin/env python3
"""Gemini CLI: supervises and works a batch, and polls. It adds the parameter `wait_for_previous` to each tool, and
sends it. It declares no forms, so the agent's decision is recorded as relayed.

Usage: gemini.py TASKTALLY GEMINI
"""

import json
import sys

from definitions import assert_shown, assert_whole, instructions_of
from gemini_api import GeminiModel, functions
from job import LAST_WORDS, PROMPT, assert_sorted, polling_job
from scripted_model import Call, Turn
from workspace import Workspace

PREFIX = "mcp_task_manager_"
EXTRA = "wait_for_previous"
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
}


def script():
    """The job, with the client's own parameter in every call."""
    job = polling_job(can_decide=True)
    turn = next(job)
    while True:
        reply = yield Turn(turn.text, [Call(one.tool, one.arguments | {EXTRA: True}) for one in turn.calls])
        try:
            turn = job.send(reply)
        except StopIteration:
            return


def configure(workspace, model, **more):
    """Writes the settings of a user, with more of them. Returns the environment."""
    folder = workspace.home / ".gemini"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(SETTINGS | more))
    return workspace.client_env(
        GEMINI_API_KEY="scripted", GOOGLE_GEMINI_BASE_URL=model.url, GEMINI_CLI_TRUST_WORKSPACE="true"
    )


def prepare(workspace, model):
    """Writes the settings with the server. Returns the environment."""
    command, *arguments = workspace.server
    server = {"command": command, "args": arguments, "env": workspace.server_env, "trust": True}
    return configure(workspace, model, mcpServers={"task_manager": server})


def main():
    tasktally, gemini = sys.argv[1:]
    with Workspace(tasktally) as workspace, GeminiModel(script) as model:
        env = prepare(workspace, model)
        said = workspace.run_client(gemini, "-m", "gemini-2.5-pro", "-p", PROMPT, env=env)
        assert LAST_WORDS in said, said
        instructions = instructions_of(workspace)
        assert_shown(instructions, model.requests[0])
        tools = []
        for function in functions(model.requests[0]):
            if function["name"].startswith(PREFIX):
                schema = function["parametersJsonSchema"]
                assert schema["properties"].pop(EXTRA), function
                tools.append((function["name"].removeprefix(PREFIX), function["description"], schema))
        server_tools = workspace.server_tools()
        assert len(tools) == len(server_tools), tools
        size = assert_whole(tools, server_tools)
        calls = [message for message in workspace.messages("client") if message["method"] == "tools/call"]
        assert calls and all(call["params"]["arguments"][EXTRA] for call in calls), calls
        decisions = workspace.decisions()
        assert decisions, "no decision was recorded"
        for kind, text in decisions:
            assert kind == "agent" and "relayed by an agent, who names 'alice'" in text, decisions
        assert_sorted(workspace, batches=1)
    print(
        f"gemini: a batch in {len(model.requests)} requests; the model got {len(instructions.encode())} "
        f"bytes of instructions and {len(tools)} tools of {size} bytes whole"
    )


if __name__ == "__main__":
    main()
