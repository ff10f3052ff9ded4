# SPDX-License-Identifier: LGPL-2.1-or-later
"""upgrade, deploy, rebase, rollback, cleanup, pin, db: what they do and what they leave alone."""
import fcntl
import json
import os
import struct
import unittest

from support.host import HostTest
from support.programs import ATOMIC, run


class Upgrade(HostTest):
    def versions(self):
        return [d["version"] for d in self.host.status()["deployments"]]

    def test_from_one_release_to_the_next_and_back(self):
        etc = self.host.deployment_path() / "etc"
        (etc / "kept.conf").write_text("local = 1\n")
        (etc / "added").mkdir()
        (etc / "added/file").write_text("mine\n")
        (etc / "os.conf").unlink()
        variable = self.host.sysroot / "ostree/deploy/small/var/data"
        variable.write_text("data\n")
        release2 = self.publish(2)
        text = self.host.atomic("upgrade").stdout
        self.assertIn("Copying /etc changes: 1 modified, 1 removed, 2 added", text)
        self.assertIn("Changed:\n  bash 5.1-1 -> 5.2-1\n  kernel 6.1.0-1 -> 6.1.0-2\n"
                      "  older 1:2.0-1 -> 1:1.9-1 (downgrade)\n"
                      "Removed:\n  gone-1.0-1.noarch\nAdded:\n  new-3.0-1.noarch\n", text)
        self.assertEqual([c for _, c, _ in self.host.deployments()], [release2, self.release1])
        self.assertEqual(self.versions(), ["2.0", "1.0"])
        new = self.host.deployment_path()
        self.assertEqual((new / "etc/kept.conf").read_text(), "local = 1\n")
        self.assertEqual((new / "etc/added/file").read_text(), "mine\n")
        self.assertFalse((new / "etc/os.conf").exists())
        self.assertIn("VERSION_ID=2", (new / "usr/lib/os-release").read_text())
        self.host.fsck()

        text = self.host.atomic("rollback").stdout
        self.assertIn(f"Moving '{self.release1}.0' to be first deployment", text)
        self.assertEqual(self.versions(), ["1.0", "2.0"])
        self.assertEqual([c for _, c, _ in self.host.deployments()], [self.release1, release2])
        self.host.atomic("rollback")
        self.assertEqual(self.versions(), ["2.0", "1.0"], "twice is an undo")
        self.assertEqual(variable.read_text(), "data\n")
        self.host.fsck()

    def test_nothing_new(self):
        self.assertIn("No upgrade available.", self.host.atomic("upgrade").stdout)
        result = self.host.atomic("upgrade", "--unchanged-exit-77", check=False)
        self.assertEqual(result.returncode, 77)
        self.assertEqual(len(self.host.deployments()), 1)

    def test_check_and_preview_change_no_deployment(self):
        self.assertEqual(self.host.atomic("upgrade", "--check", check=False).returncode, 77)
        etc = self.host.deployment_path() / "etc"
        (etc / "os.conf").write_text("local\n")
        (etc / "kept.conf").write_text("local\n")
        (etc / "way").write_text("in the\n")
        self.remote.write("usr/etc/os.conf", "default = 2\n")
        self.remote.write("usr/etc/way/file", "")
        release2 = self.publish(2)
        text = self.host.atomic("upgrade", "--check").stdout
        self.assertIn("AvailableUpdate:", text)
        self.assertIn("Version: 2.0", text)
        self.assertIn("Diff: 2 upgraded, 1 downgraded, 1 removed, 1 added", text)
        self.assertEqual(len(self.host.deployments()), 1)
        cached = self.host.status()["cached-update"]
        self.assertEqual(cached["checksum"], release2)
        self.assertNotIn("id", cached)
        self.assertIn("AvailableUpdate:", self.host.atomic("status").stdout)
        text = self.host.atomic("upgrade", "--preview").stdout
        self.assertIn("bash 5.1-1 -> 5.2-1", text)
        self.assertIn("Local files that hide a changed default:\n  /etc/os.conf\n", text)
        self.assertIn("(the upgrade will fail):\n  /etc/way\n", text)
        self.assertNotIn("kept.conf", text)
        self.assertEqual(len(self.host.deployments()), 1)

    def test_download_now_deploy_later_without_network(self):
        self.publish(2)
        self.assertIn("Update downloaded.", self.host.atomic("upgrade", "--download-only").stdout)
        self.assertEqual(len(self.host.deployments()), 1)
        self.server.fault = lambda path, handler: self.fail("fetched " + path)
        requests = len(self.server.requests)
        self.host.atomic("upgrade", "--cache-only")
        self.assertEqual(self.versions(), ["2.0", "1.0"])
        self.assertEqual(len(self.server.requests), requests)

    def test_cache_only_does_not_deploy_half_a_commit(self):
        self.publish(2)
        self.host.atomic("upgrade", "--check")
        self.assertFails(self.host.atomic("upgrade", "-C", check=False), "not completely")
        self.assertEqual(len(self.host.deployments()), 1)

    def test_older_versions_only_when_allowed(self):
        self.publish(2)
        self.host.atomic("upgrade")
        self.remote.commit("1.5", timestamp="2023-06-01 00:00:00 +0000")
        self.assertFails(self.host.atomic("upgrade", check=False), "older", "--allow-downgrade")
        self.assertEqual(self.versions(), ["2.0", "1.0"])
        self.host.atomic("upgrade", "--allow-downgrade")
        self.assertEqual(self.versions()[0], "1.5")

    def test_deploy_by_version_and_checksum(self):
        release2, release3 = self.publish(2), self.publish(3)
        self.host.atomic("deploy", "version=2.0")
        self.assertEqual(self.versions()[0], "2.0")
        self.assertEqual(self.host.status()["deployments"][0]["override-commit"], release2)
        self.host.atomic("deploy", release3)
        self.assertEqual(self.versions()[0], "3.0")
        self.host.atomic("deploy", "1.0")
        self.assertEqual(self.versions()[0], "1.0")
        result = self.host.atomic("deploy", "2.0", "--disallow-downgrade", check=False)
        self.assertEqual(result.returncode, 0, "2.0 is newer than 1.0")
        self.assertFails(self.host.atomic("deploy", "1.0", "--disallow-downgrade", check=False),
                         "older")
        self.assertFails(self.host.atomic("deploy", "9.9", check=False), "no version '9.9'")
        self.assertFails(self.host.atomic("deploy", "revision=abc", check=False), "64 hex digits")
        self.assertFails(self.host.atomic("deploy", "0" * 64, check=False), "0" * 64)
        # An upgrade follows the branch again.
        self.host.atomic("upgrade")
        self.assertEqual(self.versions()[0], "3.0")
        self.assertNotIn("override-commit", self.host.status()["deployments"][0])
        self.host.fsck()

    def test_deploy_preview(self):
        self.publish(2)
        text = self.host.atomic("deploy", "2.0", "--preview").stdout
        self.assertIn("new-3.0-1.noarch", text)
        self.assertEqual(len(self.host.deployments()), 1)

    def test_rebase(self):
        self.publish(2)
        testing = self.remote.commit("2.1-testing", branch="os/x86_64/testing")
        self.host.atomic("rebase", "os/x86_64/testing")
        first = self.host.status()["deployments"][0]
        self.assertEqual((first["checksum"], first["origin"]),
                         (testing, "origin:os/x86_64/testing"))
        self.assertEqual(self.host.ostree("refs").stdout.count("origin:os/x86_64/stable"), 0,
                         "what was fetched of the old branch is not kept")
        self.host.atomic("rebase", "-b", "os/x86_64/stable", "--skip-purge")
        self.assertEqual(self.versions()[0], "2.0")
        self.assertIn("origin:os/x86_64/testing", self.host.ostree("refs").stdout)
        for words, part in {("nowhere:os/x86_64/stable",): "no remote 'nowhere'",
                            ("origin:os/x86_64/none",): "os/x86_64/none",
                            ("origin:../evil",): "no refspec",
                            ("a b:c",): "no refspec",
                            ("f" * 64,): "not in this host's repository"}.items():
            with self.subTest(words=words):
                self.assertFails(self.host.atomic("rebase", *words, check=False), part)
        self.host.atomic("rebase", testing)
        self.assertEqual(self.versions()[0], "2.1-testing")
        self.assertFails(self.host.atomic("deploy", "2.0", check=False), "single commit")

    def test_pinned_deployments_survive(self):
        self.host.atomic("pin", "0")
        for number in (2, 3):
            self.publish(number)
            self.host.atomic("upgrade")
        self.assertEqual(self.versions(), ["3.0", "2.0", "1.0"])
        self.assertIn("Pinned: yes", self.host.atomic("status").stdout)
        self.host.atomic("cleanup", "-r")
        self.assertEqual(self.versions(), ["3.0", "1.0"])
        self.assertIn("Deployments unchanged.", self.host.atomic("cleanup", "-r").stdout)
        self.host.atomic("unpin", "1")
        text = self.host.atomic("cleanup", "--rollback", "--base").stdout
        self.assertIn("Freed: ", text)
        self.assertEqual(self.versions(), ["3.0"])
        self.assertFails(self.host.atomic("rollback", check=False), "No rollback deployment found")
        self.host.fsck()

    def test_a_conflict_in_etc_is_found_before_anything_changes(self):
        (self.host.deployment_path() / "etc/thing").write_text("a file here\n")
        self.remote.write("usr/etc/thing/inside", "a directory there\n")
        self.publish(2)
        self.assertFails(self.host.atomic("upgrade", check=False), "/etc/thing", "directory")
        self.assertEqual(len(self.host.deployments()), 1)
        (self.host.deployment_path() / "etc/thing").unlink()
        self.host.atomic("upgrade")
        self.assertEqual(self.versions(), ["2.0", "1.0"])

    def test_names_that_are_not_utf8(self):
        etc = os.fsencode(self.host.deployment_path() / "etc")
        with open(etc + b"/caf\xe9", "wb") as file:
            file.write(b"latin\n")
        text = self.host.atomic("config", "diff").stdout
        self.assertIn("A    caf\ufffd\n", text)
        self.publish(2)
        self.host.atomic("upgrade")
        self.assertTrue(os.path.exists(os.fsencode(self.host.deployment_path()) + b"/etc/caf\xe9"))

    def test_config_diff_agrees_with_the_stock_tool(self):
        etc = self.host.deployment_path() / "etc"
        (etc / "kept.conf").write_text("local\n")
        (etc / "os.conf").unlink()
        (etc / "one").write_text("")
        ours = set(self.host.atomic("config", "diff").stdout.splitlines())
        self.assertEqual(ours, {"M    kept.conf", "D    os.conf", "A    one"})

    def test_unknown_origin_files_are_not_followed(self):
        origin = self.host.deployment_path().with_name(f"{self.release1}.0.origin")
        origin.write_text("[origin]\ncontainer-image-reference=ostree-image-signed:docker://x/y\n")
        self.host.atomic("reload")
        [deployment] = self.host.status()["deployments"]
        self.assertEqual(deployment["container-image-reference"],
                         "ostree-image-signed:docker://x/y")
        self.assertNotIn("origin", deployment)
        self.assertFails(self.host.atomic("upgrade", check=False), "container image")
        origin.write_text("[origin]\n")
        self.host.atomic("reload")
        self.assertFails(self.host.atomic("upgrade", check=False), "no origin to follow")

    def test_the_first_deployment_of_a_stateroot(self):
        self.host.admin("os-init", "fresh")
        self.host.atomic("reload")
        self.host.atomic("rebase", "--os=fresh", "origin:os/x86_64/stable")
        self.assertIn(("fresh", self.release1, 0), self.host.deployments())

    def test_a_lock_of_another_program_is_waited_for(self):
        self.publish(2)
        lock = self.host.sysroot / "ostree/lock"
        with open(lock, "a") as held:
            # As libostree locks: for the open file, not for the process.
            fcntl.fcntl(held, fcntl.F_OFD_SETLK, struct.pack("hhlli", fcntl.F_WRLCK, 0, 0, 0, 0))
            upgrade = self.host.spawn("upgrade")
            self.assertIn("Waiting for another program", upgrade.stdout.readline())
        upgrade.communicate(timeout=300)
        self.assertEqual(upgrade.returncode, 0)
        self.assertEqual(self.versions(), ["2.0", "1.0"])


