"""What the scripted models do, whatever the client: supervise a batch, and work it."""

import json
from collections import Counter
from pathlib import Path

from scripted_model import Call, Turn, call

PROMPT = "Sort the commits by kind with the task manager."
"""What the user asks for."""
TOOLS = "claim_task complete_task create_batch get_batch review_batch update_task wait_batch".split()
"""The tools that the jobs call."""
COMMITS = [
    json.loads(line)
    for line in (Path(__file__).parents[3] / "examples" / "commits.jsonl").read_text().splitlines()[:5]
]
BATCH = {
    "title": "Sort commits",
    "instructions": "Give each commit the category of its kind.",
    "items": COMMITS,
    "max_chunk": 3,
    "on_conflict": "allow",
    "finish": {"title": "Report the counts"},
}
CHUNKS = 2
CATEGORIES = dict(Counter(commit["kind"] for commit in COMMITS))
"""The right answer."""
MOST_POLLS = 1000
LAST_WORDS = "The commits are sorted."
"""What the model says when all of its work is confirmed."""


def ask(tool, **arguments):
    """The reply of a tool, a success or a refusal."""
    return (yield call(tool, **arguments)).json()


def do(tool, **arguments):
    """The reply of a tool that must succeed."""
    reply = yield from ask(tool, **arguments)
    assert reply["success"], f"{tool} {arguments}: {reply}"
    return reply


def create(**options):
    """Creates a batch. Returns its id."""
    created = yield from do("create_batch", **(BATCH | options))
    assert created["batch"]["items"] == len(COMMITS) and len(created["chunks"]) == CHUNKS, created
    return created["batch"]["id"]


def work(batch):
    """Works chunk after chunk, as the worker prompt says."""
    while (claimed := (yield from ask("claim_task", batch=batch, worker="agent")))["success"]:
        chunk = {"id": claimed["task"]["id"], "claim": claimed["claim"]["token"]}
        receipts = yield Turn(calls=[Call("update_task", chunk | receipt_of(item)) for item in claimed["items"]])
        replies = [json.loads(result) for result in receipts.results]
        assert all(reply["success"] for reply in replies), replies
        yield from do("complete_task", **chunk)
    assert claimed["code"] == "nothing_to_claim", claimed


def receipt_of(item):
    """The arguments that settle an item."""
    fields = item["fields"]
    return {"item": item["key"], "outcome": "done", "category": fields["kind"], "body": f"- {fields['subject']}"}


def follow(batch, status):
    """Polls until the batch has a status."""
    progress = yield from do("get_batch", id=batch)
    for _ in range(MOST_POLLS):
        if progress["batch"]["status"] == status:
            return progress
        progress = yield from do("get_batch", id=batch, since=progress["since"])
    raise AssertionError(f"not {status} after {MOST_POLLS} polls: {progress}")


def finish(batch):
    """Completes the finish task of a batch that is done."""
    progress = yield from follow(batch, "done")
    assert progress["batch"]["processed"] == len(COMMITS), progress
    claimed = yield from do("claim_task", worker="agent")
    assert claimed["task"]["title"] == BATCH["finish"]["title"], claimed
    yield from do("complete_task", id=claimed["task"]["id"], claim=claimed["claim"]["token"])


def polling_job(*, can_decide):
    """Creates a batch, works it, polls until a person's decision ends it, and completes the finish task.

    The agent passes a decision. `can_decide`: the server records it as relayed. Else the client declares forms and
    answers them itself, so the server records nothing, and the agent polls until a person has decided elsewhere.
    """
    batch = yield from create(checkpoint="step")
    # The client declares no tasks, so the reply comes at once.
    begun = yield from do("wait_batch", id=batch)
    assert begun["batch"]["status"] == "running", begun
    yield from work(batch)
    yield from follow(batch, "waiting")
    decided = yield from ask("review_batch", id=batch, decision="approve", reviewer="alice")
    assert decided["success"] == can_decide, decided
    if not can_decide:
        assert decided["code"] == "not_ready" and f"review-batch {batch}" in decided["message"], decided
    yield from finish(batch)
    yield Turn(LAST_WORDS)


def assert_sorted(workspace, *, batches):
    """The store holds so many batches of the jobs, each done and with the right answer, and it is intact."""
    created = workspace.created_batches()
    assert len(created) == batches, created
    for identifier in created:
        batch = workspace.batch(identifier)
        assert batch["status"] == "done" and batch["categories"] == CATEGORIES, batch
    workspace.tasktally_command("verify")
