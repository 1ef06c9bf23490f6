"""How Claude Code is set up for a scripted model: no account, and no question before the first prompt."""

import json

from definitions import assert_shown, assert_whole, instructions_of
from job import TOOLS
from scripted_model import call

KEY = "sk-ant-scripted"
PREFIX = "mcp__task_manager__"


def loads_tools(job):
    """The job, after the tools are loaded. Claude Code shows the model only their names until it searches for them."""

    def script():
        names = ",".join(PREFIX + tool for tool in TOOLS)
        yield call("ToolSearch", query=f"select:{names}", max_results=len(TOOLS))
        yield from job()

    return script


def environment(workspace, model):
    """Writes the configuration of a user who has answered the first questions. Returns the environment."""
    config = workspace.home / ".claude"
    config.mkdir()
    state = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [KEY], "rejected": []},
        "projects": {str(workspace.project): {"hasTrustDialogAccepted": True}},
    }
    (config / ".claude.json").write_text(json.dumps(state))
    return workspace.client_env(
        CLAUDE_CONFIG_DIR=str(config),
        ANTHROPIC_BASE_URL=model.url,
        ANTHROPIC_API_KEY=KEY,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
    )


def prepare(workspace, model):
    """Writes the configuration with the server. Returns the environment and the first arguments."""
    env = environment(workspace, model)
    servers = workspace.folder / "mcp.json"
    command, *arguments = workspace.server
    server = {"type": "stdio", "command": command, "args": arguments, "env": workspace.server_env}
    servers.write_text(json.dumps({"mcpServers": {"task_manager": server}}))
    return env, ["--mcp-config", str(servers), "--strict-mcp-config", "--allowedTools", PREFIX.removesuffix("__")]


def declared(workspace):
    """The capabilities in the client's first message, which must be the discovery of 2026-07-28."""
    first = workspace.messages("client")[0]
    assert first["method"] == "server/discover", first
    meta = first["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28", meta
    return meta["io.modelcontextprotocol/clientCapabilities"]


def shown(workspace, model):
    """Checks what the model was shown of the server. Returns it in words."""
    instructions = instructions_of(workspace)
    assert_shown(instructions, model.requests[0])
    tools = [
        (tool["name"].removeprefix(PREFIX), tool["description"], tool["input_schema"])
        for tool in model.requests[-1]["tools"]
        if tool["name"].startswith(PREFIX)
    ]
    assert {name for name, *_ in tools} >= set(TOOLS), tools
    size = assert_whole(tools, workspace.server_tools())
    return f"{len(instructions.encode())} bytes of instructions and {len(tools)} tools of {size} bytes whole"
