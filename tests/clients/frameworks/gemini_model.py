"""A scripted model that speaks Google's Gemini API on loopback. It calls the tool that the test says, and then ends."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Model:
    """The requests so far, and the next call of the model."""

    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"
        self.requests, self.next_call = [], None

    def declarations(self):
        """The tools of the last request, as they were sent."""
        return [tool for group in self.requests[-1]["tools"] for tool in group["functionDeclarations"]]

    def answer(self, request):
        self.requests.append(request)
        part = {"functionCall": self.next_call} if self.next_call else {"text": "Done."}
        self.next_call = None
        return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


@contextmanager
def gemini_model():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(model.answer(request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        model = Model(listener.server_port)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield model
        finally:
            listener.shutdown()
