"""A folder with a store and a client's home, and what the client and the server wrote there."""

import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 60
"""Seconds that a step may take before the test fails."""
NOWHERE = "http://127.0.0.1:9"
"""A port where nothing listens."""
WORKER = """
import json, sys
item = json.load(sys.stdin)
print(json.dumps({"receipt": "- " + item["subject"], "category": item["kind"]}))
"""
"""The program of a worker that sorts a commit."""


class Workspace:
    """A temporary folder, as a context manager.

    `home` is the client's home, `project` the folder that it works in, `server` the command of its MCP server.
    """

    def __init__(self, tasktally):
        self.tasktally = str(Path(tasktally).resolve())

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self.temporary.name)
        self.home, self.project = self.folder / "home", self.folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.log = self.folder / "messages.jsonl"
        self.server_env = {"TASKTALLY_DB": str(self.folder / "tasks.db"), "SCRATCHPAD": str(self.folder / "scratch")}
        self.server = [sys.executable, str(HERE / "tee.py"), str(self.log), self.tasktally, "serve"]
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def client_env(self, **variables):
        """The environment of a client: nothing of this process except the search path and the language. All network but
        loopback goes to a proxy that does not exist."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        proxies = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1"}
        return kept | proxies | {"HOME": str(self.home), "TMPDIR": str(self.folder)} | variables

    def run_client(self, *command, env):
        """The output of a client that must succeed."""
        return checked(command, env=env, cwd=self.project, stdin=subprocess.DEVNULL, timeout=2 * PATIENCE)

    def tasktally_command(self, *arguments, **how):
        """The output of a command of Tasktally."""
        return checked([self.tasktally, *arguments], env=os.environ | self.server_env, timeout=PATIENCE, **how)

    def work(self, batch):
        """Works the chunks that can be claimed, with a command as worker."""
        self.tasktally_command("work", "--batch", batch, "--", sys.executable, "-c", WORKER)

    def decide_at_terminal(self, batch):
        """Approves what waits, as a person at a terminal would."""
        controller, terminal = pty.openpty()
        try:
            self.tasktally_command("review-batch", batch, "approve", stdin=terminal, stderr=terminal)
        finally:
            os.close(terminal)
            os.close(controller)

    def batch(self, identifier):
        """The batch as `get-batch` returns it."""
        return json.loads(self.tasktally_command("get-batch", identifier, "--json"))["batch"]

    def decisions(self):
        """The kinds of the authors of all approvals, with their texts."""
        records = map(json.loads, self.tasktally_command("export").splitlines())
        receipts = [record for record in records if record["line"] == "receipt"]
        return [(one["author_kind"], one["text"]) for one in receipts if one["text"].startswith("Approved")]

    def messages(self, sender):
        """The messages that the client or the server has sent."""
        if not self.log.exists():
            return []
        # A line without an end is still being written.
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [entry["message"] for entry in map(json.loads, lines) if entry["from"] == sender]

    def server_tools(self):
        """The definitions of the server's tools by name; empty before the client has listed them."""
        return {tool["name"]: tool for result in self.results() for tool in result.get("tools", [])}

    def created_batches(self):
        """The ids of the batches that the client's agent created, in order."""
        replies = [result.get("structuredContent", {}) for result in self.results()]
        return [reply["batch"]["id"] for reply in replies if "mode" in reply]

    def results(self):
        """The results that the server has sent."""
        return [message["result"] for message in self.messages("server") if "result" in message]


def checked(command, **how):
    """The standard output of a command that must succeed."""
    how.setdefault("stderr", subprocess.PIPE)
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, **how)
    assert ended.returncode == 0, f"{command} exited with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def wait_until(condition, what):
    """The first true value of `condition`, which must become true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} within {PATIENCE} s"
        time.sleep(0.1)
    return value
