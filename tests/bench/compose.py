#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The compose beside dnf + ostree commit and beside the raw bound, in one go on one repository; prints ratios.

usage: compose.py --build BUILD [--world DIR] [--runs N] [--dir SCRATCH] [--skip-dnf]

(a) atomic compose tree   (b) dnf --installroot + ostree commit   (c) read, decompress and SHA-256 of all payloads
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build")
parser.add_argument("--world", default=os.environ.get("ATOMIC_WORLD", "/var/cache/atomic-world"))
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--dir", default="/var/tmp")
parser.add_argument("--skip-dnf", action="store_true")
args = parser.parse_args()
build = pathlib.Path(args.build).resolve()
world = pathlib.Path(args.world)
scratch = pathlib.Path(tempfile.mkdtemp(prefix="atomic-bench-", dir=args.dir))
os.environ["SOURCE_DATE_EPOCH"] = "1700000000"


def run(*argv, **kwargs):
    begun = time.monotonic()
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        raise SystemExit(f"{argv}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return seconds, done


def max_rss_of(argv):
    process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{argv}: exit {process.returncode}")
    return out, usage.ru_maxrss / 1024


def compose(repo, cache, treefile, *options):
    begun = time.monotonic()
    out, rss = max_rss_of([build / "src/compose/atomic-compose", "tree", "--json", f"--repo={repo}", f"--cachedir={cache}",
                           *options, treefile])
    facts = json.loads(out)
    facts["wall"], facts["rss"] = time.monotonic() - begun, rss
    steps = {s["name"]: s["seconds"] for s in facts.get("steps", [])}
    programs = {p["name"]: p["seconds"] for p in facts.get("programs", [])}
    facts["download"] = steps.get("download", 0)
    facts["initramfs"] = programs.get("dracut", 0)
    facts["programs_all"] = sum(programs.values())
    facts["own"] = facts["wall"] - facts["download"] - facts["programs_all"]
    facts["steps"] = steps
    return facts


def new_repo(mode, name):
    repo = scratch / name
    run("ostree", "init", f"--repo={repo}", f"--mode={mode}")
    return repo


def median(values):
    return statistics.median(values)


def show(label, value, bar=None):
    verdict = "" if bar is None else ("  ok" if value <= bar else "  MISSED") + f" (bar {bar})"
    print(f"{label:66} {value:8.3f}{verdict}", flush=True)


treefile = world / "r1/compose/world.yaml"
rpms = sorted((world / "r1/repo").rglob("*.rpm"))
bound = build / "tests/bench/bound"
bounds, bare, archive, ones, nothings, warms, rss = [], [], [], [], [], [], []
listed = json.loads(run(build / "src/compose/atomic-compose", "tree", "--dry-run", "--json", f"--repo={new_repo('bare-user', 'dry')}",
                        f"--cachedir={scratch}/dry-cache", treefile)[1].stdout)
names = {f"{p['name']}" for p in listed["packages"]}
print(f"{len(names)} packages, {listed['download-size'] / 1e6:.0f} MB, {listed['installed-size'] / 1e6:.0f} MB unpacked")



def one_changed():
    """The treefile of release 1 with a second repository that has one package of release 2, the largest that fits alone."""
    folder = scratch / "one"
    shutil.copytree(world / "r1/compose", folder)
    changed = {c["name"] for c in json.loads((world / "info.json").read_text())["changed"]} - {"kernel"}
    r2 = {p.name: p for p in (world / "r2/repo").rglob("*.rpm")}
    text = (folder / "world.yaml").read_text()
    (folder / "world.yaml").write_text(text.replace("  - world\n", "  - world\n  - one\n", 1))
    candidates = sorted((p for n, p in r2.items() if n.rsplit("-", 2)[0] in changed), key=lambda p: -p.stat().st_size)
    for rpm in candidates:
        shutil.rmtree(folder / "repo", ignore_errors=True)
        (folder / "repo").mkdir()
        os.link(rpm, folder / "repo" / rpm.name)
        run("createrepo_c", "-q", folder / "repo")
        (folder / "one.repo").write_text(f"[one]\nname=one\nbaseurl=file://{folder}/repo\ngpgcheck=1\ngpgkey=file://{world}/RPM-GPG-KEY-world\n")
        found = json.loads(run(build / "src/compose/atomic-compose", "tree", "--dry-run", "--json", f"--repo={scratch}/dry",
                               f"--cachedir={scratch}/dry-cache", folder / "world.yaml")[1].stdout)["packages"]
        if [p["name"] for p in found if p["repo"] == "one"]:
            print(f"one changed package: {rpm.name}, {rpm.stat().st_size / 1e6:.1f} MB")
            return folder / "world.yaml"
    raise SystemExit("no package of release 2 fits release 1 alone")


one_treefile = one_changed()
for turn in range(args.runs):
    seconds, done = run(bound, *rpms)
    bounds.append(seconds)
    repo, cache = new_repo("bare-user", f"bare-{turn}"), scratch / f"cache-{turn}"
    bare.append(compose(repo, cache, treefile))
    nothings.append(compose(repo, cache, treefile)["wall"])
    warms.append(compose(repo, cache, treefile, "--add-metadata-string=again=yes"))
    ones.append(compose(repo, cache, one_treefile))
    archive.append(compose(new_repo("archive", f"archive-{turn}"), scratch / f"archive-cache-{turn}", treefile))
    rss += [bare[-1]["rss"], archive[-1]["rss"]]

c = median(bounds)
print("\nseconds (median)")
show("(c) raw bound", c)
for label, facts in (("bare-user cold", bare), ("archive cold", archive), ("bare-user warm", warms)):
    show(f"(a) {label}: all", median([f["wall"] for f in facts]))
    show(f"    {label}: without download and programs", median([f["own"] for f in facts]))
    show(f"    {label}: programs but the initramfs", median([f["programs_all"] - f["initramfs"] for f in facts]))
    show(f"    {label}: initramfs", median([f["initramfs"] for f in facts]))
IMPORT = ("import", "rpmdb", "commit")


def import_and_commit(facts):
    return sum(facts["steps"].get(name, 0) for name in IMPORT)


show("(a) one package changed: import and commit", median([import_and_commit(f) for f in ones]))
show("    bare-user cold: import and commit", median([import_and_commit(f) for f in bare]))
print("packages imported with one changed:", ones[-1]["packages-imported"])
print("steps with one package changed:", ones[-1]["steps"])
print("steps of the last cold bare-user run:", bare[-1]["steps"])

print("\nratios and bars")
show("bare-user cold / raw bound", median([f["own"] for f in bare]) / c, 5.0)
show("one package changed / cold, import and commit",
     median([import_and_commit(f) for f in ones]) / median([import_and_commit(f) for f in bare]), 0.15)
show("nothing changed, seconds", median(nothings), 0.5)
show("peak memory, MB", max(rss), 400)
if not args.skip_dnf:
    times = {}
    for mode in ("bare-user", "archive"):
        root = scratch / f"root-{mode}"
        config = scratch / "dnf.conf"
        config.write_text(f"[main]\ncachedir={scratch}/dnf-cache\ninstall_weak_deps=0\nreposdir=/nonexistent\n"
                          f"[world]\nname=world\nbaseurl=file://{world}/r1/repo\ngpgcheck=1\ngpgkey=file://{world}/RPM-GPG-KEY-world\n")
        dnf, _ = run("dnf", "-y", "-c", config, f"--installroot={root}", "--releasever=12", "--setopt=keepcache=1", "install", *sorted(names))
        policy = root / "etc/selinux/default"
        shutil.move(root / "etc", root / "usr/etc")
        begun = time.monotonic()
        run("ostree", "commit", f"--repo={new_repo(mode, f'dnf-{mode}')}", "--branch=b", f"--tree=dir={root}",
            f"--selinux-policy={root}" if policy.exists() else "--no-xattrs")
        times[mode] = (dnf, time.monotonic() - begun)
        shutil.rmtree(root, ignore_errors=True)
        show(f"(b) {mode}: dnf, then ostree commit", dnf)
        show(f"    {mode}: ostree commit", times[mode][1])
    b_bare, b_archive = sum(times["bare-user"]), sum(times["archive"])
    show("archive cold without programs / (b) archive", median([f["own"] for f in archive]) / b_archive, 0.2)
    show("bare-user cold with scripts, no initramfs / (b) bare-user",
         median([f["wall"] - f["initramfs"] - f["download"] for f in bare]) / b_bare, 0.4)
    show("archive cold with scripts, no initramfs / (b) archive",
         median([f["wall"] - f["initramfs"] - f["download"] for f in archive]) / b_archive, 0.4)
shutil.rmtree(scratch, ignore_errors=True)
