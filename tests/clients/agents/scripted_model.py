"""A model on loopback that answers from a script. One subclass per API: `anthropic_api`, `openai_api`, `gemini_api`.

A script is a generator function. The generator yields what the model says next, a `Turn`, and receives what followed it
in the conversation, a `Reply`. The server keeps no state: each request carries the whole conversation, so the script is
run from its start with the replies in the conversation. What the model says next depends on nothing else.
"""

import json
import threading
import traceback
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Call:
    """A tool call of the model. `tool` is the server's name of a tool, without the client's prefix."""

    tool: str
    arguments: dict


@dataclass
class Turn:
    """What the model says: text, then tool calls. A turn without calls ends its answer."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)


@dataclass
class Reply:
    """What followed a turn: the results of its calls by their identifiers, in the order of the calls, and text of the
    user or the client."""

    by_call: dict[str, str | None] = field(default_factory=dict)
    text: str = ""

    @property
    def results(self):
        return list(self.by_call.values())

    def json(self):
        """The result of the only call, a JSON object."""
        (result,) = self.results
        return json.loads(result)


def call(tool, **arguments):
    """A turn with one call."""
    return Turn(calls=[Call(tool, arguments)])


@dataclass
class Event:
    """A part of the conversation. `kind` is `said` or `called` (by the model), `result` (of a call) or `text` (of the
    user or the client). Calls and results have the identifier of the call."""

    kind: str
    text: str = ""
    identifier: str = ""


def replies_in(events):
    """The reply to each turn of the model."""
    replies, of_model = [], False
    for event in events:
        if event.kind in ("said", "called"):
            if not of_model:
                replies.append(Reply())
            if event.kind == "called":
                replies[-1].by_call[event.identifier] = None
        elif replies and event.kind == "result":
            assert event.identifier in replies[-1].by_call, f"a result of no call: {event}"
            replies[-1].by_call[event.identifier] = event.text
        elif replies:
            replies[-1].text += event.text + "\n"
        of_model = event.kind in ("said", "called")
    return replies


def next_turn(script, replies):
    """The turn that follows these replies."""
    running = script()
    turn = next(running)
    for reply in replies:
        try:
            turn = running.send(reply)
        except StopIteration:
            raise AssertionError(f"the conversation continued after the end of the script: {reply}") from None
    return turn


def full_name(tool, offered):
    """The client's name of a tool."""
    for name in offered:
        if name == tool or name.endswith(f"_{tool}"):
            return name
    raise AssertionError(f"the client offers no tool {tool}, only {sorted(offered)}")


class ScriptedModel:
    """The HTTP server, as a context manager. `requests` are those that the script answered, `errors` its exceptions.

    A subclass defines:
    - `is_model_call(path)`;
    - `is_scripted(request)`: false for a request beside the conversation, such as one for its title;
    - `history(request)`: the conversation as events;
    - `offered(request)`: the names of the tools that the model may call;
    - `answer(turn, request)`: the turn as JSON objects, each a server-sent event.
    """

    def __init__(self, script):
        self.script, self.requests, self.errors = script, [], []

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        if self.errors:
            raise AssertionError(f"the script failed:\n{self.errors[0]}")

    def respond(self, request):
        """The server-sent events that answer a request."""
        if self.is_scripted(request):
            self.requests.append(request)
            turn = next_turn(self.script, replies_in(self.history(request)))
            offered = self.offered(request)
            turn = Turn(turn.text, [Call(full_name(one.tool, offered), one.arguments) for one in turn.calls])
        else:
            turn = Turn("ok")
        return "".join(server_sent(data) for data in self.answer(turn, request))


def server_sent(data):
    """A server-sent event, named by the object's type if it has one."""
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n"


def handler_of(model):
    """The class that answers the HTTP requests to a model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not model.is_model_call(self.path.split("?")[0]):
                self.send(404, "application/json", "{}")
                return
            try:
                events = model.respond(json.loads(body))
            except Exception:
                model.errors.append(traceback.format_exc())
                # Clients do not repeat a request that was answered with 400.
                error = {"type": "invalid_request_error", "message": "the script failed", "code": 400}
                self.send(400, "application/json", json.dumps({"type": "error", "error": error}))
                return
            self.send(200, "text/event-stream", events)

        def do_GET(self):
            self.send(404, "application/json", "{}")

        do_HEAD = do_GET

        def send(self, status, kind, body):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    return Handler
