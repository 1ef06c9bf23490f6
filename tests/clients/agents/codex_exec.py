#!/usr/bin/env python3
"""`codex exec`: supervises and works a batch, and polls. It declares forms, but declines them itself.

Usage: codex_exec.py TASKTALLY CODEX
"""

import json
import sys

from definitions import assert_shown, assert_whole, instructions_of
from job import LAST_WORDS, PROMPT, assert_sorted, polling_job
from openai_api import OpenAiModel, functions
from person import decides_elsewhere
from workspace import Workspace

PREFIX = "mcp__task_manager__"
# TOML reads the strings and lists of JSON.
CONFIG = """
model = "scripted"
model_provider = "scripted"
approval_policy = "never"
# The sandbox needs user namespaces; the script calls no tool that it is for.
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.scripted]
name = "scripted"
base_url = {url}
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""
SERVER = """
[mcp_servers.task_manager]
# Else the first request may be sent before the server has started.
required = true
command = {command}
args = {arguments}
[mcp_servers.task_manager.env]
{env}
"""


def configure(workspace, model, *more):
    """Writes the configuration of a user, with more tables. Returns the environment."""
    folder = workspace.home / ".codex"
    folder.mkdir()
    config = CONFIG.format(url=json.dumps(model.url + "/v1"))
    (folder / "config.toml").write_text("".join([config, *more]))
    return workspace.client_env(CODEX_HOME=str(folder), SCRIPTED_KEY="scripted")


def prepare(workspace, model):
    """Writes the configuration with the server. Returns the environment."""
    command, *arguments = workspace.server
    env = "\n".join(f"{name} = {json.dumps(value)}" for name, value in workspace.server_env.items())
    values = {"command": json.dumps(command), "arguments": json.dumps(arguments)}
    return configure(workspace, model, SERVER.format(**values, env=env))


def main():
    tasktally, codex = sys.argv[1:]
    with Workspace(tasktally) as workspace, OpenAiModel(lambda: polling_job(can_decide=False)) as model:
        env = prepare(workspace, model)
        with decides_elsewhere(workspace):
            said = workspace.run_client(codex, "exec", "--skip-git-repo-check", PROMPT, env=env)
        assert LAST_WORDS in said, said
        initialize = workspace.messages("client")[0]
        assert initialize["method"] == "initialize", initialize
        assert "extensions" not in initialize["params"]["capabilities"], initialize
        instructions = instructions_of(workspace)
        assert_shown(instructions, model.requests[0])
        tools = [
            (name.removeprefix(PREFIX), function["description"], function["parameters"])
            for name, function in functions(model.requests[0])
            if name.startswith(PREFIX)
        ]
        server_tools = workspace.server_tools()
        assert len(tools) == len(server_tools), tools
        size = assert_whole(tools, server_tools)
        assert {kind for kind, _ in workspace.decisions()} == {"person"}, workspace.decisions()
        assert_sorted(workspace, batches=1)
    print(
        f"codex_exec: a batch in {len(model.requests)} requests; the model got "
        f"{len(instructions.encode())} bytes of instructions and {len(tools)} tools of {size} bytes whole"
    )


if __name__ == "__main__":
    main()
