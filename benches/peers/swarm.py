"""What a peer does of Tasktally's swarm benchmark, on this machine in this run.

As many server processes as workers share one file; this one process drives them all over their
pipes, each waiting for its own replies only, so that the client costs little.
"""

import argparse
import json
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECEIPTS_PER_TASK = 10
RECEIPT = "- Archived: 2025-11-03 | Ann | Lunch"
MAX_SECONDS = 300


class Server:
    """One server process: a request is written, its reply read as a line.

    A peer says how it is started (`command`), filled (`fill`), and what a worker asks next (`next`, `take`).
    """

    def __init__(self, binary, folder, label):
        self.process = subprocess.Popen(
            self.command(binary, folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.label = label
        self.input = self.process.stdin
        self.output = self.process.stdout
        self.pending = b""
        self.number = 0
        self.finished = 0
        self.errors = 0
        self.request(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": label, "version": "1"}},
        )
        self.reply()
        self.input.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def request(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.input.write(json.dumps(message).encode() + b"\n")

    def call(self, tool, **arguments):
        self.request("tools/call", {"name": tool, "arguments": arguments})

    def line(self):
        """The line that has arrived, if it is whole."""
        chunk = self.output.read(65536)
        if not chunk:
            raise SystemExit(f"{self.label}: the server ended")
        self.pending += chunk
        line, newline, rest = self.pending.partition(b"\n")
        if not newline:
            return None
        self.pending = rest
        return line

    def reply(self):
        while (line := self.line()) is None:
            pass
        return json.loads(line)["result"]

    def answer(self, tool, **arguments):
        self.call(tool, **arguments)
        result = self.reply()
        if result.get("isError"):
            raise SystemExit(f"{tool}: {result}")
        return json.loads(result["content"][0]["text"])

    def failed(self, said):
        self.errors += 1
        if self.errors > 1000:
            raise SystemExit(f"{self.label}: {said}")

    def stop(self):
        self.input.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def race(servers):
    """Works the queue until each worker finds it empty; seconds from the first claim."""
    selector = selectors.DefaultSelector()
    for server in servers:
        selector.register(server.output, selectors.EVENT_READ, server)
    started = time.monotonic()
    for server in servers:
        server.next()
    last = started
    while selector.get_map():
        if time.monotonic() - started > MAX_SECONDS:
            raise SystemExit(f"not done after {MAX_SECONDS} s")
        for key, _ in selector.select(timeout=1):
            line = key.data.line()
            if line is None:
                continue
            if not key.data.take(json.loads(line)["result"]):
                selector.unregister(key.fileobj)
            else:
                last = time.monotonic()
    return last - started


def main(peer, binary):
    """Runs the swarm; prints one line of JSON: {"tasks_per_s": …, …}."""
    parser = argparse.ArgumentParser(description=peer.__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--bin", default=binary, metavar="PATH")
    options = parser.parse_args()
    receipts = options.tasks * RECEIPTS_PER_TASK

    with tempfile.TemporaryDirectory() as folder:
        servers = []
        try:
            for n in range(options.workers):
                servers.append(peer(str(Path(options.bin).absolute()), folder, f"worker-{n + 1}"))
            servers[0].fill(servers, options.tasks)
            seconds = race(servers)
            left = servers[0].left()
        finally:
            for server in servers:
                server.stop()

    finished = [server.finished for server in servers]
    assert left == 0 and sum(finished) == receipts, (left, finished)
    report = {
        "workers": options.workers,
        "tasks": options.tasks,
        "seconds": round(seconds, 3),
        "tasks_per_s": round(options.tasks / seconds, 1),
        "slowest_share": round(min(finished) * options.workers / receipts, 2),
        "errors": sum(server.errors for server in servers),
    }
    json.dump(report, sys.stdout)
    print()
