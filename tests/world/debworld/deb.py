"""Reading a .deb: its control data, and its files one after the other."""

import hashlib
import io
import subprocess
import tarfile

from . import WorldError
from .run import run


def parse_control(text):
    """Fields of one control paragraph; continuation lines keep their newline."""
    fields = {}
    key = None
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            fields[key] += "\n" + line
        elif ":" in line:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Deb:
    """A .deb file: `control` (fields), `scripts` (control members by name), `conffiles`."""

    def __init__(self, path):
        self.path = path
        done = subprocess.run(["dpkg-deb", "--ctrl-tarfile", path], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise WorldError(f"{path}: dpkg-deb: {done.stderr.decode(errors='replace').strip()}; "
                             "delete the file and run again")
        self.scripts = {}
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            for member in tar:
                if member.isfile():
                    self.scripts[member.name.removeprefix("./")] = tar.extractfile(member).read().decode(
                        "utf-8", "replace")
        self.control = parse_control(self.scripts["control"])
        self.conffiles = {line.split()[-1] for line in self.scripts.get("conffiles", "").splitlines()
                          if line.strip() and not line.startswith("remove-on-upgrade")}

    @property
    def name(self):
        return self.control["Package"]

    def members(self):
        """Yield (tarinfo, file object or None) in archive order."""
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", self.path], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    yield member, tar.extractfile(member) if member.isfile() else None
            process.stdout.read()
        if process.returncode != 0:
            raise WorldError(f"{self.path}: dpkg-deb: exit {process.returncode}; delete the file and run again")


def unpack(debs, root):
    """Unpack .debs into a plain root directory, to run their programs there."""
    for path in debs:
        run(["dpkg-deb", "-x", path, root], f"unpacking {path}")
