# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host: a sysroot in a temporary folder, its daemon and client on a bus of their own."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from .bus import Bus
from .programs import ATOMIC, ATOMICD, TIMEOUT, output, run
from .remote import BRANCH, Remote
from .server import Server

NAME = "org.projectatomic.rpmostree1"


class Host:
    def __init__(self, folder, bus):
        self.folder = pathlib.Path(folder)
        self.bus = bus
        self.sysroot = self.folder / "sysroot"
        self.repo = self.sysroot / "ostree/repo"
        self.config = self.folder / "daemon.conf"
        # Else libostree makes deployments immutable, and the folder could not be removed.
        self.env = {**bus.env, "OSTREE_SYSROOT_DEBUG": "mutable-deployments", "NO_COLOR": "1"}
        self.daemon = None
        self.spawned = []
        self.log = None
        self.sysroot.mkdir(parents=True)
        self.configure()
        run("ostree", "admin", "init-fs", "--modern", self.sysroot)
        run("ostree", "config", f"--repo={self.repo}", "set", "sysroot.bootloader", "none")

    def configure(self, **settings):
        settings = {"IdleExitTimeout": "0", **settings}
        self.config.write_text("[Daemon]\n" + "".join(f"{k}={v}\n" for k, v in settings.items()))

    # Stock tools.
    def ostree(self, *argv, **kwargs):
        return run("ostree", *argv, f"--repo={self.repo}", env=self.env, **kwargs)

    def admin(self, verb, *argv, **kwargs):
        return run("ostree", "admin", verb, f"--sysroot={self.sysroot}", *argv, env=self.env,
                   **kwargs)

    def install(self, stateroot, url, branch=BRANCH, remote="origin", options=("--no-gpg-verify",),
                kernel_arguments=("root=LABEL=root", "quiet")):
        """The first deployment, made with stock tools."""
        self.admin("os-init", stateroot)
        if remote not in self.ostree("remote", "list").stdout.split():
            self.ostree("remote", "add", remote, url, *options)
        self.ostree("pull", remote, branch)
        self.admin("deploy", f"--os={stateroot}", f"{remote}:{branch}",
                   *(f"--karg={k}" for k in kernel_arguments))

    def deployments(self):
        """As stock ostree sees them, in boot order: (stateroot, checksum, serial)."""
        found = []
        for line in self.admin("status").stdout.splitlines():
            words = line.replace("*", " ").split()
            if len(words) >= 2 and "." in words[1] and len(words[1].split(".")[0]) == 64:
                checksum, serial = words[1].split(".")
                found.append((words[0], checksum, int(serial)))
        return found

    def deployment_path(self, index=0):
        stateroot, checksum, serial = self.deployments()[index]
        return self.sysroot / f"ostree/deploy/{stateroot}/deploy/{checksum}.{serial}"

    def fsck(self):
        self.ostree("fsck", "-q")

    # Our daemon.
    def daemon_command(self):
        return [ATOMICD, f"--sysroot={self.sysroot}", f"--config={self.config}",
                f"--runtime-directory={self.folder / 'run'}"]

    def start(self):
        """Start the daemon and wait until it owns its name."""
        self.log = open(self.folder / "daemon.log", "ab")
        self.daemon = subprocess.Popen(self.daemon_command(), env={**os.environ, **self.env},
                                       stdout=self.log, stderr=self.log)
        run("gdbus", "wait", "--system", "--timeout=120", NAME, env=self.env)

    def stop(self, number=signal.SIGTERM):
        """@return the exit status."""
        if not self.daemon:
            return None
        self.daemon.send_signal(number)
        status = self.daemon.wait(TIMEOUT)
        self.log.close()
        self.daemon = None
        return status

    def daemon_log(self):
        return (self.folder / "daemon.log").read_text(errors="replace")

    # Our client.
    def atomic(self, *argv, check=True, env=None, **kwargs):
        return run(ATOMIC, *argv, check=check, env={**self.env, **(env or {})}, **kwargs)

    def spawn(self, *argv, program=ATOMIC, **kwargs):
        process = subprocess.Popen([program, *argv], env={**os.environ, **self.env},
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   **kwargs)
        self.spawned.append(process)
        return process

    def close(self):
        for process in self.spawned:
            process.kill()
            process.communicate()

    def status(self, *argv):
        return json.loads(self.atomic("status", "--json", *argv).stdout)

    def busctl(self, *argv, **kwargs):
        return run("busctl", "--system", "--timeout=120", *argv, env=self.env, **kwargs)

    def os_path(self, stateroot="small"):
        return f"/org/projectatomic/rpmostree1/{stateroot.replace('-', '_')}"


class HostTest(unittest.TestCase):
    """A remote with release 1 published, a host that runs it, and our daemon serving the host."""
    gpg = None
    packages = {
        1: ["bash 0 5.1 1 x86_64", "gone 0 1.0 1 noarch", "kernel 0 6.1.0 1 x86_64",
            "older 1 2.0 1 x86_64", "same 0 1 1 noarch"],
        2: ["bash 0 5.2 1 x86_64", "kernel 0 6.1.0 2 x86_64", "new 0 3.0 1 noarch",
            "older 1 1.9 1 x86_64", "same 0 1 1 noarch"],
    }
    maxDiff = None

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="atomic-test-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        os.chmod(folder, 0o755)
        self.folder = pathlib.Path(folder)
        self.addCleanup(shutil.rmtree, folder)
        self.bus = Bus(folder)
        self.addCleanup(self.bus.close)
        self.remote = Remote(self.folder / "remote")
        self.server = Server(self.remote.repo)
        self.addCleanup(self.server.close)
        self.host = Host(self.folder / "host", self.bus)
        self.addCleanup(self.host.close)
        self.release1 = self.publish(1)
        self.install()
        self.host.start()
        self.addCleanup(self.stop)

    def stop(self):
        """A daemon that crashed, or that a sanitizer complained about, fails its test."""
        status = self.host.stop()
        self.assertIn(status, (0, None), self.host.daemon_log())

    def install(self):
        self.host.install("small", self.server.url)

    def publish(self, number, **kwargs):
        self.remote.write("usr/lib/os-release", f"NAME=Small\nID=small\nVERSION_ID={number}\n")
        return self.remote.commit(f"{number}.0", self.packages.get(number, self.packages[2]),
                                  timestamp=f"2024-01-{number:02d} 00:00:00 +0000", **kwargs)

    def assertFails(self, result, *parts):
        """One line of error, with all of @p parts."""
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(lines), 1, result.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def in_background(self, function):
        """Run @p function on a thread; the result is a function that waits and returns its value."""
        box = {}

        def body():
            try:
                box["value"] = function()
            except BaseException as error:  # handed to whoever waits
                box["error"] = error

        thread = threading.Thread(target=body)
        thread.start()

        def wait():
            thread.join(TIMEOUT)
            self.assertFalse(thread.is_alive(), "still running")
            if "error" in box:
                raise box["error"]
            return box["value"]
        return wait
