# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server for one folder that can be told to fail."""
import functools
import http.server
import threading


class Server:
    """`fault` is a function of (path, handler). It may answer by itself and return True."""

    def __init__(self, folder):
        self.fault = None
        self.requests = []       # paths, in order
        self.sent = 0            # bytes of bodies
        self._stalled = threading.Event()   # a request is being held
        self._release = threading.Event()
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append(self.path)
                if outer.fault and outer.fault(self.path, self):
                    return
                super().do_GET()

            def copyfile(self, source, out):
                data = source.read()
                outer.sent += len(data)
                try:
                    out.write(data)
                except OSError:  # who asked does not want it any more
                    self.close_connection = True

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,),
                                        daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    # Faults, as values for `fault`.
    def stall(self, part):
        """Hold every request whose path contains @p part until release()."""
        def fault(path, handler):
            if part not in path:
                return False
            self._stalled.set()
            self._release.wait()
            return False
        self._stalled.clear()
        self._release.clear()
        self.fault = fault

    def wait_until_stalled(self, timeout=120):
        assert self._stalled.wait(timeout), "nobody asked for what is held back"

    def release(self):
        self.fault = None
        self._release.set()

    def status(self, code, part):
        def fault(path, handler):
            if part not in path:
                return False
            handler.send_error(code)
            return True
        self.fault = fault

    def truncate(self, part):
        def fault(path, handler):
            if part not in path:
                return False
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            handler.wfile.write(b"x" * 10)
            handler.close_connection = True
            return True
        self.fault = fault

    def close(self):
        self.release()
        self._server.shutdown()
        self._server.server_close()
