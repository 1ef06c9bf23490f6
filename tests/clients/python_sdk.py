#!/usr/bin/env python3
"""The official Python SDK runs the loop of the workflow, a batch, prompts and resources on a real server.

The SDK and this script validate each reply against the output schema of the tool.
Usage: python_sdk.py TASKTALLY
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path

from mcp.types import ResourceTemplateReference
from session import ERAS, run, sdk


async def the_workflows_loop(one, other):
    """List, claim, one receipt per item, complete."""
    created = [
        (await one.do("create_task", task_title=f"Month {n}", project="mail", priority=n))["task"]["id"]
        for n in range(3)
    ]
    listed = await one.do("list_tasks", status="active", project="mail")
    assert [task["id"] for task in listed["tasks"]] == created, listed
    assert listed["count"] == listed["total"] == 3, listed

    task = created[0]
    claimed = await one.do("update_task", id=task, status="in_progress", assignee="polecat")
    assert claimed["task"]["status"] == "in_progress", claimed
    lost = await other.refused("already_claimed", "update_task", id=task, status="in_progress", assignee="polecat")
    assert re.match(r"Task already claimed by 'polecat' \(status: in_progress since .*\)\. ", lost["message"]), lost

    for n in range(1, 11):
        worker = one if n % 2 else other
        written = await worker.do("update_task", id=task, body=f"- Archived: {n} | Ann | Lunch")
        assert written["receipt"]["number"] == n, written
        assert "body" not in written["task"] or not written["task"]["body"], "a write answers with the body"
    body = (await other.do("get_task", id=task))["task"]["body"]
    assert [int(n) for n in re.findall(r"- Archived: (\d+) ", body)] == list(range(1, 11)), body

    await one.do("complete_task", id=task)
    done = await other.do("list_tasks", status="done", project="mail")
    assert [found["id"] for found in done["tasks"]] == [task], done
    idle = await other.do("list_tasks", project="mail", since=done["since"])
    assert idle["tasks"] == [] and idle["count"] == 0, idle


async def a_batch(supervisor, worker):
    """The supervisor creates the batch and polls; the worker claims chunks and settles items."""
    items = [{"key": f"mail-{n:02}", "subject": f"Subject {n}"} for n in range(12)]
    made = await supervisor.do(
        "create_batch", title="Archive", instructions="Archive each.", items=items, max_chunk=5, project="mail"
    )
    batch = made["batch"]["id"]
    assert made["batch"]["items"] == 12 and made["batch"]["chunks"] == len(made["chunks"]) == 3, made

    await a_lost_claim(worker, batch)
    seen = []
    while True:
        claimed = await worker.ask("claim_task", worker="polecat", batch=batch)
        if not claimed["success"]:
            assert claimed["code"] == "nothing_to_claim", claimed
            if (await supervisor.do("get_batch", id=batch))["batch"]["status"] != "running":
                break
            # A released chunk can be claimed only after its backoff.
            await asyncio.sleep(0.2)
            continue
        chunk, token = claimed["task"]["id"], claimed["claim"]["token"]
        assert "Archive each." in claimed["instructions"], claimed
        short = await worker.refused("incomplete_items", "complete_task", id=chunk, claim=token)
        assert claimed["items"][0]["key"] in short["message"], short
        await settle(worker, chunk, token, [item["key"] for item in claimed["items"]])
        seen += [item["key"] for item in claimed["items"]]
        await worker.do("complete_task", id=chunk, claim=token)

    assert sorted(seen) == [item["key"] for item in items], seen
    progress = (await supervisor.do("get_batch", id=batch))["batch"]
    assert progress["status"] == "done", progress
    assert progress["processed"] == progress["total"] == sum(progress["categories"].values()) == 12, progress
    assert progress["categories"] == {"even": 6, "odd": 6} and progress["in_doubt"] == 0, progress


async def a_lost_claim(worker, batch):
    """A worker that released its chunk can change nothing; its receipts are kept as late."""
    claimed = await worker.do("claim_task", worker="polecat", batch=batch)
    chunk, token = claimed["task"]["id"], claimed["claim"]["token"]
    await worker.do("release_task", id=chunk, claim=token, reason="The mailbox was locked")
    receipt = dict(item=claimed["items"][0]["key"], outcome="done", category="late", body="- Archived it too late")
    late = await worker.refused("claim_lost", "update_task", id=chunk, claim=token, **receipt)
    assert late["receipt"]["late"] is True and late["receipt"]["number"] >= 1, late
    await worker.refused("claim_lost", "complete_task", id=chunk, claim=token)
    task = (await worker.do("get_task", id=chunk))["task"]
    assert "- Archived it too late" in task["body"] and task["status"] == "active", task


async def settle(worker, chunk, token, keys):
    for key in keys:
        receipt = dict(
            id=chunk,
            claim=token,
            item=key,
            outcome="done",
            category="odd" if int(key[-1]) % 2 else "even",
            body=f"- Archived {key}",
        )
        first = (await worker.do("update_task", **receipt))["receipt"]
        again = (await worker.do("update_task", **receipt))["receipt"]
        assert not first["duplicate"] and again["duplicate"] and again["number"] == first["number"], (first, again)
        await worker.refused("conflict", "update_task", **(receipt | {"outcome": "failed"}))


async def prompts_and_resources(session):
    """Features besides tools: prompts with arguments, resources by address, completion."""
    client = session.client
    listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert set(listed) == {"supervise_batch", "work_chunk"}, listed
    made = await session.do("create_batch", title="Shown", instructions="Look.", items=["a", "b"], max_chunk=1)
    batch = made["batch"]["id"]
    prompt = await client.get_prompt("work_chunk", {"batch": batch})
    assert prompt.messages[0].content.text == made["worker_prompt"], prompt

    resources = (await client.list_resources()).resources
    assert f"tasktally://batches/{batch}" in [str(resource.uri) for resource in resources], resources
    templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
    assert "tasktally://batches/{id}/chunks/{n}" in templates, templates
    read = (await client.read_resource(f"tasktally://batches/{batch}")).contents[0]
    assert read.mime_type == "application/json", read
    assert json.loads(read.text) == await session.do("get_batch", id=batch), read
    numbers = await client.complete(
        ResourceTemplateReference(type="ref/resource", uri="tasktally://batches/{id}/chunks/{n}"),
        {"name": "n", "value": ""},
        {"id": batch},
    )
    assert numbers.completion.values == ["1", "2"], numbers


async def bad_input(one):
    await one.refused("not_found", "get_task", id="no-such-task")
    misspelt = await one.refused("invalid_argument", "create_task", task_titel="A")
    assert "task_titel" in misspelt["message"] and "task_title" in misspelt["message"], misspelt
    limit = await one.refused("invalid_argument", "list_tasks", limit=-1)
    assert "limit" in limit["message"] and "-1" in limit["message"], limit


async def check_sdk(tasktally, mode):
    with tempfile.TemporaryDirectory() as folder:
        command = [tasktally, "serve", "--db", str(Path(folder, "tasks.db"))]
        async with sdk(command, mode=mode) as one, sdk(command, mode=mode) as other:
            assert one.client.instructions, "the server has no instructions"
            await the_workflows_loop(one, other)
            await a_batch(one, other)
            await prompts_and_resources(one)
            await bad_input(one)
    checked = "the workflow's loop, a batch, prompts and resources"
    print(f"python_sdk: {checked} over {ERAS[mode]}, every reply matches its schema")


def main():
    for era in ERAS:
        run(check_sdk(sys.argv[1], era))


if __name__ == "__main__":
    main()
