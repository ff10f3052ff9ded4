#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Treefile keys that need more than one package, and what a person sees: bars, lines, summary, help, installation."""
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import unittest

from support.compose_case import ATOMIC, BUSYBOX, REF, SOURCE, ComposeCase


def service(uid="900", version="1"):
    return {"name": "svc", "version": version, "requires": ["busybox"],
            "scripts": {"pre": f"grep -q ^svc: /etc/passwd || {{ echo svc:x:{uid}:{uid}::/:/bin/false >>/etc/passwd; "
                               f"echo svc:x:{uid}: >>/etc/group; }}"}}


KERNEL = {"name": "kernel", "files": {"/boot/vmlinuz-6.1.0-test": "kernel image", "/boot/config-6.1.0-test": "CONFIG=y",
                                      "/boot/extra": "left", "/usr/lib/modules/6.1.0-test/modules.order": ""}}


class Accounts(ComposeCase):
    def test_a_user_that_disappears_is_refused_unless_ignored(self):
        self.yum(BUSYBOX, service())
        self.treefile(packages=["svc"])
        self.compose()
        previous = {"check_passwd": {"type": "previous"}, "check_groups": {"type": "previous"}, "preserve_passwd": False}
        self.refused("svc", "900", "ignore-removed-users", treefile=self.treefile(packages=["busybox"], **previous))
        self.refused("svc", "ignore-removed-groups",
                     treefile=self.treefile(packages=["busybox"], ignore_removed_users=["svc"], **previous))
        self.compose(treefile=self.treefile(packages=["busybox"], ignore_removed_users=["svc"], ignore_removed_groups=["*"], **previous))

    def test_a_number_that_changes_is_refused(self):
        self.yum(BUSYBOX, service())
        self.treefile(packages=["svc"])
        self.compose()
        self.yum(BUSYBOX, service("950", "2"))
        self.refused("svc", "900", "950", treefile=self.treefile(
            packages=["svc"], preserve_passwd=False, check_passwd={"type": "previous"}))

    def test_numbers_from_a_file_and_from_the_treefile(self):
        self.yum(BUSYBOX, service())
        (self.dir / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nsvc:x:901:900::/:/bin/false\n")
        self.refused("svc", "901", "900", treefile=self.treefile(packages=["svc"], check_passwd={"type": "file", "filename": "passwd"}))
        self.refused("svc", "902", treefile=self.treefile(packages=["svc"], check_groups={"type": "data", "entries": {"svc": 902}}))
        self.compose(treefile=self.treefile(packages=["svc"], check_groups={"type": "data", "entries": {"svc": 900}}))

    def test_accounts_are_split_where_altfiles_can_read_them(self):
        altfiles = {"name": "nss-altfiles", "files": {"/usr/lib64/libnss_altfiles.so.2": "module",
                                                      "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"}}
        self.yum(BUSYBOX, altfiles, service())
        self.treefile(packages=["svc", "nss-altfiles"], etc_group_members=["web"])
        self.compose()
        self.assertEqual(self.cat("/usr/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
        self.assertIn("svc:x:900:", self.cat("/usr/lib/passwd"))
        self.assertIn("web:x:33:", self.cat("/usr/etc/group"))
        self.assertNotIn("svc", self.cat("/usr/etc/group"))
        self.assertRegex(self.cat("/usr/etc/nsswitch.conf"), r"passwd: files altfiles\ngroup: files altfiles\nhosts: files dns\n")
        self.compose("--force-nocache")  # the numbers come back from both places
        self.assertIn("svc:x:900:", self.cat("/usr/lib/passwd"))


class Boot(ComposeCase):
    def test_the_kernel_moves_to_its_modules(self):
        self.yum(BUSYBOX, KERNEL)
        self.treefile(packages=["busybox", "kernel"], no_initramfs=True)
        self.compose()
        tree = self.ls()
        self.assertEqual(self.cat("/usr/lib/modules/6.1.0-test/vmlinuz"), "kernel image")
        self.assertIn("/usr/lib/modules/6.1.0-test/config", tree)
        self.assertEqual(self.cat("/usr/lib/ostree-boot/extra"), "left")
        self.assertEqual(self.metadata("ostree.linux"), "'6.1.0-test'")
        self.assertIsNone(self.metadata("ostree.bootable"))

    def test_boot_location_new_has_the_boot_checksum_in_the_name(self):
        self.yum(BUSYBOX, KERNEL)
        self.treefile(packages=["busybox", "kernel"], no_initramfs=True, boot_location="new")
        self.compose()
        names = [os.path.basename(p) for p in self.ls("/usr/lib/ostree-boot")]
        self.assertTrue([n for n in names if re.fullmatch(r"vmlinuz-6\.1\.0-test-[0-9a-f]{64}", n)], names)

    def test_an_initramfs_needs_dracut(self):
        self.yum(BUSYBOX, KERNEL)
        self.refused("dracut", "no-initramfs", treefile=self.treefile(packages=["busybox", "kernel"]))

    def test_two_kernels_are_refused_and_none_is_said(self):
        other = {"name": "kernel-other", "files": {"/usr/lib/modules/6.2.0/vmlinuz": "k"}}
        self.yum(BUSYBOX, KERNEL, other)
        self.refused("6.1.0-test", "6.2.0", treefile=self.treefile(packages=["busybox", "kernel", "kernel-other"], no_initramfs=True))
        self.assertIn("no kernel", self.compose(treefile=self.treefile()).err)


class Keys(ComposeCase):
    def test_variables_reach_ref_repositories_and_versions(self):
        self.yum(BUSYBOX, name="small-7")
        (self.dir / "small-7.repo").write_text(f"[small]\nname=x\nbaseurl=file://{self.dir}/small-$releasever\ngpgcheck=0\n")
        self.treefile(ref="os/${basearch}/${stream}", releasever="7", variables={"stream": "beta"})
        self.compose()
        self.assertEqual(list(self.refs()), ["os/x86_64/beta"])

    def test_includes_conditions_and_excludes(self):
        self.yum(BUSYBOX, {"name": "a", "recommends": ["weak"]}, {"name": "weak"}, {"name": "b"}, {"name": "c"})
        (self.dir / "base.yaml").write_text("packages: [a]\nconditional-include:\n  - if: full == true\n    include: more.yaml\n")
        (self.dir / "more.yaml").write_text("packages: [b]\narch-include:\n  x86_64: arch.yaml\n")
        (self.dir / "arch.yaml").write_text("packages-x86_64: [c]\npackages-s390x: [none]\n")
        def names(**keys):
            self.treefile(include="base.yaml", **keys)
            return [p["name"] for p in self.compose("--dry-run", "--json").json["packages"]]
        self.assertEqual(names(variables={"full": False}), ["a", "busybox", "weak"])
        self.assertEqual(names(variables={"full": True}, recommends=False), ["a", "b", "busybox", "c"])
        self.assertEqual(names(variables={"full": False}, exclude_packages=["weak"]), ["a", "busybox"])

    def test_languages(self):
        self.yum(BUSYBOX, {"name": "langs", "files": {"/usr/share/locale/de/x": {"content": "d", "lang": "de"},
                                                      "/usr/share/locale/fr/x": {"content": "f", "lang": "fr"}, "/usr/share/plain": "p"}})
        self.treefile(packages=["busybox", "langs"], install_langs=["de"])
        self.compose()
        tree = self.ls("/usr/share")
        self.assertIn("/usr/share/locale/de/x", tree)
        self.assertNotIn("/usr/share/locale/fr/x", tree)

    def test_a_script_that_fills_the_disk_is_not_blamed(self):
        small = self.dir / "small-disk"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        self.yum(BUSYBOX, {"name": "filler", "requires": ["busybox"],
                           "scripts": {"post": "dd if=/dev/zero of=/usr/lib/big bs=1M count=100"}})
        self.refused("No space left", options=[f"--workdir={small}"], treefile=self.treefile(packages=["filler"]))


class Appearance(ComposeCase):
    def test_plain_lines_without_a_terminal_and_a_summary(self):
        self.yum(BUSYBOX)
        self.treefile()
        result = self.compose()
        self.assertNotIn("\033", result.out + result.err)
        self.assertNotIn("\r", result.err)
        for word in ("Packages:", "Objects:", "Seconds:", "Commit:", REF):
            self.assertIn(word, result.out)
        self.assertIn("Importing packages", result.err)
        self.assertEqual(self.compose("-q", "--force-nocache").err.replace("notice: the tree has no kernel; the commit will not be bootable\n", ""), "")

    def test_a_bar_on_a_terminal(self):
        self.yum(BUSYBOX)
        self.treefile()
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(ATOMIC, [ATOMIC, *map(str, self.compose_args())])
        shown = b""
        while select.select([fd], [], [], 120)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, shown.decode())
        self.assertIn(b"\r\033[K", shown)
        self.assertIn(b"Importing packages [", shown)

    def test_help_and_man_page_name_every_option(self):
        text = self.run_atomic("compose", "tree", "--help").out
        page = subprocess.run([pathlib.Path(ATOMIC).parents[1] / "compose/atomic-compose", "--generate-man"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        options = set(re.findall(r"--[a-z][a-z-]+", text))
        self.assertIn("--write-composejson-to", options)
        for option in options:
            self.assertIn(option, page.replace("\\-", "-"))
        self.assertEqual(self.run_atomic("compose").status, 1)

    def test_installation_is_complete(self):
        target = self.dir / "root"
        build = pathlib.Path(ATOMIC).parents[2]
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", target], check=True, stdout=subprocess.DEVNULL)
        installed = {str(p.relative_to(target)) for p in target.rglob("*") if not p.is_dir()}
        def has(pattern):
            self.assertTrue([p for p in installed if re.fullmatch(pattern, p)], f"{pattern} is not installed")
        for pattern in (r".*/bin/atomic", r".*/bin/rpm-ostree", r".*/atomic-compose", r".*/atomicd", r".*/man1/atomic\.1", r".*/man1/atomic-compose\.1",
                        r".*/bash-completion/completions/atomic(\.bash)?", r".*/systemd/system/.*\.service", r".*/dbus-1/system\.d/.*\.conf",
                        r".*/dbus-1/system-services/.*\.service", r".*/polkit-1/actions/.*\.policy", r".*/atomic/treefiles/.*"):
            has(pattern)
        ran = subprocess.run([next(target.rglob("bin/atomic")), "--version"], stdout=subprocess.PIPE, text=True)
        self.assertIn("atomic", ran.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
