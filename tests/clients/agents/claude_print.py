#!/usr/bin/env python3
"""`claude -p`: supervises and works a batch, and polls. It declares no tasks; it declares forms, but closes them
itself.

Usage: claude_print.py TASKTALLY CLAUDE
"""

import sys

from anthropic_api import AnthropicModel
from claude import declared, loads_tools, prepare, shown
from job import LAST_WORDS, PROMPT, assert_sorted, polling_job
from person import decides_elsewhere
from workspace import Workspace


def main():
    tasktally, claude = sys.argv[1:]
    script = loads_tools(lambda: polling_job(can_decide=False))
    with Workspace(tasktally) as workspace, AnthropicModel(script) as model:
        env, options = prepare(workspace, model)
        with decides_elsewhere(workspace):
            said = workspace.run_client(claude, "-p", *options, "--", PROMPT, env=env)
        assert LAST_WORDS in said, said
        capabilities = declared(workspace)
        assert "extensions" not in capabilities, capabilities
        seen = shown(workspace, model)
        assert {kind for kind, _ in workspace.decisions()} == {"person"}, workspace.decisions()
        assert_sorted(workspace, batches=1)
    print(f"claude_print: a batch in {len(model.requests)} requests; the model got {seen}")


if __name__ == "__main__":
    main()
