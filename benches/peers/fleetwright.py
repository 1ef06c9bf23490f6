#!/usr/bin/env python3
"""Fleetwright in Tasktally's swarm: `fleetwright.py --bin PATH`."""

import json

from swarm import RECEIPT, RECEIPTS_PER_TASK, Server, main

KIND = "item"


class Fleetwright(Server):
    """Its unit is an item: one claim of ten units and ten finishes stand for a task with ten receipts."""

    units = ()

    @staticmethod
    def command(binary, folder):
        return [binary, "serve", "--db", f"{folder}/work.db", "--create"]

    def fill(self, _servers, tasks):
        units = tasks * RECEIPTS_PER_TASK
        self.answer("define_kind", kind=KIND, instructions="Archive $name.", done_when="It is archived.")
        run = self.answer("start_run", label="swarm")["run_id"]
        names = [f"mail-{n:06}" for n in range(units)]
        added = self.answer("add_jobs", kind=KIND, names=names, run=run)["added"]
        assert added == units, added

    def left(self):
        return self.answer("job_status", kind=KIND)["left"]

    def next(self):
        if self.units:
            self.call("finish_job", unit_id=self.units[-1], note=RECEIPT)
        else:
            self.call("claim_job", kind=KIND, n=RECEIPTS_PER_TASK)

    def take(self, result):
        """Takes a reply and asks for the next; false when the queue is empty."""
        said = json.loads(result["content"][0]["text"])
        if result["isError"] or said.get("finished") is False:
            self.failed(said)
        elif self.units:
            self.units.pop()
            self.finished += 1
        elif said.get("queue_empty"):
            return False
        else:
            self.units = [unit["unit_id"] for unit in said["units"]]
        self.next()
        return True


if __name__ == "__main__":
    main(Fleetwright, "fleetwright")
