# SPDX-License-Identifier: LGPL-2.1-or-later
"""atomic kargs: every way to change the kernel's arguments, and what is refused."""
import unittest

from support.host import HostTest


class KernelArguments(HostTest):
    def kargs(self, *options, **kwargs):
        return self.host.atomic("kargs", *options, **kwargs)

    def current(self):
        words = self.kargs().stdout.split()
        return [w for w in words if not w.startswith("ostree=")]

    def boot_entry(self):
        """As the boot loader will read it."""
        entries = sorted((self.host.sysroot / "boot/loader/entries").iterdir())
        [line] = [line for line in entries[-1].read_text().splitlines()
                  if line.startswith("options ")]
        return [w for w in line.split()[1:] if not w.startswith("ostree=")]

    def test_changes_reach_the_boot_entry(self):
        self.assertEqual(self.current(), ["root=LABEL=root", "quiet"])
        text = self.kargs("--append=a=1", "--append", "b", "--delete=quiet").stdout
        self.assertIn("Kernel arguments updated.", text)
        self.assertEqual(self.current(), ["root=LABEL=root", "a=1", "b"])
        self.assertEqual(self.boot_entry(), ["root=LABEL=root", "a=1", "b"])
        self.kargs("--replace=a=1=2")
        self.assertEqual(self.current(), ["root=LABEL=root", "a=2", "b"])
        self.kargs("--replace=root=/dev/vda1")
        self.assertEqual(self.current(), ["root=/dev/vda1", "a=2", "b"])
        # The commit stays, the deployment is a new one.
        self.assertEqual({c for _, c, _ in self.host.deployments()}, {self.release1})

    def test_appending_what_is_there_changes_nothing(self):
        result = self.kargs("--append-if-missing=quiet", "--delete-if-present=nothing",
                            "--unchanged-exit-77", check=False)
        self.assertEqual(result.returncode, 77)
        self.assertIn("No changes.", result.stdout)
        self.assertEqual(len(self.host.deployments()), 1)
        self.kargs("--append-if-missing=debug", "--delete-if-present=quiet")
        self.assertEqual(self.current(), ["root=LABEL=root", "debug"])

    def test_an_upgrade_keeps_them(self):
        self.kargs("--append=mine=1")
        self.publish(2)
        self.host.atomic("upgrade")
        self.assertIn("mine=1", self.boot_entry())
        older = self.kargs("--deploy-index=1").stdout.split()
        self.assertIn("mine=1", older)

    def test_editor(self):
        editor = self.folder / "editor"
        editor.write_text('#!/bin/sh\nsed -i "s/quiet/loud verbose/" "$1"\n')
        editor.chmod(0o755)
        self.kargs("--editor", env={"EDITOR": str(editor), "VISUAL": ""})
        self.assertEqual(self.current(), ["root=LABEL=root", "loud", "verbose"])
        result = self.kargs("--editor", env={"EDITOR": "false", "VISUAL": ""}, check=False)
        self.assertFails(result, "editor 'false' failed")
        self.assertIn("No changes.", self.kargs("--editor", env={"EDITOR": "true"}).stdout)

    def test_what_is_refused(self):
        before = self.host.deployments()
        for option, part in {"--append=a\nb=c": "not one word", "--append=": "empty",
                             "--append=x y": "not one word", "--append=a\x01": "not one word",
                             "--delete=nothing": "nothing", "--replace=nothing=1": "nothing",
                             "--deploy-index=5": "'5'", "--deploy-index=x": "'x'"}.items():
            with self.subTest(option=option):
                self.assertFails(self.kargs(option, check=False), part)
        self.assertEqual(self.host.deployments(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
