#!/usr/bin/env python3
"""The whole workflow with 663 real items, on real servers, with client libraries of other projects.

Eight workers, each with its own server, classify mail by month while a supervisor polls. A person reviews each month,
and mail of the category `archive` is archived. A worker is killed between an action that cannot be undone and its
receipt. At the end nothing was archived twice, and summary files, `get_batch`, receipts and report agree for every
chunk.

Usage: mail_archive.py TASKTALLY [LIBRARY…]
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from mcp import MCPError
from session import ERAS, LIBRARIES, run

MAIL = Path(__file__).parents[2] / "examples" / "commits.jsonl"
ITEMS = {item["key"]: item for item in map(json.loads, MAIL.read_text().splitlines())}
WORKERS = 8
BOUND = 120
"""Seconds that a step of the batch may take before the test fails."""
POLL = 1
"""Seconds between two polls."""


def sort(fields):
    """The category of an item with these fields."""
    return {"fix": "reply", "docs": "archive", "ci": "archive", "chore": "archive", "other": "archive"}.get(
        fields["kind"], "read"
    )


class TestStore:
    """A store, the folder with the files of its batches, and access to both."""

    def __init__(self, tasktally, folder, library, mode):
        self.tasktally, self.folder, self.library, self.mode = tasktally, Path(folder), library, mode
        self.env = {"TASKTALLY_DB": str(self.folder / "tasks.db"), "SCRATCHPAD": str(self.folder / "scratch")}
        self.mailbox = list(ITEMS)
        self.archived = []

    def serve(self, *, toolset="all", before=()):
        """A session with its own server process."""
        command = [*before, self.tasktally, "serve", "--toolset", toolset]
        return self.library(command, mode=self.mode, env=self.env, cwd=str(self.folder))

    def command(self, *arguments):
        """The output of a command."""
        environment = os.environ | self.env
        return subprocess.run(
            [self.tasktally, *arguments], env=environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def archive(self, key):
        """The action that cannot be undone. A second call for the same item is recorded."""
        self.mailbox.remove(key)
        self.archived.append(key)


class Worker:
    """A background agent that follows the prompt in the reply of `create_batch`."""

    def __init__(self, test_store, session, batch, name):
        self.test_store, self.session, self.batch, self.name = test_store, session, batch, name
        self.found_in_doubt = []

    async def claim(self, **options):
        """Claims a chunk; None if there is none."""
        claimed = await self.session.ask("claim_task", batch=self.batch, worker=self.name, **options)
        if not claimed["success"]:
            assert claimed["code"] == "nothing_to_claim", claimed
            return None
        self.chunk, self.token = claimed["task"]["id"], claimed["claim"]["token"]
        self.executing = "Step 'execute'" in claimed["instructions"]
        return claimed

    async def write(self, item, outcome, **receipt):
        await self.session.do(
            "update_task", id=self.chunk, claim=self.token, item=item["key"], outcome=outcome, **receipt
        )

    async def classify(self, item):
        await self.settle(item, sort(item["fields"]))

    async def execute(self, item):
        """Writes `started` before it acts, and first checks items that a dead worker started."""
        assert item["earlier_steps"]["classify"]["category"] == "archive", item
        await self.write(item, "started")
        doubt = item.get("in_doubt")
        if doubt:
            self.found_in_doubt.append((item["key"], doubt["by"]))
        if not doubt or item["key"] in self.test_store.mailbox:
            self.test_store.archive(item["key"])
        await self.settle(item, "archived")

    async def settle(self, item, category):
        body = f"- {category}: {item['key']} | {item['fields']['date']} | {item['fields']['subject']}"
        await self.write(item, "done", category=category, body=body)

    async def work(self):
        """Works chunks until none can be claimed."""
        while page := await self.claim():
            while True:
                for item in page["items"]:
                    await (self.execute(item) if self.executing else self.classify(item))
                if "next_items_after" not in page:
                    break
                page = await self.session.do("get_task", id=self.chunk, items_after=page["next_items_after"])
            await self.session.do("complete_task", id=self.chunk, claim=self.token)
        return self.found_in_doubt


class Supervisor:
    """Creates the batch, starts workers and polls."""

    def __init__(self, test_store, session):
        self.test_store, self.session = test_store, session
        self.polls, self.since, self.chunks, self.found_in_doubt = [], None, {}, []

    async def create(self):
        made = await self.session.do(
            "create_batch",
            title="Archive mail",
            instructions="Each item is a mail.",
            source={"path": "mail.jsonl"},
            split={"by": "time", "field": "date", "period": "month"},
            steps=[
                {"name": "classify", "instructions": "Say whether it is to be answered, read or archived."},
                {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]},
            ],
            checkpoint="chunk",
            finish={"title": "Check and push once"},
            on_conflict="allow",
        )
        assert made["batch"]["items"] == sum(chunk["items"] for chunk in made["chunks"]) == len(ITEMS), made
        months = {item["date"][:7] for item in ITEMS.values()}
        assert len({chunk["span"] for chunk in made["chunks"]}) == len(months), (made, months)
        self.batch, self.prompt = made["batch"]["id"], made["worker_prompt"]

    async def poll(self):
        """The state of the batch, with the changes since the last poll."""
        since = {"since": self.since} if self.since else {}
        reply = await self.session.do("get_batch", id=self.batch, **since)
        self.polls.append(len(json.dumps(reply, separators=(",", ":"))))
        self.since = reply["since"]
        self.chunks |= {chunk["id"]: chunk["status"] for chunk in reply["chunks"]}
        return reply

    async def until(self, status):
        """Polls, and starts workers if none is left and there are chunks to claim."""
        deadline = time.monotonic() + BOUND
        workers = []
        while (reply := await self.poll())["batch"]["status"] != status:
            assert time.monotonic() < deadline, f"not {status} within {BOUND} s: {reply}"
            claimable = "active" in self.chunks.values() or reply.get("stalled")
            if claimable and all(worker.done() for worker in workers):
                await self.gather(workers)
                workers = [asyncio.create_task(self.worker(number)) for number in range(1, WORKERS + 1)]
            await asyncio.sleep(POLL)
        await self.gather(workers)
        return reply["batch"]

    async def gather(self, workers):
        for found in await asyncio.gather(*workers):
            self.found_in_doubt += found

    async def worker(self, number):
        async with self.test_store.serve(toolset="worker") as session:
            named = set(re.findall(r"\b([a-z]+_task)\(", self.prompt))
            assert named and named <= session.tools, f"the prompt names {named}, the server has {session.tools}"
            return await Worker(self.test_store, session, self.batch, f"worker-{number}").work()

    async def decide(self, decision, **more):
        return await self.session.do("review_batch", id=self.batch, decision=decision, reviewer="Ann", **more)


async def dies_in_the_middle(test_store, batch):
    """A worker archives three mails and is killed before the receipt of the third."""
    pid = test_store.folder / "doomed.pid"
    with_pid = ["sh", "-c", f'echo $$ >"{pid}"; exec "$0" "$@"']
    # The worker toolset has no lease_seconds.
    async with test_store.serve(before=with_pid) as session:
        doomed = Worker(test_store, session, batch, "doomed")
        claimed = await doomed.claim(lease_seconds=5)
        first, second, third = claimed["items"][:3]
        await doomed.execute(first)
        await doomed.execute(second)
        await doomed.write(third, "started")
        test_store.archive(third["key"])
        os.kill(int(pid.read_text()), signal.SIGKILL)
        try:
            await doomed.settle(third, "archived")
        except MCPError as gone:
            assert "closed" in str(gone), gone
        else:
            raise AssertionError("a killed server answered")
    return doomed.chunk, [first["key"], second["key"]], third["key"]


async def a_person_decides(supervisor):
    """One month is rejected and then redone with a note, one is partly redone, all others are approved."""
    review = await supervisor.session.do("get_batch", id=supervisor.batch, view="review")
    assert all(sample["receipt"] for waiting in review["reviews"] for sample in waiting["samples"]), review
    rejected, redone = (review["reviews"][n]["chunk"] for n in (0, 1))
    await supervisor.decide("reject", chunk=rejected, note="look again")
    await supervisor.decide("redo", chunk=rejected, note="newsletters are no mail")
    await supervisor.decide("redo", chunk=redone, categories=["read"], note="a feature is news")
    await supervisor.until("waiting")
    for chunk, note in ((rejected, "newsletters are no mail"), (redone, "a feature is news")):
        body = await whole_body(supervisor.session, chunk)
        assert note in body and "Ann" in body, body
    await supervisor.decide("approve")


async def whole_body(session, task):
    """The body of a task, read page by page."""
    page = await session.do("get_task", id=task)
    body = page["task"]["body"]
    while "next_receipts_after" in page:
        page = await session.do("get_task", id=task, receipts_after=page["next_receipts_after"])
        body += "\n\n" + page["task"]["body"]
    return body


async def the_finish(supervisor):
    """The finish task becomes ready with the counts when every chunk has ended."""
    finish = await supervisor.session.do("claim_task", worker="supervisor")
    assert finish["task"]["title"] == "Check and push once", finish
    task = finish["task"]["id"]
    assert f"{len(ITEMS)} of {len(ITEMS)} items processed" in await whole_body(supervisor.session, task)
    await supervisor.session.do("complete_task", id=task, claim=finish["claim"]["token"], summary="- pushed once")


async def all_agree(test_store, supervisor):
    """Summary files, get_batch, receipts and report agree for each chunk."""
    progress = await supervisor.session.do("get_batch", id=supervisor.batch)
    test_store.command("report", supervisor.batch)
    folder = test_store.folder / "scratch" / f"batch-{supervisor.batch}"
    report = (folder / "report.md").read_text()
    overall = Counter()
    for chunk in progress["chunks"]:
        summary = json.loads((folder / f"chunk-{chunk['number']:02}-summary.json").read_text())
        # The last receipt of an item is its outcome.
        last = re.findall(r"^> - (\w+): (\w+) \|", await whole_body(supervisor.session, chunk["id"]), re.MULTILINE)
        receipts = Counter({key: category for category, key in last}.values())
        row = re.search(rf"^\| \[?{chunk['number']:02}\b[^|]* \|.*\| (\d+) \|.*\| ([^|]*) \|$", report, re.MULTILINE)
        in_report = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", row[2])}
        assert summary["categories"] == chunk["categories"] == dict(receipts) == in_report, (
            summary,
            chunk,
            receipts,
            in_report,
        )
        assert summary["processed"] == chunk["processed"] == chunk["total"] == receipts.total(), (summary, chunk)
        overall += receipts
    expected = Counter("archived" if sort(item) == "archive" else sort(item) for item in ITEMS.values())
    assert overall == expected and progress["batch"]["categories"] == dict(expected), (overall, progress)
    assert f"{len(ITEMS)} of {len(ITEMS)} items processed" in report
    test_store.command("verify")


async def check_workflow(test_store):
    (test_store.folder / "mail.jsonl").write_text(MAIL.read_text())
    async with test_store.serve() as session:
        supervisor = Supervisor(test_store, session)
        await supervisor.create()
        await supervisor.until("waiting")
        await a_person_decides(supervisor)

        chunk, settled, started = await dies_in_the_middle(test_store, supervisor.batch)
        kept = await whole_body(session, chunk)
        assert all(f"- archived: {key} |" in kept for key in settled), kept
        assert f"- archived: {started} |" not in kept, kept
        batch = await supervisor.until("done")
        assert supervisor.found_in_doubt == [(started, "doomed")], supervisor.found_in_doubt
        assert batch["in_doubt"] == 0, batch
        wanted = sorted(key for key, item in ITEMS.items() if sort(item) == "archive")
        assert sorted(test_store.archived) == wanted, Counter(test_store.archived) - Counter(wanted)

        await the_finish(supervisor)
        await all_agree(test_store, supervisor)
        await supervisor.poll()
        await supervisor.poll()
        assert supervisor.polls[-1] < 200, f"a poll while nothing changed took {supervisor.polls[-1]} bytes"
        return supervisor.polls


def main():
    tasktally, chosen = str(Path(sys.argv[1]).resolve()), sys.argv[2:] or list(LIBRARIES)
    for name in chosen:
        for mode, era in ERAS.items():
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                polls = run(check_workflow(TestStore(tasktally, folder, LIBRARIES[name], mode)))
            print(
                f"mail_archive: {name} {version(name)} over {era}: {len(ITEMS)} mails sorted, reviewed and archived once "
                f"each, with the same counts everywhere; one worker killed, the item that it had started found in doubt; {len(polls)} polls, "
                f"{sum(polls)} bytes; {time.monotonic() - start:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
