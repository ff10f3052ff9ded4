"""The files and scripts of one RPM, gathered in a build root from a .deb, before a recipe and rpmbuild see them."""

import os
import posixpath
import re
import shutil
import stat

from . import WorldError
from .filesystem import DIRECTORIES, LINKS
from .mapping import ARCHITECTURES, Relations, rpm_name, split_version

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
LOCALE = re.compile(r"/usr/share/(?:locale|man)/([a-z]{2,3}(?:_[A-Z]{2})?)(?:[.@][^/]*)?/")
SCRIPTS = ("pre", "post", "preun", "postun", "posttrans")


def merged(path):
    """Where a path of a .deb lives after the merge of /bin, /sbin and /lib* into /usr."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return "/usr" + path if path.split("/")[1] in MERGED else path


class Entry:
    """One path of the package: what %files says about it. `kind` is dir, file or link."""

    def __init__(self, kind, mode, user="root", group="root", target="", mtime=0):
        self.kind = kind
        self.mode = mode
        self.user = user
        self.group = group
        self.target = target
        self.mtime = mtime
        self.config = False
        self.ghost = False
        self.caps = ""
        self.unverified = ""


class Package:
    """A package on its way to become an RPM; recipes change it through these methods."""

    def __init__(self, root, name, version, release, epoch="0", arch="noarch", mtime=0):
        self.root = root
        self.name = name
        self.epoch, self.version, self.release, self.arch = epoch, version, release, arch
        self.mtime = mtime  # of what recipes add; also the build time, so that builds are repeatable
        self.summary = name
        self.description = name
        self.license = "GPL-2.0-or-later"
        self.url = ""
        self.packager = ""
        self.changelog = ""
        self.entries = {}
        self.tags = {tag: [] for tag in ("Requires", "Requires(pre)", "Requires(post)", "Requires(posttrans)",
                                         "Provides", "Conflicts", "Obsoletes", "Recommends", "Suggests", "Enhances")}
        self.scripts = {}
        self.triggers = []  # (kind and options, paths, body)
        os.makedirs(root, mode=0o755)

    # what recipes use

    def path(self, path):
        return self.root + path

    def add_dir(self, path, mode=0o755, user="root", group="root"):
        self._parents(path)
        os.makedirs(self.path(path), mode=0o755, exist_ok=True)
        self.entries[path] = Entry("dir", mode, user, group, mtime=self.mtime)

    def add_file(self, path, content, mode=0o644, user="root", group="root", config=False, mtime=None):
        """`content` is text, bytes, or an open binary file."""
        self._parents(path)
        self.discard(path)
        with open(self.path(path), "wb") as file:
            if hasattr(content, "read"):
                shutil.copyfileobj(content, file, 1 << 20)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
        self._stamp(path, mtime)
        entry = self.entries[path] = Entry("file", mode, user, group, mtime=mtime or self.mtime)
        entry.config = config
        return entry

    def add_link(self, path, target, mtime=None):
        self._parents(path)
        self.discard(path)
        os.symlink(target, self.path(path))
        self._stamp(path, mtime)
        self.entries[path] = Entry("link", 0o777, target=target, mtime=mtime or self.mtime)

    def add_hard_link(self, path, first):
        """Another name of a file that the package already has."""
        self._parents(path)
        os.link(self.path(first), self.path(path))
        self.entries[path] = self.entries[first]

    def add_ghost(self, path, mode=0o644, user="root", group="root"):
        """A file that the package owns but does not bring."""
        self._parents(path)
        self.entries[path] = Entry("file", mode, user, group)
        self.entries[path].ghost = True

    def move(self, old, new):
        self._parents(new)
        os.rename(self.path(old), self.path(new))
        self.entries[new] = self.entries.pop(old)

    def copy(self, old, new, **kwargs):
        return self.add_file(new, self.read(old), **kwargs)

    def read(self, path):
        with open(self.path(path), "rb") as file:
            return file.read()

    def own(self, path, mode=None, user=None, group=None, caps=""):
        """What dpkg-statoverride, chown and setcap did in a maintainer script."""
        if path not in self.entries:
            raise WorldError(f"{self.name}: recipe: it has no {path}")
        entry = self.entries[path]
        entry.mode = entry.mode if mode is None else mode
        entry.user = user or entry.user
        entry.group = group or entry.group
        entry.caps = caps

    def disown(self, path):
        """Leave a directory to another package; what is in it stays."""
        del self.entries[path]

    def discard(self, path):
        """Remove a file or link, or a directory with all that is in it."""
        for inside in [p for p in self.entries if p == path or p.startswith(path + "/")]:
            del self.entries[inside]
        if os.path.isdir(self.path(path)) and not os.path.islink(self.path(path)):
            shutil.rmtree(self.path(path))
        elif os.path.lexists(self.path(path)):
            os.unlink(self.path(path))

    def script(self, which, body, needs=()):
        """Append to a scriptlet; `needs` are packages whose programs it runs."""
        assert which in SCRIPTS
        self.scripts[which] = self.scripts.get(which, "") + body.strip("\n") + "\n"
        if needs:
            self.tags[f"Requires({which})"] += needs

    def trigger(self, kind, paths, body):
        self.triggers.append((kind, paths, body.strip("\n")))

    # inside

    def _parents(self, path):
        missing = []
        parent = posixpath.dirname(path)
        while parent != "/" and parent not in self.entries and parent not in DIRECTORIES and parent not in LINKS:
            missing.append(parent)
            parent = posixpath.dirname(parent)
        for parent in reversed(missing):
            self.entries[parent] = Entry("dir", 0o755, mtime=self.mtime)
        os.makedirs(self.path(posixpath.dirname(path)), mode=0o755, exist_ok=True)

    def _stamp(self, path, mtime):
        mtime = self.mtime if mtime is None else mtime
        os.utime(self.path(path), (mtime, mtime), follow_symlinks=False)


def from_deb(deb, root, world):
    """A Package with the files of a .deb, at their places after the /usr merge."""
    control = deb.control
    epoch, version, release = split_version(control["Version"])
    package = Package(root, rpm_name(deb.name), version, release, epoch, ARCHITECTURES[control["Architecture"]])
    short, _, long = control["Description"].partition("\n")
    package.summary = short.strip()
    package.description = "\n".join(
        "" if line.strip() == "." else line[1:] for line in long.splitlines()) or package.summary
    package.url = control.get("Homepage", "")
    package.packager = control.get("Maintainer", "")
    relations = Relations(control, world.real, world.unversioned)
    for tag in ("Requires", "Provides", "Conflicts", "Obsoletes", "Recommends", "Suggests", "Enhances"):
        package.tags[tag] += getattr(relations, tag.lower())
    conffiles = {merged(path) for path in deb.conffiles}
    for member, content in deb.members():
        package.mtime = max(package.mtime, int(member.mtime))
        _take(package, member, content, conffiles)
    for path, entry in package.entries.items():  # after their contents, which change directories' times
        if entry.kind == "dir":
            os.utime(package.path(path), (entry.mtime, entry.mtime))
    return package


def _take(package, member, content, conffiles):
    old = posixpath.normpath("/" + member.name)
    path = merged(old)
    if path in DIRECTORIES or path in LINKS or path == "/":
        return
    if member.isdir():
        package.add_dir(path, member.mode, member.uname, member.gname)
        package.entries[path].mtime = int(member.mtime)
        return
    if old.startswith(("/bin/", "/sbin/")):
        package.tags["Provides"].append(old)
    if member.issym():
        points_at = merged(posixpath.join(posixpath.dirname(old), member.linkname))
        if points_at == path:  # /bin/x -> /usr/bin/x, which are one after the merge
            return
        package.add_link(path, member.linkname, int(member.mtime))
    elif member.islnk():
        package.add_hard_link(path, merged(member.linkname))
    elif member.isfile():
        package.add_file(path, content, stat.S_IMODE(member.mode), member.uname, member.gname,
                         mtime=int(member.mtime))
        package.entries[path].config = path in conffiles
    else:
        raise WorldError(f"{package.name}: {old} is neither file, directory nor link")
