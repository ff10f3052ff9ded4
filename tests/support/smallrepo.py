#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes small real yum repositories for tests: rpmbuild, rpmsign, createrepo_c, gpg.

  smallrepo.py repo DIR < description.json    a repository in DIR (made anew)
  smallrepo.py key NAME                       prints the path of the public key NAME
  smallrepo.py sign-file NAME FILE            writes FILE.asc, detached, armored

Description (all but "packages" optional):
  {"packages": [PACKAGE...], "sign_packages": KEY, "sign_repomd": KEY, "checksum": "sha256"}
PACKAGE:
  {"name": "foo", "version": "1", "release": "1", "epoch": "", "arch": "noarch",
   "requires": [], "provides": [], "conflicts": [], "obsoletes": [], "recommends": [],
   "suggests": [], "supplements": [], "enhances": [],
   "files": {"/path": "content" | {"content": "", "mode": "0755", "user": "root", "group": "root",
             "type": "file|dir|link|hardlink|ghost|chardev", "target": "", "caps": "cap_net_raw=ep",
             "config": false, "doc": false, "lang": "de", "size": 0, "source": "/bin/busybox"}},
   "scripts": {"pre": "body", "post -p <lua>": "body", "transfiletriggerin -- /usr/lib": "body"},
   "tags": ["Vendor: x"], "unsigned": false}
Keys, made when first asked for: any name; "expired..." has expired, "revoked..." is revoked.
Built packages and keys are kept in $ATOMIC_TEST_CACHE (default /var/tmp/atomic-test-cache-UID) by
what they were made from, so that a second run takes no rpmbuild.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

CACHE = os.environ.get("ATOMIC_TEST_CACHE") or f"/var/tmp/atomic-test-cache-{os.getuid()}"
FORMAT = "1"  # change it when the same description would give other bytes


def run(*argv, **kwargs):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"smallrepo: {' '.join(argv)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


# --- keys -----------------------------------------------------------------------------------------

def gpg(home, *args, **kwargs):
    return run("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--no-tty",
               "--pinentry-mode", "loopback", "--passphrase", "", *args, **kwargs)


def key_home(name):
    """The gpg home that holds secret key NAME; made once, then renamed into place."""
    home = os.path.join(CACHE, f"key-{name}")
    if os.path.exists(os.path.join(home, "public.asc")):
        return home
    os.makedirs(CACHE, exist_ok=True)
    # The path must be short: gpg-agent's socket lives in it.
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as work:
        old = ["--faked-system-time", "20200101T000000!"] if name.startswith("expired") else []
        gpg(work, *old, "--quick-gen-key", f"Test {name} <{name}@example.com>", "rsa2048", "sign",
            "1d" if old else "never")
        gpg(work, "--export", "--armor", "--output", f"{work}/public.asc")
        if name.startswith("revoked"):
            (cert,) = os.listdir(f"{work}/openpgp-revocs.d")
            with open(f"{work}/openpgp-revocs.d/{cert}") as f:
                text = f.read().replace(":-----BEGIN", "-----BEGIN")
            with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as other:
                gpg(other, "--import", f"{work}/public.asc")
                gpg(other, "--import", input=text)
                gpg(other, "--export", "--armor", "--output", f"{work}/revoked.asc")
                run("gpgconf", "--homedir", other, "--kill", "all")
            os.replace(f"{work}/revoked.asc", f"{work}/public.asc")
        run("gpgconf", "--homedir", work, "--kill", "all")
        copy = tempfile.mkdtemp(prefix=".key-", dir=CACHE)
        os.rmdir(copy)
        shutil.copytree(work, copy, ignore=shutil.ignore_patterns("S.*"))
        os.chmod(copy, 0o700)
        try:
            os.rename(copy, home)
        except OSError:  # another test was faster
            shutil.rmtree(copy)
    return home


class Signer:
    """A short-lived copy of a key's home, so that agents and locks of parallel tests never meet."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="k", dir="/tmp")
        shutil.copytree(key_home(self.name), self.home, dirs_exist_ok=True)
        os.chmod(self.home, 0o700)
        self.time = ["--faked-system-time", "20200101T010000!"] if self.name.startswith(
            "expired") else []
        return self

    def __exit__(self, *_):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def detached(self, path):
        gpg(self.home, *self.time, "--detach-sign", "--armor", "--output", path + ".asc", path)

    def packages(self, paths):
        wrapper = os.path.join(self.home, "gpg")  # rpmsign passes no options of ours
        with open(wrapper, "w") as f:
            f.write(f'#!/bin/sh\nexec /usr/bin/gpg {" ".join(self.time)} "$@"\n')
        os.chmod(wrapper, 0o755)
        run("rpmsign", "--addsign", "--define", f"_gpg_name {self.name}@example.com",
            "--define", f"_gpg_path {self.home}", "--define", f"__gpg {wrapper}",
            *paths, env={**os.environ, "GNUPGHOME": self.home})


# --- packages -------------------------------------------------------------------------------------

DEPENDENCIES = ["requires", "provides", "conflicts", "obsoletes", "recommends", "suggests",
                "supplements", "enhances"]
KNOWN = {"name", "version", "release", "epoch", "arch", "files", "scripts", "tags", "unsigned",
         *DEPENDENCIES}


def nevra(p):
    return (p["name"], p.get("epoch", ""), p.get("version", "1"), p.get("release", "1"),
            p.get("arch", "noarch"))


def rpm_name(p):
    name, _, version, release, arch = nevra(p)
    return f"{name}-{version}-{release}.{arch}.rpm"


def digest(p, key):
    return hashlib.sha256(json.dumps([FORMAT, p, key], sort_keys=True).encode()).hexdigest()[:32]


def lay_out(root, path, f):
    """Put one file into the build root; returns its %files line."""
    if isinstance(f, str):
        f = {"content": f}
    kind = f.get("type", "file")
    mode = f.get("mode", "0755" if kind == "dir" else "0644")
    at = root + path
    os.makedirs(os.path.dirname(at), exist_ok=True)
    line = f'%attr({mode}, {f.get("user", "root")}, {f.get("group", "root")}) '
    if kind == "dir":
        os.makedirs(at, exist_ok=True)
        line += "%dir "
    elif kind == "link":
        os.symlink(f["target"], at)
    elif kind == "hardlink":
        os.link(root + f["target"], at)
    elif kind == "chardev":
        return f'%dev(c, 1, 3) {line}"{path}"'
    else:
        with open(at, "wb") as out:
            if f.get("source"):  # a file of the build machine, such as a static program
                with open(f["source"], "rb") as source:
                    shutil.copyfileobj(source, out)
            out.write(f.get("content", "").encode())
            if f.get("size"):
                seed = hashlib.sha256(path.encode()).digest()
                while out.tell() < f["size"]:  # does not compress, differs by path
                    seed = hashlib.sha512(seed).digest()
                    out.write(seed)
        os.chmod(at, int(mode, 8) & 0o7777)
        if kind == "ghost":
            line += "%ghost "
    if f.get("caps"):
        line += f'%caps({f["caps"]}) '
    if f.get("config"):
        line += "%config(noreplace) "
    if f.get("lang"):
        line += f'%lang({f["lang"]}) '
    if f.get("doc"):
        line += "%doc "
    return f'{line}"{path}"'


def build(packages, out):
    """One rpmbuild for PACKAGES: same architecture, different names. RPMs land in OUT."""
    with tempfile.TemporaryDirectory(prefix="atomic-rpm-") as work:
        arch = packages[0].get("arch", "noarch")
        spec = ["%global debug_package %{nil}", "%global __spec_install_pre %{___build_pre}",
                "%global __os_install_post %{nil}", "%global _build_id_links none",
                "%global _buildshell /bin/bash", "Name: small", "Version: 1", "Release: 1",
                "Summary: small", "License: none", *(["BuildArch: noarch"] if arch == "noarch" else []),
                "%description", "%install"]
        root = f"{work}/root"
        os.makedirs(root)
        for p in packages:
            unknown = set(p) - KNOWN
            if unknown:
                sys.exit(f"smallrepo: {p['name']}: unknown keys {sorted(unknown)}")
            name, epoch, version, release, _ = nevra(p)
            spec += [f"%package -n {name}", f"Summary: {name}", "AutoReqProv: no",
                     f"Version: {version}", f"Release: {release}"]
            if epoch:
                spec.append(f"Epoch: {epoch}")
            spec += p.get("tags", [])
            for kind in DEPENDENCIES:
                spec += [f"{kind.capitalize()}: {d}" for d in p.get(kind, [])]
            spec += [f"%description -n {name}", f"A test package {name}."]
            for script, body in p.get("scripts", {}).items():
                kind, _, options = script.partition(" ")
                spec += [f"%{kind} -n {name} {options}", body.rstrip("\n")]
            files = p.get("files", {})
            # Hard links come after what they link to.
            order = sorted(files, key=lambda f: (isinstance(files[f], dict)
                                                 and files[f].get("type") == "hardlink", f))
            spec += [f"%files -n {name}"] + [lay_out(root, path, files[path]) for path in order]
        with open(f"{work}/small.spec", "w") as f:
            f.write("\n".join(spec) + "\n")
        run("rpmbuild", "-bb", "--noclean", "--buildroot", root, "--target", f"{arch}-linux",
            "--define", f"_topdir {work}/top", "--define", "_rpmdir " + out,
            "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            "--define", "_buildhost localhost", "--define", "use_source_date_epoch_as_buildtime 1",
            "--define", "clamp_mtime_to_source_date_epoch 1",
            "--define", "_binary_payload w3.zstdio", f"{work}/small.spec",
            env={**os.environ, "SOURCE_DATE_EPOCH": "1600000000"})


def have_packages(packages, key):
    """Cached paths of PACKAGES, building and signing what is missing, few processes in all."""
    os.makedirs(CACHE, exist_ok=True)
    paths = [os.path.join(CACHE, digest(p, None if p.get("unsigned") else key), rpm_name(p))
             for p in packages]
    missing = [(p, path) for p, path in zip(packages, paths) if not os.path.exists(path)]
    batches = []  # one spec file can hold a name once, and one architecture
    for p, path in missing:
        for batch in batches:
            if batch[0][0].get("arch", "noarch") == p.get("arch", "noarch") and all(
                    q["name"] != p["name"] and not set(q.get("files", {})) & set(p.get("files", {}))
                    for q, _ in batch):
                batch.append((p, path))
                break
        else:
            batches.append([(p, path)])
    for batch in batches:
        with tempfile.TemporaryDirectory(prefix=".rpm-", dir=CACHE) as out:
            build([p for p, _ in batch], out)
            if key:
                to_sign = [f"{out}/{rpm_name(p)}" for p, _ in batch if not p.get("unsigned")]
                if to_sign:
                    with Signer(key) as signer:
                        signer.packages(to_sign)
            for p, path in batch:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.rename(f"{out}/{rpm_name(p)}", path)
    return paths


def make_repo(directory, description):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for path in have_packages(description["packages"], description.get("sign_packages")):
        shutil.copyfile(path, os.path.join(directory, os.path.basename(path)))
    run("createrepo_c", "--quiet", "--no-database", "--checksum",
        description.get("checksum", "sha256"), "--revision", "1600000000",
        "--set-timestamp-to-revision", directory)
    key = description.get("sign_repomd")
    if key:
        with Signer(key) as signer:
            signer.detached(f"{directory}/repodata/repomd.xml")


def main():
    match sys.argv[1:]:
        case ["repo", directory]:
            make_repo(os.path.abspath(directory), json.load(sys.stdin))
        case ["key", name]:
            print(os.path.join(key_home(name), "public.asc"))
        case ["sign-file", name, path]:
            with Signer(name) as signer:
                signer.detached(path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
