"""Building RPMs: one job a package, two at a time, each result kept under a key of all that went into it."""

import concurrent.futures
import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import tempfile

from . import WorldError, docs, filesystem, recipes, selinux, spec
from .deb import Deb
from .mapping import parse_field, rpm_name
from .package import Package, from_deb
from .run import run

HERE = os.path.dirname(os.path.abspath(__file__))
# What shapes the content of every RPM; other modules may change without a rebuild. Recipes count for their package.
SHAPING = ("deb.py", "docs.py", "mapping.py", "package.py", "spec.py")
OWN = ("filesystem", "world-release")  # packages of the world that are no Debian packages
OWN_VERSION = ("12", "1")
OWN_TIME = 1686355200  # Debian 12's day: they change with this tool, not with time
SIGN_BATCH = 48


def digest_of(*parts):
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def digest_of_files(paths):
    parts = []
    for path in paths:
        with open(path, "rb") as file:
            parts += [os.path.basename(path), file.read()]
    return digest_of(*parts)


class World:
    """The packages of both releases, and what a single package must know about the others."""

    def __init__(self, lock, debs):
        self.debs = debs  # folder of the .deb files
        self.releases = lock["releases"]
        self.packages = {package["file"]: package for packages in self.releases.values() for package in packages}
        self.real = {package["name"] for package in self.packages.values()} | set(OWN)
        self.unversioned = {group[0].name for package in self.packages.values()
                            for group in parse_field(package["provides"]) if not group[0].op}
        self.newest = {package["name"]: package for packages in self.releases.values() for package in packages}
        self.shape = digest_of(digest_of_files(f"{HERE}/{name}" for name in SHAPING), sorted(filesystem.DIRECTORIES),
                               sorted(filesystem.LINKS), sorted(self.real), sorted(self.unversioned))

    def deb_path(self, name):
        if name not in self.newest:
            raise WorldError(f"package {name} is needed to build another one; add it to packages.list")
        return f"{self.debs}/{self.newest[name]['file']}"

    def key(self, job):
        """Job: the file name of a .deb, or the name of one of our own packages."""
        name = name_of(job)
        more = []
        if name == "filesystem":
            more = [self.newest["base-passwd"]["sha256"], digest_of_files([f"{HERE}/filesystem.py"])]
        elif name == "selinux-policy-default":
            more = [self.newest[tool]["sha256"] for tool in selinux.TOOLS] + [
                digest_of_files([f"{HERE}/selinux.py"])]
        return digest_of(self.shape, recipes.fingerprint(rpm_name(name)), name,
                         self.packages.get(job, {"sha256": ""})["sha256"], *more)

    def jobs(self, release):
        return [*OWN, *(package["file"] for package in self.releases[release])]


def name_of(job):
    return job if job in OWN else job.split("_")[0]


def build_one(world, job, work):
    """In a worker process: build one RPM in the fresh directory `work`; returns its path."""
    root = f"{work}/root"
    if job in OWN:
        package = Package(root, job, *OWN_VERSION, mtime=OWN_TIME)
        if job == "filesystem":
            masters = f"{work}/masters"
            run(["dpkg-deb", "-x", world.deb_path("base-passwd"), masters], "unpacking base-passwd")
            texts = []
            for name in ("passwd", "group"):
                with open(f"{masters}/usr/share/base-passwd/{name}.master", encoding="utf-8") as file:
                    texts.append(file.read())
            filesystem.fill(package, *texts)
        else:
            recipes.RECIPES[job](package, world)
    else:
        deb = Deb(f"{world.debs}/{job}")
        package = from_deb(deb, root, world)
        package.tags["Requires"].append("filesystem")
        folder = f"/usr/share/doc/{deb.name}"
        if f"{folder}/copyright" in package.entries and not os.path.islink(package.path(f"{folder}/copyright")):
            package.license = docs.licence(package.read(f"{folder}/copyright").decode("utf-8", "replace"))
        for name in ("changelog.Debian.gz", "changelog.gz"):
            path = f"{folder}/{name}"
            if path in package.entries and package.entries[path].kind == "file":
                package.changelog = docs.changelog(package.read(path))
                break
        recipes.apply(package, deb, world)
    return spec.build(package, work)


