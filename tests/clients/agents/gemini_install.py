#!/usr/bin/env python3
"""Gemini CLI with the plugin as its extension, and with the files of `tasktally init` for a project and for a user.

Usage: gemini_install.py TASKTALLY GEMINI
"""

import json

from gemini import PREFIX, configure
from gemini_api import GeminiModel
from install import LAST_WORDS, PROMPT, Installed, assert_skills_shown, job, run_cases


def is_connected(workspace, gemini, env):
    """The client lists the server as connected."""
    servers = workspace.output(gemini, "mcp", "list", env=env)
    assert "task_manager" in servers and "Connected" in servers, servers


def creates_task(workspace, gemini, env):
    """The model calls the server's tool, which the user has allowed for this call of the client."""
    allowed = ["--allowed-tools", PREFIX + "create_task"]
    said = workspace.run_client(gemini, "-m", "gemini-2.5-pro", *allowed, "-p", PROMPT, env=env)
    assert LAST_WORDS in said, said
    workspace.assert_called()


def extension(tasktally, gemini):
    with Installed(tasktally) as workspace, GeminiModel(job()) as model:
        env = configure(workspace, model)
        folder = workspace.plugin()
        workspace.output(gemini, "extensions", "validate", folder, env=env)
        workspace.output(gemini, "extensions", "install", folder, "--consent", env=env)
        is_connected(workspace, gemini, env)
        creates_task(workspace, gemini, env)
        assert_skills_shown(model.requests[0])
    return "the extension is valid, and its server and skills reach the model"


def init_for_project(tasktally, gemini):
    with Installed(tasktally) as workspace, GeminiModel(job()) as model:
        env = configure(workspace, model)
        workspace.init("gemini", "--skill", env=env)
        is_connected(workspace, gemini, env)
        creates_task(workspace, gemini, env)
        assert "batch-processing" in json.dumps(model.requests[0]), "the client does not show the skill of init"
    return "init for a project: connected, the tool is called, and the skill reaches the model"


def init_for_user(tasktally, gemini):
    with Installed(tasktally) as workspace, GeminiModel(job()) as model:
        env = configure(workspace, model)
        workspace.init("gemini", "--scope", "user", "--skill", env=env)
        is_connected(workspace, gemini, env)
        creates_task(workspace, gemini, env)
        assert "batch-processing" in json.dumps(model.requests[0]), "the client does not show the skill of init"
    return "init for a user: connected, the tool is called, and the skill reaches the model"


if __name__ == "__main__":
    run_cases([extension, init_for_project, init_for_user])
