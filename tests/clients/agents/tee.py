#!/usr/bin/env python3
"""Runs an MCP server and writes every line between it and its client to a file, in order.

Usage: tee.py FILE COMMAND…

Each line of FILE is a JSON object: `from` is `client` or `server`, `message` is the line.
"""

import json
import subprocess
import sys
import threading


def main():
    path, command = sys.argv[1], sys.argv[2:]
    lock = threading.Lock()
    with open(path, "a", buffering=1) as log, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:

        def copy(source, target, name):
            for line in source:
                with lock:
                    log.write(json.dumps({"from": name, "message": json.loads(line)}) + "\n")
                target.write(line)
                target.flush()
            target.close()

        answers = threading.Thread(target=copy, args=(server.stdout, sys.stdout.buffer, "server"))
        answers.start()
        copy(sys.stdin.buffer, server.stdin, "client")
        answers.join()
    sys.exit(server.returncode)


if __name__ == "__main__":
    main()
