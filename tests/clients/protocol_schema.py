#!/usr/bin/env python3
"""Checks responses of each method against the published JSON schema of the protocol 2026-07-28.

The schema is `schema/2026-07-28/schema.json` of the repository modelcontextprotocol/modelcontextprotocol. It is not
part of this repository, so `tests/clients/run` does not run this script.

Usage: protocol_schema.py TASKTALLY SCHEMA
"""

import json
import sys
import tempfile
from pathlib import Path

from jsonschema.validators import validator_for
from raw import Pipe, Refused


def main():
    tasktally, schema = str(Path(sys.argv[1]).resolve()), json.loads(Path(sys.argv[2]).read_text())
    checked = []

    def check(kind, value):
        whole = {"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"], "$schema": schema["$schema"]}
        validator_for(whole)(whole).validate(value)
        checked.append(kind)

    with tempfile.TemporaryDirectory() as folder:
        command, env = [tasktally, "serve"], {"TASKTALLY_DB": str(Path(folder, "tasks.db"))}
        with Pipe(command, env=env, cwd=folder, capabilities={}) as client:

            def ask(kind, method, **params):
                check(kind, result := client.request(method, **params))
                return result

            def call(tool, **arguments):
                return ask("CallToolResult", "tools/call", name=tool, arguments=arguments)["structuredContent"]

            ask("DiscoverResult", "server/discover")
            ask("ListToolsResult", "tools/list")
            made = call("create_batch", title="Mail", instructions="Archive each.", items=["a", "b"], max_chunk=1)
            batch = made["batch"]["id"]
            claimed = call("claim_task", batch=batch, worker="polecat")
            chunk = {"id": claimed["task"]["id"], "claim": claimed["claim"]["token"]}
            assert call("complete_task", **chunk)["code"] == "incomplete_items"
            call("update_task", **chunk, item="a", outcome="done", category="archive", body="- archived")
            for tool in ("get_batch", "list_tasks", "reset_stalled_tasks"):
                call(tool)
            call("search_tasks", query="archived")
            assert call("get_task", id="no-such-task")["code"] == "not_found"
            ask("ListPromptsResult", "prompts/list")
            ask("GetPromptResult", "prompts/get", name="work_chunk", arguments={"batch": batch})
            ask("ListResourcesResult", "resources/list")
            ask("ListResourceTemplatesResult", "resources/templates/list")
            ask("ReadResourceResult", "resources/read", uri=f"tasktally://batches/{batch}")
            template = {"type": "ref/resource", "uri": "tasktally://batches/{id}/chunks/{n}"}
            argument, known = {"name": "n", "value": ""}, {"arguments": {"id": batch}}
            ask("CompleteResult", "completion/complete", ref=template, argument=argument, context=known)
            for method, params in {
                "tools/call": {"name": "no_such_tool", "arguments": {}},
                "prompts/get": {"name": "no_such_prompt"},
                "resources/read": {"uri": "tasktally://nothing"},
                "no/such/method": {},
            }.items():
                try:
                    result = client.request(method, **params)
                except Refused as refusal:
                    check("Error", refusal.error)
                else:
                    raise AssertionError(f"{method} {params} was answered: {result}")
    print(f"protocol_schema: {len(checked)} answers of {len(set(checked))} kinds as the published schema says")


if __name__ == "__main__":
    main()
