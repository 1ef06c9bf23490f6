"""The swarm's work as jobs of Procrastinate: `fill JOBS` or `work JOBS`. The database is named by PG* variables."""

import asyncio
import sys

import procrastinate
import psycopg

RECEIPTS_PER_TASK = 10
RECEIPT = "- Archived: 2025-11-03 | Ann | Lunch"
INSERT = "INSERT INTO receipt (task, number, at, author, text) VALUES (%s, %s, clock_timestamp(), 'bench', %s)"

app = procrastinate.App(connector=procrastinate.PsycopgConnector(kwargs={}, min_size=1, max_size=2))
receipts = None


@app.task(name="archive")
async def archive(task):
    for number in range(1, RECEIPTS_PER_TASK + 1):
        await receipts.execute(INSERT, (task, number, RECEIPT), prepare=True)


async def fill(jobs):
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await archive.batch_defer_async(*[{"task": number} for number in range(jobs)])


async def work():
    global receipts
    receipts = await psycopg.AsyncConnection.connect(autocommit=True)
    async with app.open_async():
        print("ready", flush=True)
        sys.stdin.readline()
        # Until the queue is empty. Nothing has to be listened for: all jobs are there.
        await app.run_worker_async(wait=False, concurrency=1, listen_notify=False, install_signal_handlers=False)
        print("done", flush=True)
    await receipts.close()


asyncio.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work())
