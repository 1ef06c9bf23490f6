#!/usr/bin/env python3
"""Claude Code's search for tools: it shows its model only the names of a server's tools, and the model searches for the
definitions in its own words. Each tool must be among the first five results of a query that asks for what it does.

Usage: claude_search.py TASKTALLY CLAUDE
"""

import json
import sys

from anthropic_api import AnthropicModel
from claude import PREFIX, prepare
from job import LAST_WORDS, PROMPT
from scripted_model import Turn, call, replies_in
from workspace import Workspace

RESULTS = 5
QUERIES = {
    "process many similar items with parallel workers": "create_batch",
    "split items into chunks for background agents": "create_batch",
    "wait until a batch is done": "wait_batch",
    "progress of a batch": "get_batch",
    "approve a batch review decision": "review_batch",
    "pause or cancel a batch": "control_batch",
    "add more items to a batch": "add_items",
    "create a task": "create_task",
    "list open tasks": "list_tasks",
    "search tasks by text": "search_tasks",
    "claim the next task": "claim_task",
    "write a receipt for an item": "update_task",
    "mark a task as done": "complete_task",
    "release a task that I cannot finish": "release_task",
}


def script():
    for query in QUERIES:
        yield call("ToolSearch", query=query, max_results=RESULTS)
    yield Turn(LAST_WORDS)


def main():
    tasktally, claude = sys.argv[1:]
    with Workspace(tasktally) as workspace, AnthropicModel(script) as model:
        env, options = prepare(workspace, model)
        said = workspace.run_client(claude, "-p", *options, "--", PROMPT, env=env)
        assert LAST_WORDS in said, said
        replies = replies_in(model.history(model.requests[-1]))
    missed = []
    for (query, tool), reply in zip(QUERIES.items(), replies, strict=True):
        # A result that is no text is written as JSON: a reference to each tool that was found.
        (found,) = reply.results
        if json.dumps(PREFIX + tool) not in found:
            missed.append(f"{query!r} does not find {tool}: {found}")
    assert not missed, "\n".join(missed)
    print(f"claude_search: {len(QUERIES)} queries find the tool among the first {RESULTS}")


if __name__ == "__main__":
    main()
