#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input to `atomic compose tree`: one clear error, nothing changed, and the next good run works."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import unittest

from support.compose_case import ATOMIC, BUSYBOX, REF, ComposeCase, Result


class Treefiles(ComposeCase):
    def setUp(self):
        super().setUp()
        self.yum(BUSYBOX)

    def test_unknown_key_with_its_neighbour(self):
        path = self.dir / "tree.yaml"
        path.write_text(f"ref: {REF}\nrepos: [small]\npakcages: [busybox]\n")
        self.refused("tree.yaml:3:1", "pakcages", "packages", treefile=path)

    def test_wrong_type_missing_file_missing_include_and_loop(self):
        self.refused("tree.json", "selinux", treefile=self.treefile(selinux="maybe"))
        self.refused("none.json", treefile=self.dir / "none.json")
        self.refused("tree.json", "missing.yaml", treefile=self.treefile(include="missing.yaml"))
        self.refused("tree.json", treefile=self.treefile(include="tree.json"))

    def test_syntax_error_has_a_place(self):
        path = self.dir / "tree.json"
        path.write_text('{"ref": "x",\n "packages": [}\n')
        self.refused("tree.json:2:", treefile=path)

    def test_a_known_key_that_is_not_done_is_refused_by_name(self):
        self.refused("ostree-layers", treefile=self.treefile(ostree_layers=["x"]))

    def test_no_ref_no_repo_and_bad_options(self):
        self.refused("ref", treefile=self.treefile(ref=None))
        self.treefile()
        result = self.run_atomic("compose", "tree", self.dir / "tree.json")
        self.assertEqual(result.status, 1)
        self.assertIn("--repo", result.err)
        result = self.run_atomic("compose", "tree", "--no-such-option", self.dir / "tree.json")
        self.assertEqual(result.status, 1)
        self.assertIn("no-such-option", result.err)
        self.refused("--add-metadata-string", options=["--add-metadata-string=novalue"])
        self.refused("--previous-commit", options=["--previous-commit=nosuch"])
        self.refused("SOURCE_DATE_EPOCH", env={"SOURCE_DATE_EPOCH": "soon"})

    def test_a_repository_that_is_none(self):
        self.treefile()
        result = self.run_atomic("compose", "tree", f"--repo={self.dir}", self.dir / "tree.json")
        self.assertEqual(result.status, 1)
        self.assertIn(str(self.dir), result.err)


