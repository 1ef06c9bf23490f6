#!/usr/bin/env python3
"""Claude Code with each package of target/packages (packaging/build), on a machine without Rust: the demo, then the
server.

The packages are installed by the commands of the documentation. `npx` finds them in a registry on loopback, `uvx` in
the folder.

Usage: claude_packages.py TASKTALLY CLAUDE
"""

import json
import shutil
import sys
from pathlib import Path

from anthropic_api import AnthropicModel
from claude import PREFIX, environment
from claude_install import PLUGIN_PREFIX
from install import REPOSITORY, UserWorkspace, run_cases
from job import BATCH, CHUNKS, COMMITS, LAST_WORDS, PROMPT, create, do
from npm_registry import NpmRegistry
from scripted_model import Turn, call
from workspace import PATIENCE, checked

sys.path.append(str(REPOSITORY / "packaging" / "mcpb"))

from bundle import mcp_command, unpack  # noqa: E402

PACKAGES = REPOSITORY / "target" / "packages"
DEMO_ITEMS = 663


class WithoutRust(UserWorkspace):
    """A workspace in which only a shell and the given programs are in `PATH`."""

    def __init__(self, tasktally, *programs):
        super().__init__(tasktally)
        self.programs = [Path(shutil.which(name)) for name in ("sh", "env")] + [Path(program) for program in programs]

    def __enter__(self):
        super().__enter__()
        for program in self.programs:
            (self.bin / program.name).symlink_to(program)
        return self

    def client_env(self, **variables):
        # The first start of a package also installs it. By default, `claude -p` sends its first request after a few
        # seconds, without the tools of a server that is still starting.
        patience = dict.fromkeys(("MCP_TIMEOUT", "CLAUDE_CODE_MCP_STARTUP_WAIT_MS"), str(PATIENCE * 1000))
        return super().client_env(**variables) | patience | {"PATH": str(self.bin)}

    def assert_batch(self):
        """The store of the user holds the batch that the client's model has created, and it is intact."""
        (batch,) = json.loads(self.tasktally_command("get-batch", "--json"))["batches"]
        assert batch["title"] == BATCH["title"] and batch["total"] == len(COMMITS), batch
        self.tasktally_command("verify")


def package(pattern, tasktally):
    """The only package of this version whose name matches."""
    version = checked([tasktally, "--version"], timeout=PATIENCE).split()[1]
    found = list(PACKAGES.glob(pattern.replace("VERSION", version)))
    assert len(found) == 1, f"{pattern} of version {version} in {PACKAGES}: {found}; run packaging/build"
    return found[0]


def job(prefix):
    """Creates a batch and lists its chunks."""

    def script():
        yield call("ToolSearch", query=f"select:{prefix}create_batch,{prefix}list_tasks", max_results=2)
        batch = yield from create()
        listed = yield from do("list_tasks", batch=batch)
        assert len(listed["tasks"]) == CHUNKS, listed
        yield Turn(LAST_WORDS)

    return script


def works(workspace, claude, env, prefix):
    """The client connects to the server, and its model creates a batch with it."""
    servers = workspace.output(claude, "mcp", "list", env=env)
    assert "task_manager" in servers and "Connected" in servers, servers
    said = workspace.run_client(claude, "-p", "--allowedTools", prefix.removesuffix("__"), "--", PROMPT, env=env)
    assert LAST_WORDS in said, said
    workspace.assert_batch()


def demo_and_server(workspace, claude, program, *, serve, **variables):
    """The demo of a program, and its server in the client."""
    with AnthropicModel(job(PREFIX)) as model:
        env = environment(workspace, model) | variables
        demo = workspace.output(*program, "demo", env=env)
        assert f"\n{DEMO_ITEMS} items in " in demo, demo
        workspace.output(claude, "mcp", "add", "task_manager", "--", *serve, env=env)
        works(workspace, claude, env, PREFIX)


def plugin(workspace, claude, **variables):
    """The plugin, which starts a package."""
    with AnthropicModel(job(PLUGIN_PREFIX)) as model:
        env = environment(workspace, model) | variables
        workspace.output(claude, "plugin", "marketplace", "add", PACKAGES / "plugin", env=env)
        workspace.output(claude, "plugin", "install", "tasktally@tasktally", env=env)
        works(workspace, claude, env, PLUGIN_PREFIX)


def demo_server_and_plugin(tasktally, claude, command, *, programs, **variables):
    """A command that fetches a package and starts its program, on a machine with these programs."""
    with WithoutRust(tasktally, *programs) as workspace:
        demo_and_server(workspace, claude, command, serve=[*command, "serve"], **variables)
    with WithoutRust(tasktally, *programs) as workspace:
        plugin(workspace, claude, **variables)
    return f"{command[0]} runs the demo, and the server for Claude Code and for the plugin"


def npm(tasktally, claude):
    files = [package("tasktally-VERSION.tgz", tasktally), package("tasktally-*-VERSION.tgz", tasktally)]
    programs = [shutil.which(name) for name in ("node", "npm", "npx")]
    with NpmRegistry(files) as registry:
        settings = {"npm_config_registry": registry.url, "npm_config_audit": "false"}
        command = ["npx", "-y", "tasktally"]
        return demo_server_and_plugin(tasktally, claude, command, programs=programs, **settings)


def wheel(tasktally, claude):
    file = package("tasktally-VERSION-*.whl", tasktally)
    tools = checked([REPOSITORY / "packaging" / "pypi" / "tools"]).strip()
    programs = [sys.executable, f"{tools}/uv", f"{tools}/uvx"]
    settings = {"UV_FIND_LINKS": str(file.parent), "UV_OFFLINE": "1"}
    return demo_server_and_plugin(tasktally, claude, ["uvx", "tasktally"], programs=programs, **settings)


def bundle(tasktally, claude):
    file = package("tasktally-VERSION-*.mcpb", tasktally)
    with WithoutRust(tasktally) as workspace:
        folder = workspace.folder / "bundle"
        manifest = unpack(file, folder)
        # Claude Code installs no bundles, so it gets the command that a client which does would start.
        db = manifest["user_config"]["db"]["default"].replace("${HOME}", str(workspace.home))
        program, *arguments = mcp_command(manifest, folder, {"db": db})
        demo_and_server(workspace, claude, [program], serve=[program, *arguments])
    return "the program of the bundle runs the demo, and the manifest's command the server for Claude Code"


if __name__ == "__main__":
    run_cases([npm, wheel, bundle])
