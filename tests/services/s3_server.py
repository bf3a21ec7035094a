"""moto's S3 server, one request at a time: ``python s3_server.py PORT``.

Of each request it prints method, path and If-None-Match. moto looks whether a key is there and then writes it, on the thread of each request. Real stores do both at once; so does
this one, as requests wait for each other.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

TURN = threading.Lock()


class OneConnection(WSGIRequestHandler):
    """Keeps connections open, and leaves it to us to tell of requests."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_words: Any) -> None:
        """Say nothing."""


def serve(port: int) -> None:
    """Serve until the process is stopped."""
    moto = DomainDispatcherApplication(create_backend_app)

    def one_at_a_time(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with TURN:
            print(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_IF_NONE_MATCH", ""), flush=True)
            return list(moto(environ, start_response))

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=OneConnection)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