def _worker():
    """In each new worker: the parent alone is interrupted, and no worker outlives it (it holds the parent's lock)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _job(world, job, final):
    """Build into `final` (a directory that appears only when it is complete)."""
    os.makedirs(os.path.dirname(final), exist_ok=True)
    work = tempfile.mkdtemp(prefix=".build-", dir=os.path.dirname(final))
    try:
        rpm = build_one(world, job, work)
        os.mkdir(f"{work}/out")
        os.rename(rpm, f"{work}/out/{os.path.basename(rpm)}")
        with contextlib.suppress(FileExistsError, OSError):
            os.rename(f"{work}/out", final)
    except WorldError as error:
        raise WorldError(f"{name_of(job)}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sign(signer, pairs):
    """Sign RPMs of finished `unsigned` directories and move these to `signed`."""
    signer.sign_rpms([f"{unsigned}/{name}" for unsigned, _ in pairs for name in os.listdir(unsigned)])
    for unsigned, signed in pairs:
        with contextlib.suppress(OSError):
            os.rename(unsigned, signed)


def build_all(world, signer, cache, workers, say):
    """Build and sign what the cache lacks; returns {job: path of the signed RPM} of both releases."""
    jobs = list(dict.fromkeys(job for release in world.releases for job in world.jobs(release)))
    signed_folder = f"{cache}/{signer.fingerprint[-16:].lower()}"
    unsigned_folder = f"{cache}/unsigned"
    os.makedirs(signed_folder, exist_ok=True)
    os.makedirs(unsigned_folder, exist_ok=True)
    for name in os.listdir(unsigned_folder):
        if name.startswith(".build-"):
            shutil.rmtree(f"{unsigned_folder}/{name}", ignore_errors=True)
    keys = {job: world.key(job) for job in jobs}
    missing = [job for job in jobs if not os.path.isdir(f"{signed_folder}/{keys[job]}")]
    if missing:
        say(f"building {len(missing)} of {len(jobs)} packages, {workers} at a time")
        # The policy takes longest, then large packages: they go first, so that none is alone at the end.
        missing.sort(key=lambda job: (name_of(job) != "selinux-policy-default",
                                      -world.packages.get(job, {"size": 0})["size"]))
        _build_missing(world, signer, {job: (f"{unsigned_folder}/{keys[job]}", f"{signed_folder}/{keys[job]}")
                                       for job in missing}, workers, say)
    paths = {}
    for job in jobs:
        folder = f"{signed_folder}/{keys[job]}"
        (name,) = os.listdir(folder)
        paths[job] = f"{folder}/{name}"
    for folder, used in ((signed_folder, set(keys.values())), (unsigned_folder, set())):
        for name in set(os.listdir(folder)) - used:
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
    return paths


def _build_missing(world, signer, places, workers, say):
    ready, done, told = [], 0, 0
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=_worker) as pool:
        running = {}
        for job, (unsigned, signed) in places.items():
            if os.path.isdir(unsigned):
                ready.append((unsigned, signed))
            else:
                running[pool.submit(_job, world, job, unsigned)] = (unsigned, signed)
        building = set(running)
        try:
            while running or ready:
                if len(ready) >= SIGN_BATCH or (ready and not building):
                    pairs, ready = ready[:SIGN_BATCH], ready[SIGN_BATCH:]
                    running[pool.submit(_sign, signer, pairs)] = pairs
                    continue
                finished, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    pair = running.pop(future)
                    future.result()
                    if future in building:
                        building.discard(future)
                        ready.append(pair)
                        done += 1
                if done - told >= 40:
                    told = done
                    say(f"  {done} built")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise

