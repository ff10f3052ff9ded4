"""Signed yum repositories from built RPMs, put in place in one step."""

import json
import os
import shutil

from . import WorldError
from .mapping import evr, rpm_name
from .run import run

KEY_USER = "World test repository <world@example.com>"
KEY_FILE = "RPM-GPG-KEY-world"


class Signer:
    """An RSA key without passphrase in a GNUPGHOME of its own."""

    def __init__(self, home):
        self.home = os.path.abspath(home)
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        os.chmod(self.home, 0o700)
        self.fingerprint = self._find()
        if not self.fingerprint:
            self._gpg(["--batch", "--passphrase", "", "--quick-generate-key", KEY_USER, "rsa3072", "sign", "never"],
                      "making the signing key")
            self.fingerprint = self._find()

    def _gpg(self, arguments, doing):
        return run(["gpg", "--homedir", self.home, "--no-permission-warning", "--quiet", *arguments], doing)

    def _find(self):
        lines = self._gpg(["--list-secret-keys", "--with-colons"], "looking for the signing key").splitlines()
        return next((line.split(":")[9] for line in lines if line.startswith("fpr:")), "")

    def public_key(self):
        return self._gpg(["--armor", "--export", self.fingerprint], "exporting the public key")

    def sign_rpms(self, paths):
        macros = (f"_gpg_name {self.fingerprint}", f"_gpg_path {self.home}", f"__gpg {shutil.which('gpg')}")
        argv = ["rpmsign", "--addsign"]
        for macro in macros:
            argv += ["--define", macro]
        run([*argv, *paths], f"signing {len(paths)} packages", env={
            "PATH": os.environ["PATH"], "HOME": self.home, "GNUPGHOME": self.home, "LC_ALL": "C.UTF-8"})

    def sign_detached(self, path):
        self._gpg(["--batch", "--yes", "--armor", "--detach-sign", "--output", f"{path}.asc", path],
                  f"signing {path}")

    def close(self):
        run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], "stopping the key's agent")


def repo_file(output, release):
    return (f"[world]\nname=World, release {release[1:]}\nbaseurl=file://{output}/{release}/repo\nenabled=1\n"
            f"gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{output}/{KEY_FILE}\n")


def assemble(world, rpms, signer, output, folder, treefile, say):
    """Lay both releases out in `folder`, which becomes `output`'s content later."""
    for release in world.releases:
        repo = f"{folder}/{release}/repo"
        os.makedirs(f"{repo}/Packages")
        for job in world.jobs(release):
            os.link(rpms[job], f"{repo}/Packages/{os.path.basename(rpms[job])}")
        say(f"indexing {release}")
        run(["createrepo_c", "--quiet", "--no-database", "--compress-type=gz", "--checksum=sha256", "--workers=2",
             repo], f"indexing {release}")
        signer.sign_detached(f"{repo}/repodata/repomd.xml")
        compose = f"{folder}/{release}/compose"
        os.makedirs(compose)
        shutil.copyfile(treefile, f"{compose}/world.yaml")
        with open(f"{compose}/world.repo", "w", encoding="utf-8") as file:
            file.write(repo_file(output, release))
    with open(f"{folder}/{KEY_FILE}", "w", encoding="utf-8") as file:
        file.write(signer.public_key())


def info(world, rpms, key):
    """What info.json says."""
    r1, r2 = ({package["name"]: package for package in world.releases[name]} for name in ("r1", "r2"))
    changed = []
    old = {rpm_name(name): package["version"] for name, package in r1.items()}
    new = {rpm_name(name): package["version"] for name, package in r2.items()}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            changed.append({"name": name, "r1": evr(old[name]) if name in old else None,
                            "r2": evr(new[name]) if name in new else None})
    releases = {}
    for release in world.releases:
        jobs = world.jobs(release)
        releases[release] = {
            "packages": len(jobs),
            "bytes": sum(os.path.getsize(rpms[job]) for job in jobs),
            "versions": {rpm_name(package["name"]): evr(package["version"])
                         for package in world.releases[release]},
        }
    return {"key": key, "releases": releases, "changed": changed}


def publish(output, folder, names):
    """Let `output`/NAME be links into `folder` (a directory of output/.builds), each swapped in one step."""
    target = os.path.relpath(folder, output)
    for name in names:
        path = f"{output}/{name}"
        if os.path.lexists(path) and not os.path.islink(path):
            raise WorldError(f"{path} is in the way: it was not made by this program; move it away")
        temporary = f"{output}/.{name}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(f"{target}/{name}", temporary)
        os.replace(temporary, path)


def write_json(path, value):
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")
    os.replace(f"{path}.new", path)
