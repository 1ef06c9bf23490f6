"""A client of the protocol 2026-07-28 without a library, message by message over a pipe.

Each request carries the client's name and capabilities, as `basic/index` of the specification 2026-07-28 requires
(`RequestMetaObject` in its schema). There is no handshake.
"""

import itertools
import json
import os
import queue
import signal
import subprocess
import threading

VERSION = "2026-07-28"
PATIENCE = 30
"""Seconds that a response may take."""


class Refused(Exception):
    """A JSON-RPC error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error, self.code, self.data = error, error["code"], error.get("data")


class Pipe:
    """A server process and the client's ends of its pipes, as a context manager."""

    def __init__(self, command, *, env, cwd, capabilities):
        self.command, self.env, self.cwd, self.capabilities = command, os.environ | env, cwd, capabilities
        self.ids = itertools.count(1)

    def __enter__(self):
        self.server = subprocess.Popen(
            self.command, env=self.env, cwd=self.cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.lines = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.server.stdout.close()

    def kill(self):
        """Kills the server."""
        self.server.send_signal(signal.SIGKILL)
        self.server.wait(PATIENCE)

    def _read(self):
        for line in self.server.stdout:
            self.lines.put(line)

    def request(self, method, *, capabilities=None, **params):
        """The result of a request. `capabilities` replaces the capabilities that the client declares."""
        declared = self.capabilities if capabilities is None else capabilities
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": declared,
        }
        number = next(self.ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params | {"_meta": meta}}
        self.server.stdin.write(json.dumps(message).encode() + b"\n")
        self.server.stdin.flush()
        while True:
            answer = json.loads(self.lines.get(timeout=PATIENCE))
            if answer.get("id") == number:
                break
            assert "id" not in answer, f"in 2026-07-28 a server sends no requests: {answer}"
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def call(self, tool, **arguments):
        """The reply of a tool that must succeed."""
        result = self.request("tools/call", name=tool, arguments=arguments)
        assert result["resultType"] == "complete" and not result.get("isError"), f"{tool} {arguments}: {result}"
        return result["structuredContent"]
