"""A person who decides at a terminal, beside the client."""

import threading
from contextlib import contextmanager

from workspace import wait_until


@contextmanager
def decides_elsewhere(workspace):
    """Approves the batch once the server has refused the decision of the client's agent."""
    client_ended, failures = threading.Event(), []

    def decide():
        try:
            wait_until(lambda: refused_review(workspace) or client_ended.is_set(), "no decision was refused")
            if call := refused_review(workspace):
                workspace.decide_at_terminal(call["params"]["arguments"]["id"])
        except Exception as error:
            failures.append(error)

    person = threading.Thread(target=decide)
    person.start()
    try:
        yield
    finally:
        client_ended.set()
        person.join()
    assert not failures, failures


def refused_review(workspace):
    """The call of `review_batch` that was answered without a decision; None if there is none yet."""
    calls = {
        message["id"]: message
        for message in workspace.messages("client")
        if message.get("method") == "tools/call" and message["params"]["name"] == "review_batch"
    }
    for message in workspace.messages("server"):
        reply = message.get("result", {}).get("structuredContent", {})
        if message.get("id") in calls and reply.get("success") is False:
            return calls[message["id"]]
    return None
