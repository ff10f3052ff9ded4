"""Asking apt, with a configuration of its own: which packages, which versions, and the files themselves."""

import os
import re
import urllib.parse

from . import WorldError
from .run import run

# release -> suites whose newest version it takes
RELEASES = {
    "r1": ("bookworm",),
    "r2": ("bookworm", "bookworm-updates", "bookworm-security"),
}
URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?:\S+:(?P<digest>\S*))?")


def machine_sources(etc="/etc/apt"):
    """(URI, suite, signed-by) of the Debian 12 suites that this machine's apt uses."""
    found = []
    wanted = RELEASES["r2"]
    files = [f"{etc}/sources.list"]
    parts = f"{etc}/sources.list.d"
    if os.path.isdir(parts):
        files += [f"{parts}/{name}" for name in sorted(os.listdir(parts)) if name.endswith((".list", ".sources"))]
    for path in files:
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".sources"):
            found += _from_deb822(text)
        else:
            found += _from_one_line(text)
    found = [source for source in dict.fromkeys(found) if source[1] in wanted]
    missing = {suite for suite in wanted if suite not in {source[1] for source in found}}
    if missing:
        raise WorldError(f"{etc}: apt has no source for {', '.join(sorted(missing))} (component main); "
                         "the world is made of Debian 12 packages")
    return found


def _from_deb822(text):
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {}
        for line in paragraph.splitlines():
            if not line.startswith((" ", "#")) and ":" in line:
                key, _, value = line.partition(":")
                fields[key.strip().lower()] = value.strip()
        if ("deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split()
                and fields.get("enabled", "yes").lower() not in ("no", "false")):
            for uri in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    yield uri, suite, fields.get("signed-by", "")


def _from_one_line(text):
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>[^#]*)", line)
        if match and "main" in match["rest"].split():
            signed = re.search(r"signed-by=(\S+)", match["options"] or "")
            yield match["uri"], match["suite"], signed[1] if signed else ""


class Apt:
    """apt with its own state in `folder`: nothing of the machine's packages, only its sources and keys."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        for name in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(f"{self.folder}/{name}", exist_ok=True)
        open(f"{self.folder}/state/status", "w", encoding="utf-8").close()
        sources = machine_sources()
        for release, suites in RELEASES.items():
            with open(f"{self.folder}/{release}.sources", "w", encoding="utf-8") as file:
                for uri, suite, signed_by in sources:
                    if suite in suites:
                        file.write(f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
                                   + (f"Signed-By: {signed_by}\n" if signed_by else "") + "\n")
            with open(f"{self.folder}/{release}.conf", "w", encoding="utf-8") as file:
                file.write(f'''#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{self.folder}/state";
Dir::State::lists "{self.folder}/state/lists";
Dir::State::status "{self.folder}/state/status";
Dir::Cache "{self.folder}/cache";
Dir::Cache::archives "{self.folder}/cache/archives";
Dir::Cache::pkgcache "{self.folder}/cache/{release}.pkgcache.bin";
Dir::Cache::srcpkgcache "{self.folder}/cache/{release}.srcpkgcache.bin";
Dir::Etc::sourcelist "{self.folder}/{release}.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Acquire::Retries "3";
''')

    def _run(self, release, argv, doing, **kwargs):
        # -c is read last, so that it overrides what the machine's own configuration says
        argv = [argv[0], "-c", f"{self.folder}/{release}.conf", *argv[1:]]
        return run(argv, doing, env=dict(os.environ, LC_ALL="C.UTF-8"), **kwargs)

    def update(self):
        self._run("r2", ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"],
                  "reading the package lists (is the network there?)")

    def closure(self, release, names):
        """[{name, version, file, uri, size, sha256, provides}] of `names` and all they depend on, sorted by name."""
        output = self._run(release, ["apt-get", "--print-uris", "-y", "-q", "install", *names],
                           f"resolving {release} (names come from packages.list)")
        packages = []
        for line in output.splitlines():
            if match := URI.match(line):
                name, version, _ = (urllib.parse.unquote(part) for part in match["file"].split("_"))
                packages.append({"name": name, "version": version, "uri": match["uri"],
                                 "file": urllib.parse.unquote(match["file"]).replace(":", "%3a"),
                                 "size": int(match["size"])})
        shown = self._run(release, ["apt-cache", "show", *(f"{p['name']}={p['version']}" for p in packages)],
                          f"reading the package records of {release}")
        records = {}
        for paragraph in shown.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|SHA256|Provides): (.*)$", paragraph, re.M))
            if fields:
                records[fields["Package"], fields["Version"]] = fields
        for package in packages:
            record = records[package["name"], package["version"]]
            package["sha256"] = record["SHA256"]
            package["provides"] = record.get("Provides", "")
        return sorted(packages, key=lambda package: package["name"])

    def download(self, packages, folder, release):
        """Fetch .debs into `folder` with apt, which checks them; those that are there are kept."""
        os.makedirs(folder, exist_ok=True)
        missing = [p for p in packages if not _complete(f"{folder}/{p['file']}", p["size"])]
        for start in range(0, len(missing), 200):
            part = missing[start:start + 200]
            self._run(release, ["apt-get", "-q", "download", *(f"{p['name']}={p['version']}" for p in part)],
                      f"downloading {len(part)} packages of {release}", cwd=folder)
        for package in missing:
            if not _complete(f"{folder}/{package['file']}", package["size"]):
                raise WorldError(f"downloading {package['name']} {package['version']}: apt left no whole "
                                 f"{package['file']} in {folder}")
        return len(missing)


def _complete(path, size):
    try:
        return os.path.getsize(path) == size
    except FileNotFoundError:
        return False
