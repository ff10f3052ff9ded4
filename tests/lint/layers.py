#!/usr/bin/env python3
"""The architecture as a test: which module may include which, and who owns which third-party header."""
import pathlib
import re
import sys

# A module may include itself and what stands here; docs/architecture.md tells the same in words.
ALLOWED = {
    "base": set(),
    "format": set(),
    "api": {"base"},
    "tree": {"base"},
    "treefile": {"base"},
    "keys": {"base"},
    "rpm": {"base"},
    "pkgdiff": set(),
    "wire": {"base"},
    "users": {"base"},
    "selinux": {"base"},
    "ostree": {"base", "tree"},
    "rpmmd": {"base", "keys"},
    "solver": {"base", "rpm", "rpmmd", "keys"},
    "importer": {"base", "tree", "rpm", "ostree"},
    "sandbox": {"base", "tree"},
    "assemble": {"base", "tree", "treefile", "rpm", "users", "selinux", "ostree", "importer", "sandbox"},
    "sysroot": {"base", "format", "api", "ostree", "rpm", "pkgdiff", "tree"},
    "health": {"base", "format", "sysroot"},
    "storage": {"base"},
    "compose": {"base", "tree", "treefile", "keys", "rpm", "pkgdiff", "users", "selinux", "ostree", "rpmmd", "solver",
                "importer", "sandbox", "assemble", "format"},
    "client": {"base", "api", "wire", "pkgdiff", "format"},
    "daemon": {"base", "api", "wire", "format", "pkgdiff", "sysroot", "health", "storage", "ostree", "rpm", "tree"},
}
OWNED = {
    r"rpm/(rpm\w+|header|argv)\.h": {"rpm"},
    r"solv/": {"solver"},
    r"librepo/": {"rpmmd"},
    r"gpgme": {"keys"},
    r"ostree\.h|ostree-\w+\.h": {"ostree", "sysroot"},
    r"archive(_entry)?\.h": {"importer"},
    r"selinux/selinux\.h|selinux/label\.h": {"selinux"},
    r"fuse": {"sandbox"},
    r"yaml-cpp/": {"treefile"},
    r"sdbus-c\+\+/": {"wire", "daemon", "client"},
    r"CLI/": {"compose", "client", "daemon"},
    r"json-glib/": {"base"},
}


def main(root):
    problems = []
    for folder in ("src/lib", "src"):
        for path in sorted((root / folder).rglob("*.[ch]pp")):
            parts = path.relative_to(root / folder).parts
            if folder == "src" and parts[0] == "lib":
                continue
            module = parts[0]
            if module not in ALLOWED:
                problems.append(f"{path}: module {module} has no row in {__file__} (see docs/architecture.md)")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                here = f"{path.relative_to(root)}:{number}"
                if match := re.match(r'#include "([a-z]+)/', line):
                    other = match[1]
                    if other in ALLOWED and other != module and other not in ALLOWED[module]:
                        problems.append(f"{here}: {module} may not include {other}/")
                if match := re.match(r'#include <([^>]+)>', line):
                    for pattern, owners in OWNED.items():
                        if re.match(pattern, match[1]) and module not in owners:
                            problems.append(f"{here}: <{match[1]}> belongs to {', '.join(sorted(owners))}")
            if len(path.read_text().splitlines()) > 1000:
                problems.append(f"{path.relative_to(root)}: over 1000 lines: split it by object or operation")
    print("\n".join(problems) or "all includes go downwards")
    return bool(problems)


sys.exit(main(pathlib.Path(sys.argv[1])))
