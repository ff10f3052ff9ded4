"""From a filled build root to an RPM, by rpmbuild; and the proof that the RPM says what was meant."""

import os
import posixpath
import re

from . import WorldError
from .package import LOCALE, SCRIPTS
from .run import run


def escaped(text):
    return text.replace("%", "%%")


def spec_text(package):
    lines = [f"Name: {package.name}", f"Version: {package.version}", f"Release: {package.release}"]
    if package.epoch != "0":
        lines.append(f"Epoch: {package.epoch}")
    lines += [f"Summary: {escaped(package.summary)}", f"License: {escaped(package.license)}"]
    if package.url:
        lines.append(f"URL: {escaped(package.url)}")
    if package.packager:
        lines.append(f"Packager: {escaped(package.packager)}")
    if package.arch == "noarch":
        lines.append("BuildArch: noarch")
    lines.append("AutoReqProv: no")
    for tag, values in package.tags.items():
        lines += [f"{tag}: {escaped(value)}" for value in dict.fromkeys(values)]
    lines += ["", "%description", escaped(package.description)]
    for which in SCRIPTS:
        if which in package.scripts:
            lines += ["", f"%{which}", escaped(package.scripts[which])]
    for kind, paths, body in package.triggers:
        lines += ["", f"%{kind} -- {' '.join(paths)}", escaped(body)]
    lines += ["", "%files"]
    lines += [_file_line(path, entry) for path, entry in sorted(package.entries.items())]
    if package.changelog:
        lines += ["", "%changelog", escaped(package.changelog)]
    return "\n".join(lines) + "\n"


def _file_line(path, entry):
    words = []
    if entry.kind != "link":
        words.append(f"%attr({entry.mode & 0o7777:04o},{entry.user},{entry.group})")
    else:
        words.append(f"%attr(-,{entry.user},{entry.group})")
    if entry.ghost:
        words.append("%ghost")
    if entry.unverified:
        words.append(f"%verify(not {entry.unverified})")
    if entry.caps:
        words.append(f"%caps({entry.caps})")
    if entry.kind == "dir":
        words.append("%dir")
    else:
        if entry.config:
            words.append("%config(noreplace)")
        if match := LOCALE.match(path):
            words.append(f"%lang({match[1]})")
        if path.startswith("/usr/share/doc/"):
            words.append("%license" if posixpath.basename(path) == "copyright" else "%doc")
        elif path.startswith(("/usr/share/man/", "/usr/share/info/")):
            words.append("%doc")
    return " ".join(words) + f' "{escaped(_unglobbed(path))}"'


def _unglobbed(path):
    if not re.search(r"[*?{]|\[.*\]", path):
        return path  # rpmbuild takes it as it is: a lone [ and a backslash too
    return re.sub(r"([][*?{}\\])", r"\\\1", path)


MACROS = {
    "_topdir": "/nonexistent",
    "_build_id_links": "none",
    "debug_package": "%{nil}",
    "__os_install_post": "%{nil}",
    "__check_files": "%{nil}",
    "__spec_install_pre": "%{___build_pre}",
    "_buildshell": "/bin/bash",
    "_binary_payload": "w3.zstdio",
    "_buildhost": "world",
    "_dbpath": "/nonexistent",
    "_binaries_in_noarch_packages_terminate_build": "0",
    "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "0",
    "source_date_epoch_from_changelog": "0",
    "vendor": "Debian",
    "dist": "%{nil}",
}


def build(package, work):
    """Run rpmbuild in directory `work`; returns the path of the RPM."""
    spec = f"{work}/package.spec"
    with open(spec, "w", encoding="utf-8") as file:
        file.write(spec_text(package))
    argv = ["rpmbuild", "-bb", "--quiet", "--noclean", "--nodebuginfo", "--target", "x86_64-linux",
            "--buildroot", package.root]
    for name, value in (MACROS | {"_topdir": f"{work}/top", "_rpmdir": work, "_builddir": work,
                                  "_tmppath": work}).items():
        argv += ["--define", f"{name} {value}"]
    environment = {"PATH": os.environ["PATH"], "HOME": work, "LC_ALL": "C.UTF-8",
                   "SOURCE_DATE_EPOCH": str(package.mtime)}
    run([*argv, spec], f"building the RPM of {package.name}", env=environment, cwd=work)
    rpm = f"{work}/{package.name}-{package.version}-{package.release}.{package.arch}.rpm"
    if not os.path.exists(rpm):
        raise WorldError(f"building the RPM of {package.name}: rpmbuild left no {os.path.basename(rpm)}")
    _prove(package, rpm)
    return rpm


def _prove(package, rpm):
    """Every path with mode, owner, group, target, flags and capabilities as meant, and none besides."""
    query = ("[%{FILENAMES}\\t%{FILEMODES:octal}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILELINKTOS}\\t"
             "%{FILEFLAGS:fflags}\\t%|FILECAPS?{%{FILECAPS}}|\\n]")
    shown = run(["rpm", "-qp", "--nosignature", "--nodigest", "--qf", query, rpm], f"reading {rpm} back")
    types = {"dir": 0o040000, "file": 0o100000, "link": 0o120000}
    wrong = []
    left = dict(package.entries)
    for line in shown.splitlines():
        path, mode, user, group, target, flags, caps = line.split("\t")
        entry = left.pop(path, None)
        if entry is None:
            wrong.append(f"{path} is in the RPM but was not meant")
            continue
        meant = (types[entry.kind] | (entry.mode & 0o7777), entry.user, entry.group, entry.target,
                 entry.config, entry.ghost, entry.caps)
        is_there = (int(mode, 8), user, group, target, "c" in flags, "g" in flags, caps)
        if meant != is_there:
            wrong.append(f"{path}: meant {meant}, is {is_there}")
    wrong += [f"{path} is missing in the RPM" for path in left]
    if wrong:
        raise WorldError(f"building the RPM of {package.name}: {len(wrong)} entries are not as meant:\n    "
                         + "\n    ".join(wrong[:12]))
