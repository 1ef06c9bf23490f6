#!/usr/bin/env python3
"""Claude Code with the plugin, and with the files of `tasktally init` for a project and for a user.

Usage: claude_install.py TASKTALLY CLAUDE
"""

import json

from anthropic_api import AnthropicModel
from claude import PREFIX, environment
from install import LAST_WORDS, PROMPT, Installed, assert_skills_shown, job, run_cases, skill_text
from scripted_model import Turn, call, replies_in

PLUGIN_PREFIX = "mcp__plugin_tasktally_task_manager__"
BATCHES = "No batch is open."


def loads(prefix):
    """The turn in which the model asks for the definition of the tool."""
    return call("ToolSearch", query=f"select:{prefix}create_task", max_results=1)


def creates_task(workspace, claude, env, prefix):
    """The model calls the server's tool."""
    allowed = ["--allowedTools", prefix.removesuffix("__"), "Skill"]
    said = workspace.run_client(claude, "-p", *allowed, "--", PROMPT, env=env)
    assert LAST_WORDS in said, said
    workspace.assert_called()


def plugin(tasktally, claude):
    skill = call("Skill", skill="tasktally:batch-processing")
    with Installed(tasktally) as workspace, AnthropicModel(job(before=[skill, loads(PLUGIN_PREFIX)])) as model:
        env = environment(workspace, model)
        folder = workspace.plugin()
        for check in (["--strict"], ["--profile", "directory"]):
            workspace.output(claude, "plugin", "validate", *check, folder, env=env)
        workspace.output(claude, "plugin", "marketplace", "add", folder, env=env)
        workspace.output(claude, "plugin", "install", "tasktally@tasktally", env=env)
        servers = workspace.output(claude, "mcp", "list", env=env)
        assert "plugin:tasktally:task_manager: sh" in servers and "Connected" in servers, servers
        creates_task(workspace, claude, env, PLUGIN_PREFIX)
        assert_skills_shown(model.requests[0])
        # The client returns the skill as a message after the result of the call.
        shown, *_ = replies_in(model.history(model.requests[-1]))
        assert skill_text("batch-processing") in shown.text, shown
    with Installed(tasktally) as workspace, AnthropicModel(lambda: iter([Turn(BATCHES)])) as model:
        env = environment(workspace, model)
        said = workspace.run_client(
            claude, "--plugin-dir", workspace.plugin(), "-p", "/tasktally:batch-status", env=env
        )
        assert BATCHES in said, said
        assert json.dumps(skill_text("batch-status"))[1:-1] in json.dumps(model.requests[0]), model.requests[0]
    return "the plugin is valid, and its server, skills and commands reach the model"


def init_for_project(tasktally, claude):
    with Installed(tasktally) as workspace, AnthropicModel(job(before=[loads(PREFIX)])) as model:
        env = environment(workspace, model)
        written = workspace.init("claude-code", env=env)
        assert "Pending approval" in written, written
        servers = workspace.output(claude, "mcp", "list", env=env)
        assert "task_manager" in servers and "Pending approval" in servers, servers
        # What the client writes when its user approves the server.
        approved = workspace.project / ".claude" / "settings.local.json"
        approved.parent.mkdir()
        approved.write_text(json.dumps({"enabledMcpjsonServers": ["task_manager"]}))
        servers = workspace.output(claude, "mcp", "list", env=env)
        assert "task_manager" in servers and "Connected" in servers, servers
        creates_task(workspace, claude, env, PREFIX)
    return "init for a project: pending approval, then connected, and the tool is called"


def init_for_user(tasktally, claude):
    with Installed(tasktally) as workspace, AnthropicModel(job(before=[loads(PREFIX)])) as model:
        env = environment(workspace, model)
        workspace.init("claude-code", "--scope", "user", "--skill", env=env)
        servers = workspace.output(claude, "mcp", "list", env=env)
        assert "task_manager" in servers and "Connected" in servers, servers
        creates_task(workspace, claude, env, PREFIX)
        assert "batch-processing" in json.dumps(model.requests[0]), "the client does not show the skill of init"
    return "init for a user: connected, the tool is called, and the skill reaches the model"


if __name__ == "__main__":
    run_cases([plugin, init_for_project, init_for_user])
