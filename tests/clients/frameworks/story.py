"""What every framework does: it makes batches of objects, of tasks and of a file, and works a chunk.

`call(tool, arguments)` is a coroutine that calls a tool as the framework does for a model, and returns the reply.
"""

import json
import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jsonschema import Draft202012Validator

ITEMS = [{"key": f"mail-{n}", "subject": f"Subject {n}", "flags": {"read": n > 1}} for n in (1, 2, 3)]
EMPTY = {"string": "", "array": [], "object": {}, "boolean": False, "integer": 0, "number": 0}


@dataclass
class Server:
    """How to start a server on a new store, and the folder of its items."""

    command: str
    args: list[str]
    env: dict[str, str]
    folder: Path


@contextmanager
def server():
    """A server's folder. It is also the home, so that a configuration of the user has no effect."""
    with tempfile.TemporaryDirectory() as folder:
        (items := Path(folder, "items")).mkdir()
        args = ["serve", "--db", str(Path(folder, "tasks.db")), "--item-folder", str(items)]
        yield Server(sys.argv[1], args, {"PATH": os.environ["PATH"], "HOME": folder}, items)


def by_schemas(call, schemas):
    """The same calls as a model makes them by the converted schemas: whatever these require is there, as JSON."""

    async def filled(tool, arguments):
        arguments = fill_required(arguments, schemas[tool])
        Draft202012Validator(schemas[tool]).validate(arguments)
        return await call(tool, json.loads(json.dumps(arguments)))

    return filled


def fill_required(value, schema):
    """The value with an empty one for each required field that it lacks; of an enum the first word."""
    if isinstance(value, list):
        return [fill_required(element, schema["items"]) for element in value]
    if not isinstance(value, dict):
        return value
    fields = schema.get("properties", {})
    missing = {name: fields[name] for name in schema.get("required", []) if name not in value}
    added = {name: field["enum"][0] if "enum" in field else empty(field) for name, field in missing.items()}
    return added | {name: fill_required(field, fields.get(name, {})) for name, field in value.items()}


async def do(call, tool, arguments):
    """The reply to a request that must succeed."""
    reply = await call(tool, arguments)
    assert reply["success"] is True, f"{tool} {arguments}: {reply}"
    return reply


async def a_batch(call, folder):
    """Objects arrive as objects, each item is counted once, and a query and a file give their items."""
    request = {
        "title": "Archive",
        "instructions": "Archive each.",
        "items": ITEMS[:2],
        "split": {"by": "size"},
        "steps": [{"name": "archive", "instructions": "Archive each."}],
        "finish": {"title": "Report"},
    }
    batch = (await do(call, "create_batch", request))["batch"]["id"]
    await do(call, "add_items", {"id": batch, "items": ITEMS[2:]})

    claimed = await do(call, "claim_task", {"worker": "polecat", "batch": batch})
    found = [{"key": item["key"]} | item["fields"] for item in claimed["items"]]
    assert found == ITEMS, found
    task, claim = claimed["task"]["id"], claimed["claim"]["token"]
    for item in ITEMS:
        receipt = {"id": task, "claim": claim, "item": item["key"], "outcome": "done", "category": "read"}
        await do(call, "update_task", receipt | {"body": f"- Archived {item['key']}"})
    await do(call, "complete_task", {"id": task, "claim": claim})
    progress = (await do(call, "get_batch", {"id": batch}))["batch"]
    assert (progress["status"], progress["processed"], progress["total"]) == ("done", 3, 3), progress
    assert progress["categories"] == {"read": 3}, progress

    for project in ("home", "work"):
        await do(call, "create_task", {"task_title": f"Task at {project}", "project": project, "tags": ["a", "b"]})
    request = {"title": "Tasks", "instructions": "Look.", "query": {"project": "home", "status": "active"}}
    assert (await do(call, "create_batch", request))["batch"]["items"] == 1
    (file := folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    request = {"title": "File", "instructions": "Look.", "source": {"path": str(file)}}
    assert (await do(call, "create_batch", request))["batch"]["items"] == 3


async def every_parameter_empty(call, schemas, *, null):
    """A client that fills every parameter, with empty values or with null, is not refused."""
    for tool, schema in schemas.items():
        filled = dict.fromkeys(schema["properties"]) if null else empty(schema)
        reply = await call(tool, filled | await needed(call, tool))
        expected = "not_ready" if tool == "review_batch" else None
        assert reply.get("code") == expected, f"{tool} {filled}: {reply}"


def empty(schema):
    """An empty value of a type; of an object with known fields, one with every field empty."""
    if fields := schema.get("properties"):
        return {name: empty(field) for name, field in fields.items()}
    return EMPTY[schema["type"]]


async def needed(call, tool):
    """The arguments that a call of this tool cannot do without, on new tasks."""
    new_task, new_batch = {"task_title": "Task"}, {"title": "B", "instructions": "Look.", "items": [{"key": "a"}]}

    async def task():
        return (await do(call, "create_task", new_task))["task"]["id"]

    async def batch():
        return (await do(call, "create_batch", new_batch))["batch"]["id"]

    match tool:
        case "create_task":
            return new_task
        case "get_task" | "update_task" | "complete_task" | "claim_task":
            return {"id": await task()}
        case "complete_tasks":
            return {"ids": [await task()]}
        case "release_task":
            claimed = await do(call, "claim_task", {"id": await task(), "worker": "polecat"})
            return {"id": claimed["task"]["id"], "claim": claimed["claim"]["token"]}
        case "search_tasks":
            return {"query": "task"}
        case "create_batch":
            return new_batch
        case "add_items":
            return {"id": await batch(), "items": [{"key": "b"}]}
        case "control_batch":
            return {"id": await batch(), "action": "pause"}
        case "review_batch":
            # Nothing waits for a review: this is refused, whatever else the call says.
            return {"id": await batch(), "decision": "approve"}
        case "wait_batch":
            return {"id": await batch()}
        case _:
            return {}
