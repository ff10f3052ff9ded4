#!/usr/bin/env python3
"""The mapping rules from Debian to RPM, as facts. Run it; it needs nothing but Python."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from debworld import docs  # noqa: E402
from debworld.apt import _from_deb822, _from_one_line  # noqa: E402
from debworld.mapping import Relation, Relations, evr, parse_field, requirement, rpm_name, split_version  # noqa: E402
from debworld.package import merged  # noqa: E402


def relations(real=(), unversioned=(), **fields):
    control = {"Package": "p", "Version": "1-1"} | {key.replace("_", "-"): value for key, value in fields.items()}
    return Relations(control, set(real), set(unversioned))


class Versions(unittest.TestCase):
    def test_epoch_version_and_revision_are_told_apart(self):
        self.assertEqual(split_version("1:9.2p1-2+deb12u7"), ("1", "9.2p1", "2+deb12u7"))

    def test_no_revision_is_release_0(self):
        self.assertEqual(split_version("12.4+deb12u12"), ("0", "12.4+deb12u12", "0"))

    def test_only_the_last_dash_starts_the_revision(self):
        self.assertEqual(evr("2:1.0-rc1-4~bpo1"), "2:1.0.rc1-4~bpo1")


class Dependencies(unittest.TestCase):
    def test_versions_are_always_complete(self):
        for debian, rpm in (("a (>= 1.2)", "a >= 1.2-0"), ("a (>> 1.2)", "a > 1.2-0"), ("a (<= 1.2)", "a <= 1.2-0"),
                            ("a (<< 1:2-3~)", "a < 1:2-3~"), ("a (= 1.2-3)", "a = 1.2-3"), ("a:any", "a"),
                            ("python3:any (>= 3.5~)", "python3 >= 3.5~-0")):
            with self.subTest(debian):
                self.assertEqual(Relation(debian).to_rpm(), rpm)

    def test_before_any_revision_after_a_dot_means_any_revision(self):
        self.assertEqual(Relation("a (<< 252-.)").to_rpm(), "a <= 252")

    def test_alternatives_become_one_rich_dependency(self):
        (group,) = parse_field("a (>= 1) | b | c (= 2-1)")
        self.assertEqual(requirement(group), "(a >= 1-0 or b or c = 2-1)")

    def test_what_is_no_dependency_is_refused(self):
        with self.assertRaisesRegex(ValueError, "not a dependency: 'a \\(~ 1\\)'"):
            Relation("a (~ 1)")

    def test_pre_depends_come_first_and_nothing_twice(self):
        self.assertEqual(relations(Depends="b, a", Pre_Depends="a").requires, ["a", "b"])

    def test_breaks_and_conflicts_are_conflicts(self):
        self.assertEqual(relations(Breaks="a (<< 2)", Conflicts="b").conflicts, ["a < 2-0", "b"])

    def test_a_versioned_conflict_spares_names_somebody_provides_without_version(self):
        self.assertEqual(relations(Breaks="a (<< 2), b (<< 2)", unversioned=["a"]).conflicts, ["b < 2-0"])

    def test_a_package_that_was_taken_over_is_obsolete(self):
        taken = relations(Breaks="old (<< 2)", Replaces="old (<< 2)")
        self.assertEqual(taken.obsoletes, ["old < 2-0"])

    def test_a_package_that_only_lost_a_file_is_not_obsolete(self):
        self.assertEqual(relations(real=["old"], Breaks="old (<< 2)", Replaces="old (<< 2)").obsoletes, [])

    def test_the_kernel_has_one_name_in_all_releases(self):
        self.assertEqual(rpm_name("linux-image-6.1.0-41-cloud-amd64"), "kernel")
        self.assertEqual(rpm_name("linux-image-cloud-amd64"), "linux-image-cloud-amd64")
        kernel = Relations({"Package": "linux-image-6.1.0-41-cloud-amd64", "Version": "6.1.158-1"}, set(), set())
        self.assertEqual(kernel.provides, ["linux-image-6.1.0-41-cloud-amd64 = 6.1.158-1"])


class Paths(unittest.TestCase):
    def test_bin_sbin_and_lib_move_into_usr(self):
        self.assertEqual(merged("./bin/sh"), "/usr/bin/sh")
        self.assertEqual(merged("./lib64/ld.so"), "/usr/lib64/ld.so")
        self.assertEqual(merged("./etc/bin/x"), "/etc/bin/x")
        self.assertEqual(merged("./library/x"), "/library/x")


class Sources(unittest.TestCase):
    def test_deb822_sources(self):
        text = ("Types: deb deb-src\nURIs: http://a/debian\nSuites: bookworm bookworm-updates\n"
                "Components: main contrib\nSigned-By: /k.gpg\n\nTypes: deb\nURIs: http://b\nSuites: x\n"
                "Components: other\n\nEnabled: no\nTypes: deb\nURIs: http://c\nSuites: bookworm\nComponents: main\n")
        self.assertEqual(list(_from_deb822(text)), [("http://a/debian", "bookworm", "/k.gpg"),
                                                    ("http://a/debian", "bookworm-updates", "/k.gpg")])

    def test_one_line_sources(self):
        text = ("# deb http://no bookworm main\ndeb [arch=amd64 signed-by=/k] http://a bookworm main # x\n"
                "deb-src http://a b main\n")
        self.assertEqual(list(_from_one_line(text)), [("http://a", "bookworm", "/k")])


class Documents(unittest.TestCase):
    def test_licences_of_a_machine_readable_file(self):
        text = "Format: https://x\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: a\nLicense: MIT or BSD\n"
        self.assertEqual(docs.licence(text), "GPL-2+ AND (MIT or BSD)")

    def test_change_log_entries_carry_their_version(self):
        import gzip
        text = ("a (1:2-1) stable; urgency=medium\n\n  * One.\n    more\n\n"
                " -- N <n@e.x>  Fri, 03 Oct 2025 10:00:00 +0200\n")
        self.assertEqual(docs.changelog(gzip.compress(text.encode())),
                         "* Fri Oct 03 2025 N <n@e.x> - 1:2-1\n- One.\n  more")


if __name__ == "__main__":
    unittest.main()
