# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds a commit against the RPM headers it was made of, entry by entry."""
import hashlib
import os
import pathlib
import re
import subprocess

GHOST = 1 << 6
QUERY = ("[%{=NAME}\\t%{FILENAMES}\\t%{FILEMODES:octal}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILESIZES}\\t"
         "%{FILEDIGESTS}\\t%{FILELINKTOS}\\t%{FILECAPS}\\t%{FILEFLAGS}\\n]")

# What a compose does to package files on purpose; each with its reason. docs/compose.md lists the same.
MOVED = [
    (re.compile(r"^/etc(?=/|$)"), "/usr/etc"),      # the defaults of a host's /etc
    (re.compile(r"^/var(?=/)"), "/usr/share/factory/var"),  # regular files: copied when the host has none
    (re.compile(r"^/opt(?=/)"), "/usr/lib/opt"),
    (re.compile(r"^/boot(?=/)"), "/usr/lib/ostree-boot"),
]
REPLACED_TOPS = re.compile(r"^/(home|root|srv|mnt|media|opt|tmp|boot|dev|proc|run|sys|var|sysroot|usr/local)$")
HOST_OWNED = re.compile(r"^/(var|run|home|root|srv|mnt|media|tmp|usr/local|boot)(/|$)")
REWRITTEN = {
    "/etc/passwd": "users added by scripts", "/etc/group": "groups added by scripts",
    "/etc/shadow": "users added by scripts", "/etc/gshadow": "groups added by scripts",
    "/etc/machine-id": "machineid-compat",
    "/etc/default/useradd": "homes are in /var/home",
    "/etc/nsswitch.conf": "altfiles", "/usr/lib/os-release": "mutate-os-release", "/etc/os-release": "mutate-os-release",
    "/etc/selinux/semanage.conf": "store-root",
}
REWRITTEN_PATTERNS = [
    re.compile(r"^/etc/selinux/[^/]+/contexts/files/file_contexts\.subs_dist$"),  # rules for /usr/etc and /var/home
    re.compile(r"^/usr/lib/modules/[^/]+/modules\.\w+(\.bin)?$"),                 # depmod
    re.compile(r"^/(usr/share/rpm|usr/lib/sysimage/rpm|var/lib/rpm)(/|$)"),       # the database of the compose
]


def headers(packages):
    rows = []
    for start in range(0, len(packages), 100):
        text = subprocess.run(["rpm", "-qp", "--nosignature", "--qf", QUERY, *packages[start:start + 100]], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        rows += [line.split("\t") for line in text.splitlines() if line and "(none)\t(none)" not in line]
    return rows


def commit_entries(repo, rev):
    entries = {}
    for line in subprocess.run(["ostree", "ls", "-R", "-X", f"--repo={repo}", rev], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.splitlines():
        match = re.match(r"^([-dl])0?(\d{4,5}) (\d+) (\d+) +(\d+) \{ (.*) \} (/.*)$", line)
        if not match:
            raise AssertionError(f"unreadable line of ostree ls: {line}")
        kind, mode, uid, gid, size, xattrs, name = match.groups()
        name, _, target = name.partition(" -> ")
        entries[name] = {"kind": kind, "mode": int(mode, 8), "uid": int(uid), "gid": int(gid), "size": int(size),
                         "target": target, "xattrs": xattrs}
    return entries


def ids(checkout, which):
    table = {"root": 0}
    for folder in ("usr/lib", "usr/etc"):
        path = pathlib.Path(checkout, folder, which)
        if path.exists():
            for line in path.read_text().splitlines():
                fields = line.split(":")
                if len(fields) > 2:
                    table[fields[0]] = int(fields[2])
    return table


def resolve(path, entries):
    """PATH with the links in its directories followed, as they are in the commit."""
    parts = path.strip("/").split("/")
    done = ""
    for part in parts[:-1]:
        here = f"{done}/{part}"
        for _ in range(10):
            entry = entries.get(here)
            if not entry or entry["kind"] != "l":
                break
            target = entry["target"]
            here = os.path.normpath(target if target.startswith("/") else os.path.join(os.path.dirname(here), target))
            if not here.startswith("/"):
                here = "/" + here
        done = here
    return f"{done}/{parts[-1]}"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def compare(repo, rev, packages, checkout, changed_by_scripts=()):
    """Every difference between the headers of PACKAGES and the commit, as text; CHECKOUT is a user-mode checkout of it."""
    entries = commit_entries(repo, rev)
    users, groups = ids(checkout, "passwd"), ids(checkout, "group")
    differences, seen = [], 0
    # The last package that has a directory decides its mode and owner, as with rpm.
    for package, name, mode, user, group, size, digest, target, caps, flags in headers(packages):
        mode, size, flags = int(mode, 8), int(size), int(flags)
        if flags & GHOST:
            continue
        kind = {0o40000: "d", 0o120000: "l", 0o100000: "-"}.get(mode & 0o170000)
        if kind is None:
            continue
        seen += 1
        path = name
        for pattern, to in MOVED:
            if pattern.match(path) and not (kind == "d" and to.startswith("/usr/share/factory")):
                path = pattern.sub(to, path)
                break
        if REPLACED_TOPS.match(name) or name == "/":
            continue
        if HOST_OWNED.match(name) and (kind != "-" or not name.startswith("/var/")):
            continue  # a line of tmpfiles.d, or reported as not kept
        path = resolve(path, entries)
        entry = entries.get(path)
        where = f"{package}: {name}"
        if not entry:
            if name not in changed_by_scripts:
                differences.append(f"{where}: not in the commit (looked for {path})")
            continue
        if kind == "d" and entry["kind"] == "l":
            continue  # usr-merge: the package means what the link leads to
        rewritten = name in REWRITTEN or name in changed_by_scripts or any(p.match(name) for p in REWRITTEN_PATTERNS)
        if entry["kind"] != kind:
            differences.append(f"{where}: kind {entry['kind']}, header says {kind}")
            continue
        if kind != "l" and entry["mode"] & 0o7777 != mode & 0o7777:
            differences.append(f"{where}: mode {entry['mode']:o}, header says {mode:o}")
        for what, table, have, want in (("owner", users, entry["uid"], user), ("group", groups, entry["gid"], group)):
            if table.get(want, 0) != have:
                differences.append(f"{where}: {what} {have}, header says {want} ({table.get(want, 'unknown')})")
        if kind == "l" and entry["target"] != target and not rewritten:
            differences.append(f"{where}: link to {entry['target']}, header says {target}")
        if kind == "-" and not rewritten:
            if entry["size"] != size:
                differences.append(f"{where}: size {entry['size']}, header says {size}")
            elif digest and sha256(checkout + path) != digest:
                differences.append(f"{where}: content differs from the header's digest")
        has_caps = "security.capability" in entry["xattrs"]
        if kind == "-" and (caps not in ("", "(none)")) != has_caps:
            differences.append(f"{where}: capabilities {'set' if has_caps else 'missing'}, header says '{caps}'")
    return seen, differences
