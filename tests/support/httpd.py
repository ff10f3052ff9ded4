#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small real HTTP server for tests: serves a folder, knows Range, and misbehaves on request.

  httpd.py ROOT [RULES [LOG]]
  httpd.py --mounts DIR    /NAME/... is served from DIR/NAME/root with DIR/NAME/rules and .../log,
                           and names without such a folder are hung up on

Prints its port on the first line and ends when its standard input closes. Before each request it
reads RULES, a JSON list; the first rule whose regular expression "match" fits the path counts:
  {"match": "primary", "do": "status", "value": 500, "times": 2}   answer 500, the first two times
  {"match": "x.rpm", "do": "truncate", "value": 100}   announce all, send 100 bytes, close
  {"match": "x.rpm", "do": "stall", "value": 100}      send 100 bytes, then nothing more
  {"match": "x.rpm", "do": "hang"}                     never answer
  {"match": "x.rpm", "do": "drop"}                     close without an answer
  {"match": "x.rpm", "do": "content", "value": "text"} answer 200 with this instead
  {"match": "x.rpm", "do": "no-range"}                 ignore Range
LOG gets one line per request: "GET /path [bytes=...] status".
"""
import http.server
import json
import os
import re
import sys
import threading
import urllib.parse

MOUNTS = sys.argv[2] if sys.argv[1] == "--mounts" else None
used = {}
lock = threading.Lock()
ending = threading.Event()


def rule_for(rules, path):
    if not rules or not os.path.exists(rules):
        return {}
    with lock, open(rules) as f:
        for rule in json.load(f):
            if not re.search(rule["match"], path):
                continue
            name = rules + json.dumps(rule, sort_keys=True)
            if "times" in rule and used.get(name, 0) >= rule["times"]:
                continue
            used[name] = used.get(name, 0) + 1
            return rule
    return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, status):
        if self.log:
            with lock, open(self.log, "a") as f:
                requested = self.headers.get("Range")
                f.write(f"GET {self.asked}{' ' + requested if requested else ''} {status}\n")

    def answer(self, status, body, headers=()):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def serve(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if MOUNTS:
            name, _, path = path.lstrip("/").partition("/")
            path = "/" + path
            root, rules, self.log = (f"{MOUNTS}/{name}/{x}" for x in ("root", "rules", "log"))
            if not os.path.exists(root):
                self.close_connection = True
                return
        else:
            root, rules, self.log, *_ = [*sys.argv[1:], None, None]
        root = os.path.realpath(root)
        self.asked = path
        rule = rule_for(rules, path)
        what, value = rule.get("do"), rule.get("value")
        if what == "status":
            return self.answer(value, b"no\n")
        if what == "content":
            return self.answer(200, value.encode())
        if what == "hang":
            self.note("hang")
            self.close_connection = True
            ending.wait()
            return
        if what == "drop":
            self.note("drop")
            self.close_connection = True
            return
        file = os.path.normpath(root + "/" + path)
        if not file.startswith(root + "/") or not os.path.isfile(file):
            return self.answer(404, b"not found\n")
        with open(file, "rb") as f:
            body = f.read()
        status, headers = 200, []
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and what != "no-range":
            start = int(asked[1])
            if start >= len(body):
                return self.answer(416, b"", [("Content-Range", f"bytes */{len(body)}")])
            headers.append(("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}"))
            status, body = 206, body[start:]
        if what not in ("truncate", "stall"):
            return self.answer(status, body, headers)
        self.note(what)
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:value])
        self.wfile.flush()
        self.close_connection = True
        if what == "stall":
            ending.wait()


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # clients that break off are what some tests are about
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    ending.set()


if __name__ == "__main__":
    main()
