#!/usr/bin/env python3
"""`claude` in a terminal: it runs a `wait_batch` in the background and wakes the model with its result, and it shows
the form in which a person decides.

Usage: claude_interactive.py TASKTALLY CLAUDE
"""

import sys

from anthropic_api import AnthropicModel
from claude import declared, loads_tools, prepare, shown
from job import LAST_WORDS, PROMPT, assert_sorted, create, do, finish
from scripted_model import Turn, call
from terminal import Terminal
from workspace import Workspace, wait_until

WAITING = "I do other work until batch {} is done."
REPORT = "The counts are reported. Work the next batch, too."
REVIEW = "Both chunks wait for me, go on."
"""What the user types when the second batch is worked."""


def wait(batch):
    """Waits in the background until the client wakes the model. Returns the text that it wakes it with."""
    started = yield call("wait_batch", id=batch)
    (result,) = started.results
    assert "background" in result, f"the wait did not go to the background: {result}"
    woken = yield Turn(WAITING.format(batch))
    assert "wait_batch" in woken.text and f'"id":"{batch}"' in woken.text, woken
    return woken.text


def job():
    batch = yield from create()
    woken = yield from wait(batch)
    assert '"status":"done"' in woken, woken
    yield from finish(batch)

    second = yield from create(title="Sort them again", checkpoint="chunk", finish=None)
    yield Turn(REPORT)
    # The client asks the person about the decision of its agent, and about the other chunk.
    yield from do("review_batch", id=second, chunk=f"{second}.01", decision="approve", reviewer="alice")
    woken = yield from wait(second)
    while '"status":"waiting"' in woken:
        yield from do("review_batch", id=second, decision="approve")
        woken = yield from wait(second)
    assert '"status":"done"' in woken, woken
    yield Turn(LAST_WORDS)


FORM_KEYS = {
    "Decision: ▸ not set": "Right",
    "❯ ◯ approve": "Enter",
    "❯   Note": "Down",
    "❯ Accept": "Enter",
}
"""What the form shows, step by step, and the key that leads to the next step: open the choice, take its first entry,
leave the note, accept."""


def approve(terminal, chunk):
    """Approves in the form about a chunk."""
    about = f"chunk {chunk}"
    terminal.wait_for(about)
    for shown, key in FORM_KEYS.items():
        terminal.wait_for(shown)
        terminal.press_until(key, lambda screen: about not in screen or shown not in screen)


def say(terminal, text):
    """Types a line at the prompt and sends it."""
    terminal.type(text)
    terminal.press_until("Enter", lambda screen: text not in screen[screen.rindex("❯") :])


def polls(workspace):
    """The polls of waits that the client has sent."""
    return [message for message in workspace.messages("client") if message.get("method") == "tasks/get"]


def main():
    tasktally, claude = sys.argv[1:]
    with Workspace(tasktally) as workspace, AnthropicModel(loads_tools(job)) as model:
        env, options = prepare(workspace, model)
        with Terminal([claude, *options], env=env, cwd=workspace.project, folder=workspace.folder) as terminal:
            wait_until(workspace.server_tools, lambda: f"the client does not list the tools:\n{terminal.screen()}\n")
            terminal.wait_for("❯")
            say(terminal, PROMPT)
            wait_until(lambda: polls(workspace), lambda: f"the client does not poll the wait:\n{terminal.screen()}\n")
            (first,) = workspace.created_batches()
            terminal.wait_for(WAITING.format(first))
            workspace.work(first)
            terminal.wait_for(REPORT)

            _, second = workspace.created_batches()
            workspace.work(second)
            say(terminal, REVIEW)
            approve(terminal, f"{second}.01")
            approve(terminal, f"{second}.02")
            terminal.wait_for(LAST_WORDS)

        capabilities = declared(workspace)
        assert "io.modelcontextprotocol/tasks" in capabilities["extensions"], capabilities
        assert "form" in capabilities["elicitation"], capabilities
        seen, polled = shown(workspace, model), len(polls(workspace))
        decisions = workspace.decisions()
        assert [kind for kind, _ in decisions] == ["person", "person"], decisions
        assert "alice" not in str(decisions), decisions
        assert_sorted(workspace, batches=2)
    print(f"claude_interactive: woken twice after {polled} polls; the model got {seen}")


if __name__ == "__main__":
    main()
