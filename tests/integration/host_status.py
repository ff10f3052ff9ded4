# SPDX-License-Identifier: LGPL-2.1-or-later
"""atomic status, and what the client does before it ever reaches a sysroot."""
import json
import os
import unittest

from support.host import HostTest, Host
from support.programs import ATOMIC, output, run


class Status(HostTest):
    def test_text_says_what_is_deployed(self):
        text = self.host.atomic("status").stdout
        self.assertIn("State: idle\n", text)
        self.assertIn("origin:os/x86_64/stable", text)
        self.assertIn("Version: 1.0 (2024-01-01T00:00:00Z)", text)
        self.assertIn(f"Commit: {self.release1}", text)
        self.assertNotIn("\033", text, "no colours where there is no terminal")
        verbose = self.host.atomic("status", "-v").stdout
        self.assertIn("StateRoot: small", verbose)
        self.assertIn("(index: 0)", verbose)

    def test_json_has_the_keys_that_scripts_read(self):
        status = self.host.status()
        self.assertIsNone(status["transaction"])
        self.assertIsNone(status["cached-update"])
        self.assertIsNone(status["update-driver"])
        [deployment] = status["deployments"]
        self.assertEqual(deployment["id"], f"small-{self.release1}.0")
        for key, value in {"osname": "small", "serial": 0, "checksum": self.release1,
                           "version": "1.0", "timestamp": 1704067200, "booted": False,
                           "staged": False, "pinned": False, "unlocked": "none",
                           "origin": "origin:os/x86_64/stable", "gpg-enabled": False,
                           "base-checksum": self.release1, "packages": [],
                           "requested-packages": []}.items():
            self.assertEqual(deployment[key], value, key)
        self.assertEqual(deployment["base-commit-meta"]["version"], "1.0")
        self.assertNotIn("rpmostree.rpmdb.pkglist", deployment["base-commit-meta"])

    def test_jsonpath_selects(self):
        found = self.host.atomic("status", "-J", "$.deployments[*].version").stdout
        self.assertEqual(json.loads(found), ["1.0"])
        self.assertFails(self.host.atomic("status", "--jsonpath", "[", check=False), "jsonpath")

    def test_booted_only_where_something_is_booted(self):
        self.assertFails(self.host.atomic("status", "--booted", check=False), "not booted")
        self.assertEqual(self.host.atomic("status", "--pending-exit-77").returncode, 0)

    def test_changes_by_other_tools_are_seen(self):
        self.publish(2)
        self.host.ostree("pull", "origin", "os/x86_64/stable")
        self.host.admin("deploy", "--os=small", "origin:os/x86_64/stable")
        self.host.atomic("reload")
        self.assertEqual([d["version"] for d in self.host.status()["deployments"]],
                         ["2.0", "1.0"])
        self.host.admin("undeploy", "1")
        self.host.atomic("reload")
        self.assertEqual([d["version"] for d in self.host.status()["deployments"]], ["2.0"])

    def test_two_stateroots(self):
        self.publish(2)
        self.host.install("other-os", self.server.url)
        self.host.atomic("reload")
        names = [d["osname"] for d in self.host.status()["deployments"]]
        self.assertEqual(sorted(names), ["other-os", "small"])
        # Nothing is booted, so nothing says which one is meant.
        self.assertFails(self.host.atomic("upgrade", check=False), "--stateroot", "other-os, small")
        self.host.atomic("upgrade", "--os=small")
        versions = [(d["osname"], d["version"]) for d in self.host.status()["deployments"]]
        self.assertEqual(sorted(versions), [("other-os", "2.0"), ("small", "1.0"), ("small", "2.0")])
        self.assertFails(self.host.atomic("upgrade", "--os=smal", check=False),
                         "no stateroot 'smal'", "small")

    def test_another_sysroot_gets_a_daemon_of_its_own(self):
        other = Host(self.folder / "second", self.bus)
        other.install("another", self.server.url)
        text = run(ATOMIC, f"--sysroot={other.sysroot}", "status", "--json", env=other.env).stdout
        self.assertEqual([d["osname"] for d in json.loads(text)["deployments"]], ["another"])
        self.publish(2)
        run(ATOMIC, "upgrade", f"--sysroot={other.sysroot}", env=other.env)
        self.assertEqual(len(other.deployments()), 2)
        self.assertEqual(len(self.host.deployments()), 1)
        # Also without any system bus: the way in when all else is broken.
        env = {**other.env, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder}/none"}
        run(ATOMIC, "rollback", f"--sysroot={other.sysroot}", env=env)
        result = run(ATOMIC, "status", env=env, check=False)
        self.assertFails(result, "no system bus", "--sysroot=/")

    def test_a_reboot_never_goes_to_another_sysroot(self):
        folder = self.host.sysroot
        for command in (["upgrade", "--reboot"], ["rollback", "-r"], ["deploy", "2.0", "-r"],
                        ["rebase", "-r", "origin:x"], ["kargs", "--append=x", "--reboot"]):
            result = self.host.atomic(f"--sysroot={folder}", *command, check=False)
            self.assertFails(result, "--reboot does not go with --sysroot")
        # The daemon does not trust its client in this.
        result = self.host.atomic("rollback", "--reboot", check=False)
        self.assertFails(result, "nothing to reboot")

    def test_folders_that_are_no_sysroot(self):
        empty = self.folder / "empty"
        empty.mkdir()
        result = run(ATOMIC, f"--sysroot={empty}", "status", env=self.host.env, check=False)
        self.assertFails(result, str(empty), "ostree admin init-fs")
        result = run(ATOMIC, f"--sysroot={empty}/none", "status", env=self.host.env, check=False)
        self.assertFails(result, "no folder")

    def test_a_corrupt_origin_is_named_and_survived(self):
        origin = self.host.deployment_path().with_name(f"{self.release1}.0.origin")
        good = origin.read_text()
        origin.write_text("not a key file\xff")
        self.assertFails(self.host.atomic("reload", check=False), "Opening the sysroot")
        self.assertFails(self.host.atomic("status", check=False), "Opening the sysroot")
        origin.write_text(good)
        self.host.atomic("reload", check=False)
        self.assertEqual(len(self.host.status()["deployments"]), 1)

    def test_a_lost_commit_is_shown_with_its_error(self):
        path = self.host.repo / "objects" / self.release1[:2] / f"{self.release1[2:]}.commit"
        path.unlink()
        self.host.atomic("reload")
        self.host.stop()
        self.host.start()
        self.assertIn("Error: ", self.host.atomic("status").stdout)


