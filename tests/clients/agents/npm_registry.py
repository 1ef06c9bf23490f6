"""A registry of npm on loopback that has only the packages of a folder, as files."""

import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class NpmRegistry:
    """The HTTP server, as a context manager. `files` are the packages, one version of each."""

    def __init__(self, files):
        self.files = {f"/{file.name}": file for file in files}

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.documents = dict(map(self.document, self.files.items()))
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def document(self, entry):
        """The path of a package and what a registry says about it."""
        path, file = entry
        with tarfile.open(file) as archive:
            manifest = json.load(archive.extractfile("package/package.json"))
        name, version = manifest["name"], manifest["version"]
        manifest["dist"] = {"tarball": self.url + path}
        return f"/{name}", {"name": name, "dist-tags": {"latest": version}, "versions": {version: manifest}}

    def body(self, path):
        """What is at a path. None if nothing is."""
        if path in self.files:
            return self.files[path].read_bytes()
        if path in self.documents:
            return json.dumps(self.documents[path]).encode()
        return None


def handler_of(registry):
    """The class that answers the HTTP requests to a registry."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            # npm writes the slash of `@scope/name` as %2f.
            body = registry.body(unquote(self.path))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    return Handler
