#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`atomic compose tree`: what ends up in the commit."""
import json
import os
import subprocess
import unittest

from support.compose_case import BUSYBOX, REF, ComposeCase


class Content(ComposeCase):
    def test_files_arrive_as_the_headers_say(self):
        self.yum(BUSYBOX, {"name": "kinds", "files": {
            "/usr/bin/su-like": {"content": "x", "mode": "4755"},
            "/usr/bin/ping-like": {"content": "y", "mode": "0755", "caps": "cap_net_raw=ep"},
            "/usr/lib/web/secret": {"content": "z", "mode": "0640", "user": "web", "group": "web"},
            "/usr/lib/web/first": "same inode", "/usr/lib/web/second": {"type": "hardlink", "target": "/usr/lib/web/first"},
            "/usr/lib/web/link": {"type": "link", "target": "../nowhere"},
            "/usr/lib/web/sticky": {"type": "dir", "mode": "1777"},
            "/usr/lib/web/not-there": {"type": "ghost"},
            "/bin/merged": "usrmerge", "/etc/kinds.conf": {"content": "a=1", "config": True}}})
        self.treefile(packages=["busybox", "kinds"])
        self.compose()
        tree = self.ls()
        self.assertEqual(tree["/usr/bin/su-like"][:3], ("-04755", 0, 0))
        self.assertEqual(tree["/usr/lib/web/secret"][:3], ("-00640", 33, 33))
        self.assertEqual(self.cat("/usr/lib/web/second"), "same inode")
        self.assertEqual(tree["/usr/lib/web/link"][4], "../nowhere")
        self.assertEqual(tree["/usr/lib/web/sticky"][0], "d01777")
        self.assertNotIn("/usr/lib/web/not-there", tree)
        self.assertEqual(self.cat("/usr/bin/merged"), "usrmerge")
        self.assertEqual(self.cat("/usr/etc/kinds.conf"), "a=1")
        self.assertIn("security.capability", self.ostree("ls", "-X", REF, "/usr/bin/ping-like"))
        self.assertEqual({n: tree[n][4] for n in ("/home", "/opt", "/usr/local", "/ostree", "/bin")},
                         {"/home": "var/home", "/opt": "var/opt", "/usr/local": "../var/usrlocal",
                          "/ostree": "sysroot/ostree", "/bin": "usr/bin"})
        self.assertFalse([n for n in tree if n.startswith("/var/")])
        self.assert_repo_clean()

    def test_both_repository_modes_give_one_checksum(self):
        self.yum(BUSYBOX)
        self.treefile()
        env = {"SOURCE_DATE_EPOCH": "1700000000"}
        self.compose(env=env)
        bare_user = self.head()
        self.init_repo("archive")
        self.compose(env=env)
        self.assertEqual(self.head(), bare_user)
        self.assert_repo_clean()

    def test_scripts_run_in_order_and_their_work_is_kept(self):
        self.yum(BUSYBOX,
                 {"name": "aa", "requires": ["busybox"], "files": {"/usr/lib/aa": "a"}, "scripts": {
                     "pre": "echo aa-pre >>/etc/order", "post": "echo aa-post $1 >>/etc/order; rm /usr/lib/aa; ln -s x /usr/lib/aa",
                     "posttrans": "echo aa-posttrans >>/etc/order"}},
                 {"name": "bb", "requires": ["aa"], "files": {"/usr/lib/trig/f": "b"}, "scripts": {
                     "pre": "echo bb-pre >>/etc/order", "post": "echo bb-post >>/etc/order; chmod 600 /usr/lib/trig/f; mkdir -p /usr/lib/new/dir",
                     "preun": "echo never >>/etc/order"}},
                 {"name": "cc", "requires": ["bb"], "files": {"/usr/lib/cc": "c"}, "scripts": {
                     "transfiletriggerin -- /usr/lib/trig": "echo trigger $(cat) >>/etc/order"}})
        self.treefile(packages=["cc"])
        self.compose()
        self.assertEqual(self.cat("/usr/etc/order").splitlines(),
                         ["aa-pre", "bb-pre", "aa-post 1", "bb-post", "aa-posttrans", "trigger /usr/lib/trig/f"])
        tree = self.ls("/usr/lib")
        self.assertEqual(tree["/usr/lib/aa"][4], "x")
        self.assertEqual(tree["/usr/lib/trig/f"][0], "-00600")
        self.assertIn("/usr/lib/new/dir", tree)

    def test_lua_scripts_run(self):
        self.yum(BUSYBOX, {"name": "lua", "requires": ["busybox"], "scripts": {
            "post -p <lua>": 'local f = io.open("/etc/from-lua", "w")\nf:write(posix.getcwd and "lua" or "no posix")\nf:close()'}})
        self.treefile(packages=["lua"])
        self.compose()
        self.assertEqual(self.cat("/usr/etc/from-lua"), "lua")

    def test_users_made_by_scripts_own_their_files(self):
        self.yum(BUSYBOX, {"name": "svc", "requires": ["busybox"],
                           "files": {"/usr/lib/svc/data": {"content": "d", "user": "svc", "group": "svc"}},
                           "scripts": {"pre": "echo svc:x:900:901::/:/bin/false >>/etc/passwd; echo svc:x:901: >>/etc/group"}})
        self.treefile(packages=["svc"])
        self.compose()
        self.assertEqual(self.ls("/usr/lib/svc")["/usr/lib/svc/data"][1:3], (900, 901))

    def test_numbers_of_users_stay_from_commit_to_commit(self):
        def svc(version, uid):
            return {"name": "svc", "version": version, "requires": ["busybox"],
                    "files": {"/usr/lib/svc/data": {"content": version, "user": "svc", "group": "web"}},
                    "scripts": {"pre": f"grep -q ^svc: /etc/passwd || echo svc:x:{uid}:33::/:/bin/false >>/etc/passwd"}}
        self.yum(BUSYBOX, svc("1", 900))
        self.treefile(packages=["svc"])
        self.compose()
        self.yum(BUSYBOX, svc("2", 950))
        self.compose()
        self.assertEqual(self.cat("/usr/lib/svc/data"), "2")
        self.assertEqual(self.ls("/usr/lib/svc")["/usr/lib/svc/data"][1], 900)
        self.assertIn("svc:x:900:", self.cat("/usr/etc/passwd"))

    def test_var_content_becomes_tmpfiles(self):
        self.yum(BUSYBOX, {"name": "state", "files": {"/var/lib/state": {"type": "dir", "mode": "0750", "group": "web"},
                                                      "/var/lib/state/db": "data", "/run/state": {"type": "dir"}}})
        self.treefile(packages=["busybox", "state"])
        self.compose()
        conf = self.cat("/usr/lib/tmpfiles.d/rpm-ostree-autovar.conf")
        self.assertIn("d /var/lib/state 0750 root web - -", conf)
        self.assertIn("C /var/lib/state/db 0644 root root - /usr/share/factory/var/lib/state/db", conf)
        self.assertIn("d /run/state ", conf)
        self.assertEqual(self.cat("/usr/share/factory/var/lib/state/db"), "data")

    def test_a_file_that_cannot_be_kept_is_reported(self):
        self.yum(BUSYBOX, {"name": "odd", "files": {"/srv/www/index.html": "x", "/run/odd": "y"}})
        self.treefile(packages=["busybox", "odd"])
        result = self.compose()
        self.assertIn("not kept: /srv/www/index.html", result.err)
        self.assertIn("not kept: /run/odd", result.err)

    def test_documentation_languages_and_removed_files(self):
        self.yum(BUSYBOX, {"name": "docs", "files": {"/usr/share/doc/docs/README": {"content": "r", "doc": True},
                                                     "/usr/share/docs/keep": "k", "/usr/share/docs/drop.la": "d", "/usr/share/rm/x": "x"}})
        self.treefile(packages=["busybox", "docs"], documentation=False, remove_from_packages=[["docs", r".*\.la$"]],
                      remove_files=["usr/share/rm"])
        self.compose()
        tree = self.ls("/usr/share")
        self.assertIn("/usr/share/docs/keep", tree)
        for gone in ("/usr/share/doc/docs/README", "/usr/share/docs/drop.la", "/usr/share/rm"):
            self.assertNotIn(gone, tree)

    def test_postprocess_adds_files_and_sets_versions(self):
        self.yum(BUSYBOX, {"name": "rel", "files": {"/usr/lib/os-release": "NAME=T\nVERSION=\"1\"\nPRETTY_NAME=\"T 1\"\n"}})
        (self.dir / "motd").write_text("hello\n")
        (self.dir / "script.sh").write_text("#!/usr/bin/sh\necho script >>/etc/post\n")
        self.treefile(packages=["busybox", "rel"], add_files=[["motd", "/etc/motd"]],
                      postprocess=["#!/bin/sh\nset -e\ncat /etc/motd >/etc/post\n"], postprocess_script="script.sh",
                      automatic_version_prefix="1", mutate_os_release="1", machineid_compat=True,
                      add_commit_metadata={"my.key": "value", "my.number": 5})
        self.compose("--add-metadata-string=other=thing")
        self.assertEqual(self.cat("/usr/etc/post"), "hello\nscript\n")
        self.assertEqual(self.cat("/usr/etc/machine-id"), "")
        self.assertEqual(self.metadata("version"), "'1'")
        self.assertIn("OSTREE_VERSION='1'", self.cat("/usr/lib/os-release"))
        self.assertEqual(self.metadata("my.key"), "'value'")
        self.assertTrue(self.metadata("my.number").startswith("int64 "))  # shown byte-swapped by ostree
        self.assertEqual(self.metadata("other"), "'thing'")
        self.assertIn("('busybox', '0', '1', '1', 'x86_64')", self.metadata("rpmostree.rpmdb.pkglist"))
        self.compose("--force-nocache")
        self.assertEqual(self.metadata("version"), "'1.1'")
        self.assertEqual(json.loads(self.cat("/usr/share/rpm-ostree/treefile.json"))["ref"], REF)

    def test_stock_rpm_reads_the_database(self):
        self.yum(BUSYBOX, {"name": "foo", "epoch": "3", "version": "2.0"})
        self.treefile(packages=["busybox", "foo"])
        self.compose()
        out = self.dir / "checkout"
        self.ostree("checkout", "-U", REF, str(out))
        listed = subprocess.run(["rpm", "-qa", "--dbpath", str(out / "usr/share/rpm"), "--qf", "%{NAME}-%{EPOCHNUM}:%{VERSION}\n"],
                                check=True, text=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(sorted(listed.split()), ["busybox-0:1", "foo-3:2.0"])
        self.assertEqual(os.readlink(out / "usr/lib/sysimage/rpm"), "../../share/rpm")


class Options(ComposeCase):
    def setUp(self):
        super().setUp()
        self.yum(BUSYBOX, {"name": "foo", "version": "1"}, {"name": "foo", "version": "2"})
        self.treefile(packages=["busybox", "foo"])

    def test_nothing_changed_means_nothing_done(self):
        touched = self.dir / "touched"
        self.compose(f"--touch-if-changed={touched}")
        first = self.head()
        self.assertTrue(touched.exists())
        touched.unlink()
        result = self.compose(f"--touch-if-changed={touched}")
        self.assertIn("No apparent changes", result.out)
        self.assertFalse(touched.exists())
        self.assertEqual(self.head(), first)
        self.assertFalse(self.compose("--json").json["changed"])
        self.compose("--force-nocache")
        self.assertNotEqual(self.head(), first)
        self.assertEqual(self.ostree("rev-parse", REF + "^").strip(), first)

    def test_print_only_and_dry_run_change_nothing(self):
        printed = self.compose("--print-only").json
        self.assertEqual(printed["packages"], ["busybox", "foo"])
        self.assertIn("foo-2-1.noarch", self.compose("--dry-run").out)
        self.assertEqual(self.compose("--dry-run", "--json").json["packages"][1]["evr"], "2-1")
        self.assertIn("foo-2-1.noarch", self.compose("--download-only").out)
        self.assertEqual(self.refs(), {})

    def test_commitid_and_composejson(self):
        commit, facts = self.dir / "commitid", self.dir / "compose.json"
        self.compose(f"--write-commitid-to={commit}", f"--write-composejson-to={facts}")
        self.assertEqual(self.refs(), {})
        data = json.loads(facts.read_text())
        self.assertEqual(data["ostree-commit"], commit.read_text())
        self.assertEqual(data["ref"], REF)
        self.assertGreater(data["ostree-n-content-written"], 3)
        self.ostree("show", data["ostree-commit"])
        for key in ("ostree-content-checksum", "ostree-timestamp", "rpm-ostree-inputhash", "ostree-n-metadata-total",
                    "ostree-content-bytes-written", "ostree-n-cache-hits"):
            self.assertIn(key, data)

    def test_parent_and_previous(self):
        self.compose()
        first = self.head()
        self.compose("--force-nocache", "--no-parent")
        self.assertNotIn("Parent:", self.ostree("show", REF))
        self.compose("--force-nocache", f"--parent={first}")
        self.assertEqual(self.ostree("rev-parse", REF + "^").strip(), first)
        hash_ = self.metadata("rpmostree.inputhash").strip("'")
        (self.dir / "other").mkdir()
        self.treefile(packages=["busybox", "foo"], ref="other/ref")
        self.assertNotIn("No apparent", self.compose(f"--previous-commit={first}").out + hash_)

    def test_lockfiles(self):
        lock = self.dir / "lock.json"
        self.compose(f"--ex-write-lockfile-to={lock}")
        data = json.loads(lock.read_text())
        self.assertEqual(data["packages"]["foo"]["evra"], "2-1.noarch")
        data["packages"]["foo"] = {"evra": "1-1.noarch"}
        lock.write_text(json.dumps(data))
        self.compose(f"--ex-lockfile={lock}", "--ex-lockfile-strict")
        self.assertIn("('foo', '0', '1', '1', 'noarch')", self.metadata("rpmostree.rpmdb.pkglist"))
        del data["packages"]["foo"]
        lock.write_text(json.dumps(data))
        self.refused("foo", options=[f"--ex-lockfile={lock}", "--ex-lockfile-strict"])
        self.compose(f"--ex-lockfile={lock}")  # relaxed: what the lock does not name is free

    def test_cache_only_works_without_the_repository(self):
        self.compose()
        (self.dir / "small").rename(self.dir / "moved")
        self.refused("small")
        (self.dir / "moved").rename(self.dir / "small")

    def test_a_warm_cache_reads_no_package(self):
        self.compose()
        facts = self.compose("--json", "--add-metadata-string=x=y").json
        self.assertEqual((facts["packages-imported"], facts["packages-from-cache"]), (0, 2))


class Reproducible(ComposeCase):
    def test_same_inputs_same_commit(self):
        self.yum(BUSYBOX, {"name": "foo", "requires": ["busybox"], "files": {"/usr/lib/foo": "f", "/var/lib/foo/x": "x"},
                           "scripts": {"post": "echo made >/etc/made; ls -l /usr/lib >/etc/listing"}})
        self.treefile(packages=["foo"], automatic_version_prefix="1.<date:%Y%m%d>")
        env = {"SOURCE_DATE_EPOCH": "1700000000"}
        self.compose("--no-parent", env=env)
        first = self.head()
        for options, umask, cache in ((("--threads=1",), 0o077, "cache"), (("--threads=3",), 0o000, "other-cache"),
                                      (("--force-nocache",), 0o022, "cache")):
            self.init_repo("bare-user")
            self.cache = self.dir / cache
            self.compose("--no-parent", *options, env=env, umask=umask)
            self.assertEqual(self.head(), first, (options, umask))


if __name__ == "__main__":
    unittest.main(verbosity=2)