class Packages(ComposeCase):
    def test_no_such_package_names_the_nearest(self):
        self.yum(BUSYBOX)
        self.refused("busybix", "busybox", treefile=self.treefile(packages=["busybix"]))

    def test_unsatisfiable_dependencies_in_plain_words(self):
        self.yum(BUSYBOX, {"name": "needs", "requires": ["nothing-has-this"]}, {"name": "top", "requires": ["needs"]})
        self.refused("nothing-has-this", "needs", treefile=self.treefile(packages=["top"]))

    def test_conflicting_files_are_named_with_both_packages(self):
        self.yum(BUSYBOX, {"name": "one", "files": {"/usr/lib/same": "1"}}, {"name": "two", "files": {"/usr/lib/same": "2"}})
        self.refused("/usr/lib/same", "one-1-1", "two-1-1", treefile=self.treefile(packages=["one", "two"]))

    def test_damaged_packages(self):
        self.yum(BUSYBOX)
        self.treefile()
        rpm = next((self.dir / "small").glob("busybox*.rpm"))
        whole = rpm.read_bytes()
        for broken in (whole[: len(whole) // 2], whole[:-1000] + b"\0" * 1000, b"", b"not an rpm" * 100):
            rpm.write_bytes(broken)
            self.refused("busybox")
        rpm.write_bytes(whole)
        self.compose()

    def test_signatures(self):
        self.treefile()
        self.yum(BUSYBOX)
        self.repo_file(gpgcheck=True, gpgkey="right")
        self.refused("busybox", "sign")
        self.yum(BUSYBOX, sign_packages="wrong")
        self.repo_file(gpgcheck=True, gpgkey="right")
        self.refused("busybox", "key")
        self.repo_file(gpgcheck=True)
        self.refused("gpgkey")
        for key, why in (("expired", "expired"), ("revoked", "revoked")):
            self.yum(BUSYBOX, sign_packages=key)
            self.repo_file(gpgcheck=True, gpgkey=key)
            self.refused("busybox", why)
        self.yum(BUSYBOX, sign_packages="right")
        self.repo_file(gpgcheck=True, repo_gpgcheck=True, gpgkey="right")
        self.refused("repomd.xml")
        self.yum(BUSYBOX, sign_packages="right", sign_repomd="wrong")
        self.repo_file(gpgcheck=True, repo_gpgcheck=True, gpgkey="right")
        self.refused("repomd.xml")
        self.yum(BUSYBOX, sign_packages="right", sign_repomd="right")
        self.repo_file(gpgcheck=True, repo_gpgcheck=True, gpgkey="right")
        self.compose()

    def test_repositories_that_do_not_answer(self):
        self.yum(BUSYBOX)
        self.treefile()
        self.repo_file(baseurl="http://127.0.0.1:9/none", extra="retries=0\ntimeout=2")
        self.refused("small", "127.0.0.1:9")
        self.repo_file(baseurl=f"file://{self.dir}/nowhere")
        self.refused("nowhere")
        self.treefile(repos=["smal"])
        self.repo_file()
        self.refused("smal", "small")
        self.treefile()
        primary = next((self.dir / "small/repodata").glob("*primary.xml*"))
        saved = primary.read_bytes()
        primary.write_bytes(saved[:-10])
        self.refused("small", "primary")
        primary.unlink()
        self.refused("small", "primary")
        primary.write_bytes(saved)
        self.compose()


class Scripts(ComposeCase):
    def with_script(self, body, kind="post", **treefile):
        self.yum(BUSYBOX, {"name": "scripted", "requires": ["busybox"], "scripts": {kind: body}})
        return self.treefile(packages=["scripted"], **treefile)

    def test_a_script_that_fails(self):
        self.refused("scripted-1-1.noarch %post", "exit status 7", "told you", treefile=self.with_script("echo told you; exit 7"))

    def test_a_script_that_hangs(self):
        begun = time.monotonic()
        self.refused("scripted-1-1.noarch %post", "time", options=["--script-timeout=1"], treefile=self.with_script("sleep 1000"))
        self.assertLess(time.monotonic() - begun, 60)

    def test_a_script_that_forks_away_ends_with_the_script(self):
        self.with_script("(sleep 1234567; touch /etc/late) & setsid sleep 1234567 &")
        self.compose("--script-timeout=60")
        self.assertNotIn("/usr/etc/late", self.ls("/usr/etc"))
        running = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"1234567" in self.read_proc(p)]
        self.assertEqual(running, [])

    @staticmethod
    def read_proc(path):
        try:
            return path.read_bytes()
        except OSError:
            return b""

    def test_a_script_reaches_no_network(self):
        self.with_script("if ping -c1 -W1 127.0.0.1; then exit 9; fi; wget -T 2 -q -O /etc/got http://127.0.0.1:80/ && exit 8; exit 0")
        self.compose()

    def test_a_script_that_removes_everything(self):
        precious = self.dir / "precious"
        precious.write_text("still here")
        result = self.refused("scripted-1-1.noarch %post", treefile=self.with_script("rm -rf / 2>/dev/null; exit 0"))
        self.assertEqual(precious.read_text(), "still here", str(result))
        self.with_script("exit 0")
        self.compose()

    def test_a_script_sees_nothing_of_the_build_host(self):
        marker = pathlib.Path("/var/tmp/atomic-host-marker")
        marker.write_text("host")
        self.addCleanup(marker.unlink)
        self.with_script("test ! -e /var/tmp/atomic-host-marker && test ! -e /root/.bashrc && test ! -e /sys/kernel && "
                         "test $(ls /dev | grep -c '^[sv]d') = 0")
        self.compose()

    def test_a_postprocess_script_that_fails_is_named(self):
        self.yum(BUSYBOX)
        self.refused("postprocess", "exit status 3", treefile=self.treefile(postprocess=["#!/bin/sh\nexit 3\n"]))

    def test_a_program_that_is_not_in_the_tree(self):
        self.yum(BUSYBOX, {"name": "liar", "provides": ["/usr/bin/python9"]},
                 {"name": "scripted", "requires": ["busybox"], "scripts": {"post -p /usr/bin/python9": "x"}})
        self.refused("scripted-1-1.noarch %post", treefile=self.treefile(packages=["scripted"]))


class Machines(ComposeCase):
    def setUp(self):
        super().setUp()
        self.yum(BUSYBOX, {"name": "big", "requires": ["busybox"], "files": {"/usr/lib/big": {"size": 30_000_000}},
                           "scripts": {"post": "sleep 1000"}}, {"name": "medium", "files": {"/usr/lib/m": {"size": 30_000_000}}})

    def test_disk_full(self):
        small = self.dir / "small-disk"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        repo = small / "repo"
        subprocess.run(["ostree", "init", f"--repo={repo}", "--mode=bare-user"], check=True)
        good, self.repo = self.repo, repo
        self.refused("No space left", str(repo), treefile=self.treefile(packages=["busybox", "medium"]))
        self.repo = good
        self.compose(treefile=self.treefile(packages=["busybox", "medium"]))

    def test_two_composes_in_one_cachedir(self):
        self.treefile(packages=["big"])
        first = self.start()
        try:
            self.wait_for(lambda: (self.cache / ".lock").exists() and (self.cache / ".lock").read_text().strip())
            other = self.treefile(name="other.json")
            second = self.run_atomic(*self.compose_args(treefile=other))
            self.assertEqual(second.status, 1, str(second))
            self.assertIn("cache directory", second.err)
            self.assertIn("is in use by process", second.err)
        finally:
            first.send_signal(signal.SIGINT)
            out, err = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 130, err)
        self.assert_repo_clean()

    def start(self):
        return subprocess.Popen([ATOMIC, *map(str, self.compose_args())], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited for nothing")
            time.sleep(0.01)

    def test_interrupted_at_many_moments(self):
        self.treefile(packages=["busybox", "medium"])
        begun = time.monotonic()
        self.compose("--write-commitid-to=" + str(self.dir / "id"))
        whole = time.monotonic() - begun
        shutil.rmtree(self.cache)
        self.init_repo("bare-user")
        for step in range(10):
            process = self.start()
            try:
                process.communicate(timeout=whole * step / 9)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL if step % 3 == 2 else signal.SIGINT)
                process.communicate(timeout=60)
            self.ostree("fsck", "-q")
            mounts = pathlib.Path("/proc/self/mountinfo").read_text()
            self.assertNotIn(str(self.dir), mounts)
        self.compose("--force-nocache")
        self.assert_repo_clean()
        left = [p.name for p in self.cache.iterdir() if p.name.startswith("work-")]
        self.assertEqual(left, [])

    def test_no_permission(self):
        self.treefile()
        os.chmod(self.dir, 0o755)
        result = Result(subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ATOMIC,
                                        *map(str, self.compose_args())], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        self.assertEqual(result.status, 1, str(result))
        self.assertIn("error: ", result.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
