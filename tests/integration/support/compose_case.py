# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scaffolding of the compose tests: small real repositories, a treefile, the program run as a user runs it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE / "tests/support"))
import smallrepo  # noqa: E402

ATOMIC = os.environ["ATOMIC"]
REF = "test/1/x86_64/base"

# A tree in which scripts can run: one static program with its usual names.
APPLETS = ["sh", "cat", "chmod", "chown", "cp", "echo", "env", "ls", "ln", "mkdir", "mv", "rm", "sleep", "touch", "wc",
           "id", "grep", "sed", "true", "false", "head", "dd", "setsid", "ping", "wget", "test", "kill"]
BUSYBOX = {
    "name": "busybox", "arch": "x86_64", "provides": ["/bin/sh"],
    "files": {"/usr/bin/busybox": {"source": "/bin/busybox", "mode": "0755"},
              **{f"/usr/bin/{name}": {"type": "link", "target": "busybox"} for name in APPLETS},
              "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/false\n",
              "/etc/group": "root:x:0:\nweb:x:33:\n"},
}


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"exit status {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class ComposeCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="atomic-compose-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.repo = self.dir / "repo"
        self.cache = self.dir / "cache"
        self.init_repo("bare-user")

    def init_repo(self, mode):
        shutil.rmtree(self.repo, ignore_errors=True)
        subprocess.run(["ostree", "init", f"--repo={self.repo}", f"--mode={mode}"], check=True)

    def yum(self, *packages, name="small", gpgcheck=False, **options):
        """Make a repository of PACKAGES and the .repo file beside the treefile."""
        smallrepo.make_repo(str(self.dir / name), {"packages": list(packages), **options})
        self.repo_file(name, gpgcheck=gpgcheck)

    def repo_file(self, name="small", gpgcheck=False, repo_gpgcheck=False, gpgkey=None, baseurl=None, extra=""):
        lines = [f"[{name}]", f"name={name}", f"baseurl={baseurl or f'file://{self.dir}/{name}'}",
                 f"gpgcheck={int(gpgcheck)}", f"repo_gpgcheck={int(repo_gpgcheck)}", extra]
        if gpgkey:
            lines.append(f"gpgkey=file://{os.path.join(smallrepo.key_home(gpgkey), 'public.asc')}")
        (self.dir / f"{name}.repo").write_text("\n".join(lines) + "\n")

    def treefile(self, name="tree.json", **keys):
        base = {"ref": REF, "repos": ["small"], "selinux": False, "packages": ["busybox"], "boot-location": "modules",
                "check-passwd": {"type": "none"}, "check-groups": {"type": "none"}}
        base.update({key.replace("_", "-"): value for key, value in keys.items()})
        path = self.dir / name
        path.write_text(json.dumps({k: v for k, v in base.items() if v is not None}, indent=1))
        return path

    def run_atomic(self, *args, env=None, **kwargs):
        return Result(subprocess.run([ATOMIC, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, timeout=300, **kwargs))

    def compose_args(self, *options, treefile=None):
        return ["compose", "tree", f"--repo={self.repo}", f"--cachedir={self.cache}", *options, treefile or self.dir / "tree.json"]

    def compose(self, *options, treefile=None, env=None, **kwargs):
        result = self.run_atomic(*self.compose_args(*options, treefile=treefile), env=env, **kwargs)
        self.assertEqual(result.status, 0, str(result))
        return result

    def refused(self, *needles, options=(), treefile=None, status=1, env=None):
        """The compose fails with one clear error that holds all NEEDLES; nothing is changed."""
        before = self.refs()
        result = self.run_atomic(*self.compose_args(*options, treefile=treefile), env=env)
        self.assertEqual(result.status, status, str(result))
        errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, str(result))
        for needle in needles:
            self.assertIn(needle, result.err)
        self.assertEqual(self.refs(), before)
        self.assert_repo_clean()
        return result

    def assert_repo_clean(self):
        subprocess.run(["ostree", "fsck", "-q", f"--repo={self.repo}"], check=True, stdout=subprocess.DEVNULL)
        litter = [p.name for p in (self.repo / "tmp").iterdir() if p.name.startswith("staging-")]
        self.assertEqual(litter, [])

    def refs(self):
        """ref -> checksum"""
        heads = self.repo / "refs/heads"
        return {str(p.relative_to(heads)): p.read_text().strip() for p in heads.rglob("*") if p.is_file()}

    def ostree(self, *args):
        done = subprocess.run(["ostree", f"--repo={self.repo}", *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def head(self):
        return self.ostree("rev-parse", REF).strip()

    def cat(self, path, rev=REF):
        return self.ostree("cat", rev, path)

    def ls(self, path="/", rev=REF):
        """path -> (type and mode, uid, gid, size, link target)"""
        entries = {}
        for line in self.ostree("ls", "-R", rev, path).splitlines():
            fields = line.split(None, 4)
            name, _, target = fields[4].partition(" -> ")
            entries[name] = (fields[0], int(fields[1]), int(fields[2]), int(fields[3]), target)
        return entries

    def metadata(self, key, rev=REF):
        done = subprocess.run(["ostree", f"--repo={self.repo}", "show", f"--print-metadata-key={key}", rev], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout.strip() if done.returncode == 0 else None
