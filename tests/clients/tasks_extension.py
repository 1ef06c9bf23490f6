#!/usr/bin/env python3
"""`wait_batch` as a task of the extension `io.modelcontextprotocol/tasks`, with clients in another language.

First message by message, with a restart of the server between them; the messages are those of
`specification/draft/tasks.md` and `schema/draft/schema.ts` of the repository modelcontextprotocol/ext-tasks (SEP-2663),
the envelope is that of the schema 2026-07-28. Then with `fastmcp-tasks`, whose client waits and asks by itself.

With `MCP_TASKS_SCHEMA=…/schema/draft/schema.json` (of ext-tasks) each response is also checked against the schema.

Usage: tasks_extension.py TASKTALLY
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import jsonschema

import fastmcp_tasks
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from mcp.types import CallToolResult, ElicitRequest
from raw import PATIENCE, Pipe, Refused
from session import run

EXTENSION = "io.modelcontextprotocol/tasks"
DECLARED = {"elicitation": {}, "extensions": {EXTENSION: {}}}
STATUSES = {"working", "input_required", "completed", "failed", "cancelled"}
SCHEMA = json.loads(Path(os.environ["MCP_TASKS_SCHEMA"]).read_text()) if "MCP_TASKS_SCHEMA" in os.environ else None


def shaped(result, name, result_type):
    """The response, checked against the extension."""
    assert result["resultType"] == result_type, result
    if SCHEMA:
        jsonschema.validate(result, {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})
    return result


def task(result, name="GetTaskResult", result_type="complete"):
    shaped(result, name, result_type)
    assert isinstance(result["taskId"], str) and result["status"] in STATUSES, result
    assert datetime.fromisoformat(result["createdAt"]) <= datetime.fromisoformat(result["lastUpdatedAt"]), result
    assert result["ttlMs"] is None or isinstance(result["ttlMs"], int), result
    assert isinstance(result.get("pollIntervalMs", 1), int) and isinstance(result.get("statusMessage", ""), str), result
    if result["status"] == "input_required":
        for request in result["inputRequests"].values():
            ElicitRequest.model_validate(request)
    if result["status"] == "completed":
        CallToolResult.model_validate(result["result"])
    return result


def make(client, title):
    """Creates a batch of two chunks that a person reviews."""
    steps = [
        {"name": "classify", "instructions": "Say what it is."},
        {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]},
    ]
    options = {"max_chunk": 2, "steps": steps, "checkpoint": "chunk", "items": ["a", "b", "c", "d"]}
    return client.call("create_batch", title=title, instructions="Each item is a mail.", **options)["batch"]["id"]


def work(client, batch):
    """Works a chunk. Returns whether there was one."""
    result = client.request("tools/call", name="claim_task", arguments={"batch": batch, "worker": "polecat"})
    claimed = result["structuredContent"]
    if not claimed["success"]:
        return False
    chunk = {"id": claimed["task"]["id"], "claim": claimed["claim"]["token"]}
    for item in claimed["items"]:
        client.call("update_task", **chunk, item=item["key"], outcome="done", category="archive", body="- read")
    client.call("complete_task", **chunk)
    return True


def answered(client, handle, known, decision, **note):
    """Answers the open question, which must be a new one, and returns its key."""
    asked = task(client.request("tasks/get", taskId=handle))
    assert asked["status"] == "input_required", asked
    (key, request), *_ = asked["inputRequests"].items()
    assert key not in known, f"{key} names a second question"
    assert decision in request["params"]["requestedSchema"]["properties"]["decision"]["enum"], request
    response = {key: {"action": "accept", "content": {"decision": decision, **note}}}
    shaped(client.request("tasks/update", taskId=handle, inputResponses=response), "UpdateTaskResult", "complete")
    return key


def refused(code, client, method, **params):
    try:
        result = client.request(method, **params)
    except Refused as refusal:
        assert refusal.code == code, refusal
        return refusal
    raise AssertionError(f"{method} {params} was answered: {result}")


def a_wait_survives_its_server(serve):
    """Create, poll, input required, answer, a restart in between, result."""
    with serve() as client:
        discovered = client.request("server/discover")
        assert discovered["capabilities"]["extensions"][EXTENSION] == {}, discovered
        assert "2026-07-28" in discovered["supportedVersions"], discovered
        batch = make(client, "Waited for")
        plain = client.request("tools/call", name="wait_batch", arguments={"id": batch}, capabilities={})
        assert plain["resultType"] == "complete" and "taskId" not in plain, "a client that declares nothing received a task"
        created = client.request("tools/call", name="wait_batch", arguments={"id": batch})
        handle = task(created, "CreateTaskResult", "task")["taskId"]
        assert task(client.request("tasks/get", taskId=handle))["status"] == "working"
        # Capabilities hold for one request. Without them there are no tasks.
        missing = refused(-32021, client, "tasks/get", taskId=handle, capabilities={})
        assert EXTENSION in missing.data["requiredCapabilities"]["extensions"], missing.data
        assert work(client, batch)
        before = task(client.request("tasks/get", taskId=handle))
        assert before["status"] == "input_required", before
        client.kill()
    with serve() as client:
        after = task(client.request("tasks/get", taskId=handle))
        assert (after["status"], after["inputRequests"]) == (before["status"], before["inputRequests"]), (before, after)
        keys = [answered(client, handle, [], "redo", note="a newsletter is no mail")]
        assert work(client, batch) and work(client, batch), "one chunk is redone, one is new"
        keys.append(answered(client, handle, keys, "approve"))
        # A second answer to the same question is ignored.
        late = {keys[0]: {"action": "accept", "content": {"decision": "reject", "note": "too late"}}}
        shaped(client.request("tasks/update", taskId=handle, inputResponses=late), "UpdateTaskResult", "complete")
        keys.append(answered(client, handle, keys, "approve"))
        while work(client, batch):
            pass
        final = task(client.request("tasks/get", taskId=handle))
        assert final["status"] == "completed", final
        progress = final["result"]["structuredContent"]
        assert progress["batch"]["status"] == "done" and progress["batch"]["processed"] == 4, progress
        assert len(progress["chunks"]) == 2, progress
        assert task(client.request("tasks/get", taskId=handle))["result"] == final["result"], "the result changed after the end"


def a_wait_is_cancelled_without_its_batch(serve):
    with serve() as client:
        batch = make(client, "Not waited for")
        created = client.request("tools/call", name="wait_batch", arguments={"id": batch})
        handle = task(created, "CreateTaskResult", "task")["taskId"]
        shaped(client.request("tasks/cancel", taskId=handle), "CancelTaskResult", "complete")
        cancelled = task(client.request("tasks/get", taskId=handle))
        assert cancelled["status"] == "cancelled" and "cancel" in cancelled["statusMessage"], cancelled
        assert client.call("get_batch", id=batch)["batch"]["status"] == "running", "the batch continues"
        refused(-32602, client, "tasks/get", taskId="no-such-handle")
        refused(-32602, client, "tasks/cancel", taskId="no-such-handle")
        refused(-32602, client, "tasks/update", taskId="no-such-handle", inputResponses={})
        refused(-32601, client, "tasks/result", taskId=handle)


async def fastmcp_waits(serve, command, env, folder):
    """A client library for any server: `call_tool` returns when the batch has ended."""
    asked = []

    async def person(message, response_type, params, context):
        asked.append(message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    with serve() as worker:
        batch = make(worker, "Waited for by fastmcp")
        transport = StdioTransport(command[0], command[1:], env=env, cwd=folder, keep_alive=False)
        async with Client(transport, elicitation_handler=person, timeout=4 * PATIENCE) as client:
            waiting = asyncio.create_task(client.call_tool("wait_batch", {"id": batch}))
            deadline = time.monotonic() + 4 * PATIENCE
            while not waiting.done() and time.monotonic() < deadline:
                if not await asyncio.to_thread(work, worker, batch):
                    await asyncio.sleep(0.1)
            progress = (await waiting).structured_content
    assert progress["batch"]["status"] == "done", progress
    assert len(asked) == 2 and all("archive" in message for message in asked), asked


def main():
    tasktally = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        command, env = [tasktally, "serve"], {"TASKTALLY_DB": str(Path(folder, "tasks.db"))}

        def serve():
            return Pipe(command, env=env, cwd=folder, capabilities=DECLARED)

        a_wait_survives_its_server(serve)
        a_wait_is_cancelled_without_its_batch(serve)
        # This import makes each client of fastmcp declare the extension.
        run(fastmcp_waits(serve, command, env, folder))
    print(
        "tasks_extension: a wait created, asked, answered, continued after a killed server, ended and cancelled message "
        f"by message; {fastmcp_tasks.__name__} {version('fastmcp-tasks')} waited and asked without help"
        + ("; each answer matches the published schema" if SCHEMA else "")
    )


if __name__ == "__main__":
    main()
