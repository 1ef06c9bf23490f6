#!/usr/bin/env python3
"""What the fastest peer does of Docket's swarm benchmark, on this machine in this run.

Fleetwright's unit is an item: one claim of ten units and ten finishes stand for one Docket task
with ten receipts. As many server processes as workers share one file; this one process drives
them all over their pipes, each waiting for its own replies only, so that the client costs little.

Prints one line of JSON: {"tasks_per_s": …, "units_per_s": …, …}.
"""

import argparse
import json
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UNITS_PER_TASK = 10
KIND = "item"
MAX_SECONDS = 300


class Server:
    """One server process: a request is written, its reply read as a line."""

    def __init__(self, binary, database, label):
        self.process = subprocess.Popen(
            [binary, "serve", "--db", database, "--create"],
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
        self.units = []
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
        if result["isError"]:
            raise SystemExit(f"{tool}: {result}")
        return json.loads(result["content"][0]["text"])

    def stop(self):
        self.input.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # The loop of a worker, a step a reply.

    def next(self):
        if self.units:
            self.call("finish_job", unit_id=self.units[-1], note="- Archived: 2025-11-03 | Ann | Lunch")
        else:
            self.call("claim_job", kind=KIND, n=UNITS_PER_TASK)

    def take(self, line):
        """Takes a reply and asks for the next; false when the queue is empty."""
        result = json.loads(line)["result"]
        said = json.loads(result["content"][0]["text"])
        if result["isError"] or said.get("finished") is False:
            self.errors += 1
            if self.errors > 1000:
                raise SystemExit(f"{self.label}: {said}")
        elif self.units:
            self.units.pop()
            self.finished += 1
        elif said.get("queue_empty"):
            return False
        else:
            self.units = [unit["unit_id"] for unit in said["units"]]
        self.next()
        return True


def fill(server, units):
    server.answer("define_kind", kind=KIND, instructions="Archive $name.", done_when="It is archived.")
    run = server.answer("start_run", label="swarm")["run_id"]
    names = [f"mail-{n:06}" for n in range(units)]
    added = server.answer("add_jobs", kind=KIND, names=names, run=run)["added"]
    assert added == units, added


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
            if not key.data.take(line):
                selector.unregister(key.fileobj)
            else:
                last = time.monotonic()
    return last - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--bin", default="fleetwright", metavar="PATH")
    options = parser.parse_args()
    units = options.tasks * UNITS_PER_TASK

    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "work.db"))
        servers = []
        try:
            for n in range(options.workers):
                servers.append(Server(options.bin, database, f"worker-{n + 1}"))
            fill(servers[0], units)
            seconds = race(servers)
            left = servers[0].answer("job_status", kind=KIND)["left"]
        finally:
            for server in servers:
                server.stop()

    finished = [server.finished for server in servers]
    assert left == 0 and sum(finished) == units, (left, finished)
    report = {
        "peer": "fleetwright",
        "workers": options.workers,
        "tasks": options.tasks,
        "units": units,
        "seconds": round(seconds, 3),
        "tasks_per_s": round(options.tasks / seconds, 1),
        "units_per_s": round(units / seconds, 1),
        "slowest_share": round(min(finished) * options.workers / units, 2),
        "errors": sum(server.errors for server in servers),
    }
    json.dump(report, sys.stdout)
    print()


if __name__ == "__main__":
    main()
