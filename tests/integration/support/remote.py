# SPDX-License-Identifier: LGPL-2.1-or-later
"""A repository that publishes small, but complete trees."""
import pathlib
import shutil

from .programs import output, run

BRANCH = "os/x86_64/stable"

DIRECTORIES = ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "usr/bin", "usr/etc",
               "usr/lib/modules/6.1.0", "var"]


class Remote:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.repo = self.folder / "repo"
        self.tree = self.folder / "tree"
        self.folder.mkdir(parents=True, exist_ok=True)
        run("ostree", "init", f"--repo={self.repo}", "--mode=archive")
        for name in DIRECTORIES:
            (self.tree / name).mkdir(parents=True)
        (self.tree / "ostree").symlink_to("sysroot/ostree")
        for name in ("home", "opt", "srv", "root"):
            (self.tree / name).symlink_to(f"var/{name}")
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.tree / name).symlink_to(f"usr/{name}")
        (self.tree / "usr/local").symlink_to("../var/usrlocal")
        self.write("usr/lib/modules/6.1.0/vmlinuz", "kernel")
        self.write("usr/lib/modules/6.1.0/initramfs.img", "initramfs")
        self.write("usr/lib/os-release", "NAME=Small\nID=small\nVERSION_ID=1\n")
        self.write("usr/etc/os.conf", "default = 1\n")
        self.write("usr/etc/kept.conf", "default = 1\n")
        self.write("usr/bin/tool", "#!/bin/sh\n")

    def write(self, path, content):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        file.write_bytes(content)

    def remove(self, path):
        file = self.tree / path
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    def commit(self, version, packages=(), branch=BRANCH, timestamp=None, sign=None, summary=True,
               metadata=()):
        """Publish the tree. Packages are "name epoch version release arch".
        @return the commit's checksum."""
        listed = ", ".join("(" + ", ".join(f"'{field}'" for field in package.split()) + ")"
                           for package in sorted(packages))
        command = ["ostree", "commit", f"--repo={self.repo}", f"--branch={branch}",
                   f"--tree=dir={self.tree}", "--owner-uid=0", "--owner-gid=0", "--no-xattrs",
                   f"--add-metadata-string=version={version}", "--add-metadata=ostree.bootable=true",
                   *metadata]
        if packages:
            command.append(f"--add-metadata=rpmostree.rpmdb.pkglist=[{listed}]")
        if timestamp:
            command.append(f"--timestamp={timestamp}")
        if sign:
            command += [f"--gpg-sign={sign.key}", f"--gpg-homedir={sign.home}"]
        commit = output(*command).strip()
        if summary:
            self.summary()
        return commit

    def delta(self, old, new, *options):
        command = ["ostree", "static-delta", "generate", f"--repo={self.repo}", f"--to={new}",
                   *options]
        command.append(f"--from={old}" if old else "--empty")
        run(*command)
        self.summary()

    def summary(self):
        run("ostree", "summary", f"--repo={self.repo}", "-u")

    def object(self, checksum, kind):
        return self.repo / "objects" / checksum[:2] / f"{checksum[2:]}.{kind}"
