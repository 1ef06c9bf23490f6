#!/usr/bin/env python3
"""task-graph-mcp in Tasktally's swarm: `task-graph-mcp.py --bin PATH`."""

import json

from swarm import RECEIPT, RECEIPTS_PER_TASK, Server, main


class TaskGraph(Server):
    """A task is listed, claimed, given ten attachments, and completed: four calls where Tasktally's worker has three."""

    task = None
    listed = ()
    receipts = 0

    @staticmethod
    def command(binary, folder):
        return [binary, "--database", f"{folder}/tasks.db"]

    def fill(self, servers, tasks):
        for server in servers:
            server.answer("connect", worker_id=server.label)
        for n in range(tasks):
            self.answer("create", title=f"Archive mail {n:06}")

    def left(self):
        return len(self.ready(self.answer("list_tasks", ready=True, agent=self.label, format="json")))

    @staticmethod
    def ready(said):
        return [task["id"] for task in said["tasks"]]

    def next(self):
        if self.task is None and not self.listed:
            self.call("list_tasks", ready=True, agent=self.label, limit=5, format="json")
        elif self.task is None:
            self.call("claim", worker_id=self.label, task=self.listed[0])
        elif self.receipts < RECEIPTS_PER_TASK:
            self.call("attach", agent=self.label, task=self.task, type="note", content=RECEIPT)
        else:
            self.call("update", worker_id=self.label, task=self.task, status="completed")

    def take(self, result):
        """Takes a reply and asks for the next; false when nothing is ready any more."""
        text = result["content"][0]["text"]
        failed = bool(result.get("isError"))
        if self.task is None and not self.listed:
            self.listed = self.ready(json.loads(text))
            if not self.listed:
                return False
        elif self.task is None:
            first, *self.listed = self.listed
            if not failed:
                self.task, self.listed, self.receipts = first, (), 0
        elif failed:
            self.failed(text)
        elif self.receipts < RECEIPTS_PER_TASK:
            self.receipts += 1
            self.finished += 1
        else:
            self.task = None
        self.next()
        return True


if __name__ == "__main__":
    main(TaskGraph, "task-graph-mcp")
