#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The compose of a real distribution, judged by the stock tools and by all of its RPM headers."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402

ATOMIC = os.environ["ATOMIC"]
WORLD = pathlib.Path(os.environ.get("ATOMIC_WORLD", "/var/cache/atomic-world"))
REF = "debian/12/x86_64/world"
EPOCH = "1700000000"

# Package files that scripts of the world's packages rewrite; everything else must be as packaged.
CHANGED_BY_SCRIPTS = set()


def run(*argv, check=True, **kwargs):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


class World(unittest.TestCase):
    """One cold compose of release 1 serves all tests."""

    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="atomic-world-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.repo, cls.cache = cls.dir / "repo", cls.dir / "cache"
        run("ostree", "init", f"--repo={cls.repo}", "--mode=bare-user")
        cls.first = cls.compose(cls.repo, cls.cache, "r1")

    @staticmethod
    def compose(repo, cache, release, *options, env=None, **kwargs):
        done = run(ATOMIC, "compose", "tree", "--json", f"--repo={repo}", f"--cachedir={cache}", *options,
                   WORLD / release / "compose/world.yaml", env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **(env or {})}, **kwargs)
        return json.loads(done.stdout)

    def packages(self, release, facts):
        """The .rpm files of the commit."""
        done = run("ostree", f"--repo={self.repo}", "show", "--print-metadata-key=rpmostree.rpmdb.pkglist", facts["ostree-commit"])
        wanted = {f"{n}-{v}-{r}.{a}" for n, _, v, r, a in re.findall(r"\('([^']*)', '([^']*)', '([^']*)', '([^']*)', '([^']*)'\)", done.stdout)}
        found = {}
        listing = run("rpm", "-qp", "--nosignature", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\n",
                      *sorted((WORLD / release / "repo").rglob("*.rpm"))).stdout.split()
        for name, path in zip(listing, sorted((WORLD / release / "repo").rglob("*.rpm"))):
            if name in wanted:
                found[name] = str(path)
        self.assertEqual(set(found), wanted)
        return [found[name] for name in sorted(found)]

    def checkout(self, rev, name):
        target = self.dir / name
        run("ostree", f"--repo={self.repo}", "checkout", "-U", "-H", rev, target)
        self.addCleanup(shutil.rmtree, target, ignore_errors=True)
        return target

    def test_stock_ostree_accepts_every_object(self):
        run("ostree", "fsck", "-q", f"--repo={self.repo}")
        unlabelled = [line for line in run("ostree", "ls", "-R", "-X", f"--repo={self.repo}", REF).stdout.splitlines()
                      if "security.selinux" not in line]
        self.assertEqual(unlabelled[:10], [])

    def test_labels_follow_the_tree_s_own_policy(self):
        def label(path):
            line = run("ostree", "ls", "-X", "-d", f"--repo={self.repo}", REF, path).stdout
            return re.search(r"b'security.selinux', (?:b'([^']*)'|\[byte ([^\]]*)\])", line)
        for path, kind in (("/usr/etc/shadow", "shadow_t"), ("/usr/bin/bash", "shell_exec_t"), ("/usr/sbin/sshd", "sshd_exec_t"),
                           ("/usr/etc/passwd", "etc_t"), ("/usr/lib/systemd/systemd", "init_exec_t")):
            found = label(path)
            self.assertTrue(found, path)
            text = found[1] if found[1] else bytes(int(b, 16) for b in found[2].split(", ")).decode()
            self.assertIn(kind, text, path)

    def test_every_packaged_file_is_there_as_its_header_says(self):
        checkout = self.checkout(self.first["ostree-commit"], "compare")
        seen, differences = compare.compare(self.repo, self.first["ostree-commit"], self.packages("r1", self.first), str(checkout),
                                            CHANGED_BY_SCRIPTS)
        print(f"{seen} entries of {self.first['packages']} packages compared", file=sys.stderr)
        self.assertGreater(seen, 15000)
        self.assertEqual(differences[:40], [], f"{len(differences)} differences")

    def test_stock_rpm_lists_the_packages(self):
        checkout = self.checkout(self.first["ostree-commit"], "rpmdb")
        listed = run("rpm", "-qa", "--dbpath", checkout / "usr/share/rpm").stdout.split()
        self.assertEqual(len(listed), self.first["packages"])

    def test_the_commit_is_bootable(self):
        kver = run("ostree", f"--repo={self.repo}", "show", "--print-metadata-key=ostree.linux", REF).stdout.strip().strip("'")
        modules = run("ostree", "ls", f"--repo={self.repo}", REF, f"/usr/lib/modules/{kver}").stdout
        for name in ("vmlinuz", "initramfs.img", "modules.dep"):
            self.assertIn(f"/{name}", modules)
        self.assertEqual(run("ostree", f"--repo={self.repo}", "show", "--print-metadata-key=ostree.bootable", REF).stdout.strip(), "true")
        image = self.dir / "initramfs.img"
        image.write_bytes(subprocess.run(["ostree", "cat", f"--repo={self.repo}", REF, f"/usr/lib/modules/{kver}/initramfs.img"],
                                         check=True, stdout=subprocess.PIPE).stdout)
        self.assertGreater(image.stat().st_size, 5_000_000)

    def test_the_same_checksum_in_another_place_mode_and_manner(self):
        """Cold, one thread, another umask, archive instead of bare-user, other directories."""
        repo, cache = self.dir / "other/archive", self.dir / "other/cache"
        repo.parent.mkdir()
        run("ostree", "init", f"--repo={repo}", "--mode=archive")
        facts = self.compose(repo, cache, "r1", "--threads=1", umask=0o077, cwd="/")
        if facts["ostree-commit"] != self.first["ostree-commit"]:
            run("ostree", "pull-local", f"--repo={self.repo}", repo, facts["ostree-commit"])
            self.fail("other files:\n" + run("ostree", f"--repo={self.repo}", "diff", self.first["ostree-commit"], facts["ostree-commit"]).stdout[:4000])
        run("ostree", "fsck", "-q", f"--repo={repo}")

    def test_a_warm_cache_gives_the_same_checksum_and_runs_nothing(self):
        repo = self.dir / "warm"
        run("cp", "-al", self.repo, repo)
        shutil.rmtree(repo / "refs/heads")
        (repo / "refs/heads").mkdir()
        facts = self.compose(repo, self.cache, "r1")
        self.assertEqual(facts["ostree-commit"], self.first["ostree-commit"])
        self.assertEqual(facts["packages-imported"], 0)
        self.assertEqual([p["name"] for p in facts["programs"] if not p["replayed"]], [])

    def test_release_2_costs_what_changed_and_deploys(self):
        second = self.compose(self.repo, self.cache, "r2")
        changed = json.loads((WORLD / "info.json").read_text())
        self.assertTrue(changed)
        self.assertLess(second["packages-imported"], second["packages"] / 2)
        self.assertGreater(second["packages-imported"], 0)
        sysroot = self.dir / "sysroot"
        sysroot.mkdir()
        run("ostree", "admin", "init-fs", "--modern", sysroot)
        run("ostree", "admin", "os-init", f"--sysroot={sysroot}", "debian")
        self.addCleanup(run, "chattr", "-R", "-i", sysroot / "ostree/deploy", check=False)
        for rev in (self.first["ostree-commit"], second["ostree-commit"]):
            run("ostree", "pull-local", f"--repo={sysroot}/ostree/repo", self.repo, rev)
            run("ostree", "admin", "deploy", f"--sysroot={sysroot}", "--os=debian", "--karg=root=LABEL=root", rev)
        status = run("ostree", "admin", "status", f"--sysroot={sysroot}").stdout
        self.assertIn(self.first["ostree-commit"][:10], status)
        self.assertIn(second["ostree-commit"][:10], status)
        shadow = sysroot / f"ostree/deploy/debian/deploy/{second['ostree-commit']}.0/etc/shadow"
        self.assertEqual(os.getxattr(shadow, "security.selinux").rstrip(b"\0").split(b":")[2], b"shadow_t")
        self.assertEqual(shadow.stat().st_mode & 0o777, 0o640)


if __name__ == "__main__":
    unittest.main(verbosity=2)