class Client(HostTest):
    def test_the_other_name_takes_the_same_commands(self):
        link = self.folder / "rpm-ostree"
        link.symlink_to(ATOMIC)
        self.assertIn("State: idle", output(link, "status", env=self.host.env))
        self.assertTrue(output(link, "--version").startswith("rpm-ostree:\n Version: '"))
        self.assertIn("State: idle", self.host.atomic("host", "status").stdout)
        self.publish(2)
        text = output(link, "upgrade", env=self.host.env)
        for heading in ("Upgraded:", "Downgraded:", "Removed:", "Added:"):
            self.assertIn(heading, text)
        self.assertIn("No upgrade available.", output(link, "upgrade", env=self.host.env))

    def test_mistakes_on_the_command_line(self):
        for words, parts in {
            ("statsu",): ["Unknown command 'statsu'", "status"],
            ("status", "--jsn"): ["--jsn", "--json"],
            ("status", "--json=x"): ["takes no value"],
            ("status", "extra"): ["Unexpected argument extra"],
            ("deploy",): ["REVISION is missing"],
            ("kargs", "--append"): ["needs a value"],
            ("cleanup",): ["--pending"],
            ("rebase",): ["REFSPEC"],
            ("db", "dif"): ["Unknown db command 'dif'", "diff"],
            ("pin", "7"): ["'7'"],
            ("pin", "-1"): ["-1"],
        }.items():
            with self.subTest(words=words):
                self.assertFails(self.host.atomic(*words, check=False), *parts)
        result = self.host.atomic("deploy", os.fsdecode(b"\xff\xfe"), check=False)
        self.assertFails(result, "not valid UTF-8")

    def test_every_option_is_in_help_man_page_and_completion(self):
        man = output(ATOMIC, "--generate-man").replace("\\-", "-")
        completion = output(ATOMIC, "--generate-completion")
        run("bash", "-n", stdin=completion)
        commands = [line.split("  ")[1] for line in
                    output(ATOMIC, "--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()]
        self.assertIn("upgrade", commands)
        for command in commands:
            if command == "compose":
                continue
            text = output(ATOMIC, *command.split(), "--help")
            for word in text.split():
                if word.startswith("--"):
                    option = word.split("=")[0].rstrip(",.")
                    self.assertIn(option, man, command)
                    self.assertIn(option, completion, command)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            import subprocess
            result = subprocess.run([ATOMIC, "--help"], stdout=full, stderr=subprocess.PIPE,
                                    text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("error: ", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
