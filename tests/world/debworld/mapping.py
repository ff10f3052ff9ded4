"""Debian versions and relations as RPM ones. Pure: text in, text out.

Every version is written in full, epoch:version-release. RPM takes a missing release as "any", Debian takes it as "0".
"""

import re

ARCHITECTURES = {"amd64": "x86_64", "all": "noarch"}
KERNEL = re.compile(r"linux-image-\d[^ ]*-amd64$")
OPERATORS = {"<<": "<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">"}
RELATION = re.compile(r"^(?P<name>[A-Za-z0-9+.\-]+)(?::[a-z0-9]+)?"
                      r"\s*(?:\((?P<op><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?"
                      r"\s*(?:\[[^\]]*\])?\s*(?:<[^>]*>)?$")


def rpm_name(debian_name):
    """The kernel has its version in its Debian name; as an RPM it is plainly `kernel`, so that it upgrades."""
    return "kernel" if KERNEL.match(debian_name) else debian_name


def split_version(debian_version):
    """(epoch, version, release) of RPM: `1:2.3-rc1-4` is ("1", "2.3.rc1", "4"); no revision is release "0"."""
    epoch, colon, rest = debian_version.partition(":")
    if not colon:
        epoch, rest = "0", debian_version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return epoch, upstream.replace("-", ".").replace(":", "."), revision or "0"


def evr(debian_version):
    """`[epoch:]version-release`; epoch 0 is left out, as both formats mean the same by it."""
    epoch, version, release = split_version(debian_version)
    return (f"{epoch}:" if epoch != "0" else "") + f"{version}-{release}"


class Relation:
    """One alternative of a Debian dependency: a name, maybe with an operator and a version."""

    def __init__(self, text):
        match = RELATION.match(text.strip())
        if not match:
            raise ValueError(f"not a dependency: '{text}'")
        self.name = match["name"]
        self.op = match["op"]
        self.version = match["version"]

    def to_rpm(self):
        if not self.op:
            return self.name
        if self.op == "<<" and self.version.endswith("-."):
            # "before any revision that sorts after ." is Debian's way to say: whatever revision of that version
            epoch, version, _ = split_version(self.version[:-2])
            return f"{self.name} <= " + (f"{epoch}:" if epoch != "0" else "") + version
        return f"{self.name} {OPERATORS[self.op]} {evr(self.version)}"


def parse_field(field):
    """A dependency field as a list (all of) of lists (any of) of Relation."""
    groups = [group.strip() for group in (field or "").replace("\n", " ").split(",")]
    return [[Relation(part) for part in group.split("|")] for group in groups if group]


def requirement(alternatives):
    """`a`, or a rich dependency `(a or b)`."""
    parts = list(dict.fromkeys(relation.to_rpm() for relation in alternatives))
    return parts[0] if len(parts) == 1 else "(" + " or ".join(parts) + ")"


class Relations:
    """What the RPM of a package requires, provides and so on, from its control fields.

    `real` holds the names of all packages of the world, `unversioned` the names somebody provides without a
    version: RPM would let `foo < 2` match those, Debian does not.
    """

    def __init__(self, control, real, unversioned):
        self.requires = [requirement(group) for key in ("Pre-Depends", "Depends")
                         for group in parse_field(control.get(key))]
        self.recommends = [requirement(group) for group in parse_field(control.get("Recommends"))]
        self.suggests = [requirement(group) for group in parse_field(control.get("Suggests"))]
        self.enhances = [requirement(group) for group in parse_field(control.get("Enhances"))]
        self.provides = [group[0].to_rpm() for group in parse_field(control.get("Provides"))]
        if KERNEL.match(control["Package"]):
            self.provides.append(f"{control['Package']} = {evr(control['Version'])}")
        against = [group[0] for key in ("Breaks", "Conflicts") for group in parse_field(control.get(key))]
        self.conflicts = [relation.to_rpm() for relation in against
                          if not relation.op or relation.name not in unversioned]
        fights = {relation.name for relation in against}
        # A name that left the distribution and whose files this package took over is what RPM calls obsolete.
        self.obsoletes = [group[0].to_rpm() for group in parse_field(control.get("Replaces"))
                          if group[0].op in ("<<", "<=") and group[0].name in fights
                          and group[0].name not in real and group[0].name not in unversioned]
        for name in ("requires", "recommends", "suggests", "enhances", "provides", "conflicts", "obsoletes"):
            setattr(self, name, list(dict.fromkeys(getattr(self, name))))
