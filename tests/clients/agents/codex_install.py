#!/usr/bin/env python3
"""Codex with the plugin, and with the files of `tasktally init` for a project and for a user.

Usage: codex_install.py TASKTALLY CODEX
"""

import json

from codex_exec import configure
from install import LAST_WORDS, PROMPT, Installed, assert_skills_shown, job, run_cases
from openai_api import OpenAiModel
from scripted_model import call

AWAIT_SERVER = call("list_mcp_resources", server="task_manager")
"""Codex may send its first request before the server has started. This call of its own waits for the server."""


def creates_task(workspace, codex, env):
    """The model calls the server's tool."""
    said = workspace.run_client(codex, "exec", "--skip-git-repo-check", PROMPT, env=env)
    assert LAST_WORDS in said, said
    workspace.assert_called()


def plugin(tasktally, codex):
    with Installed(tasktally) as workspace, OpenAiModel(job(before=[AWAIT_SERVER])) as model:
        env = configure(workspace, model)
        workspace.output(codex, "plugin", "marketplace", "add", workspace.plugin(), env=env)
        workspace.output(codex, "plugin", "add", "tasktally@tasktally", env=env)
        servers = workspace.output(codex, "mcp", "list", env=env)
        assert "task_manager" in servers, servers
        creates_task(workspace, codex, env)
        assert_skills_shown(model.requests[0])
    return "the plugin is installed, and its server and skills reach the model"


def init_for_project(tasktally, codex):
    with Installed(tasktally) as workspace, OpenAiModel(job(before=[AWAIT_SERVER])) as model:
        # What the client writes when its user trusts the folder.
        trusted = f'[projects.{json.dumps(str(workspace.project))}]\ntrust_level = "trusted"\n'
        env = configure(workspace, model, trusted)
        workspace.init("codex", "--scope", "project", "--skill", env=env)
        servers = workspace.output(codex, "mcp", "list", env=env)
        assert "task_manager" in servers, servers
        creates_task(workspace, codex, env)
        assert "batch-processing" in json.dumps(model.requests[0]), "the client does not show the skill of init"
    return "init for a project: listed, the tool is called, and the skill reaches the model"


def init_for_user(tasktally, codex):
    with Installed(tasktally) as workspace, OpenAiModel(job(before=[AWAIT_SERVER])) as model:
        env = configure(workspace, model)
        workspace.init("codex", "--skill", env=env)
        servers = workspace.output(codex, "mcp", "list", env=env)
        assert "task_manager" in servers, servers
        creates_task(workspace, codex, env)
        assert "batch-processing" in json.dumps(model.requests[0]), "the client does not show the skill of init"
    return "init for a user: listed, the tool is called, and the skill reaches the model"


if __name__ == "__main__":
    run_cases([plugin, init_for_project, init_for_user])