class Packages(HostTest):
    def setUp(self):
        super().setUp()
        self.release2 = self.publish(2)

    def test_db_reads_a_repository_without_the_daemon(self):
        repo = f"--repo={self.remote.repo}"
        text = self.host.atomic("db", "list", repo, "os/x86_64/stable").stdout
        self.assertIn(f"ostree commit: os/x86_64/stable ({self.release2})", text)
        self.assertIn(" older-1:1.9-1.x86_64\n", text)
        text = self.host.atomic("db", "list", repo, self.release1, "k*", "gone").stdout
        self.assertEqual(text.split()[-2:], ["gone-1.0-1.noarch", "kernel-6.1.0-1.x86_64"])
        text = self.host.atomic("db", "diff", repo, self.release1, self.release2).stdout
        self.assertIn("Changed:\n  bash 5.1-1 -> 5.2-1", text)
        text = self.host.atomic("db", "diff", "-F", "diff", repo, self.release1,
                                self.release2).stdout
        self.assertIn("!bash-5.1-1.x86_64\n=bash-5.2-1.x86_64\n", text)
        self.assertIn("-gone-1.0-1.noarch\n", text)
        parsed = json.loads(self.host.atomic("db", "diff", "--format=json", repo, self.release1,
                                             self.release2).stdout)
        self.assertEqual(parsed["ostree-commit-to"], self.release2)
        self.assertIn(["new", 0, {"NewPackage": ["new", "3.0-1", "noarch"]}], parsed["pkgdiff"])
        version = self.host.atomic("db", "version", repo, self.release1, self.release2).stdout
        self.assertEqual(version.count("rpmdbv is:"), 2)
        self.assertFails(self.host.atomic("db", "list", repo, "none", check=False), "'none'")
        self.assertFails(self.host.atomic("db", "list", "--repo=/nowhere", "x", check=False),
                         "/nowhere")

    def test_db_diff_of_the_deployments(self):
        self.host.atomic("upgrade")
        text = self.host.atomic("db", "diff", f"--sysroot={self.host.sysroot}").stdout
        self.assertIn("bash 5.1-1 -> 5.2-1", text)

    def test_a_commit_without_package_list_and_database(self):
        bare = self.remote.commit("3.0", timestamp="2024-03-01 00:00:00 +0000")
        self.host.atomic("upgrade")
        self.assertEqual(self.host.deployments()[0][1], bare)


class Space(HostTest):
    """/boot on a file system of its own, too small for another kernel."""

    def test_a_full_boot_is_found_before_anything_changes(self):
        boot = self.host.sysroot / "boot"
        saved = self.folder / "boot"
        boot.rename(saved)
        boot.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=256k", "none", boot)
        self.addCleanup(run, "umount", "-l", boot)
        run("cp", "-a", f"{saved}/.", boot)
        self.remote.write("usr/lib/modules/6.1.0/initramfs.img", os.urandom(1 << 20))
        self.publish(2)
        self.assertFails(self.host.atomic("upgrade", check=False), "need", "are free",
                         "atomic cleanup -r")
        self.assertEqual(len(self.host.deployments()), 1)
        self.host.fsck()
        # The same kernel needs no room there.
        self.remote.write("usr/lib/modules/6.1.0/initramfs.img", "initramfs")
        self.publish(3)
        self.host.atomic("upgrade")
        self.assertEqual(len(self.host.deployments()), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
