// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "treefile/files.hpp"
#include "treefile/keys.hpp"

using namespace atomichost;
using namespace atomichost::treefile;
using Catch::Contains;
using Catch::StartsWith;

TEST_CASE("unknown keys are refused in YAML, with the place and the nearest key") {
  CHECK(Files().yaml_error("ref: a\npackges: [bash]\n") ==
        "t.yaml:2:1: unknown key \"packges\" (did you mean packages?)");
  CHECK_THAT(Files().yaml_error("frobnicate_all: 1\n"),
             Contains("t.yaml:1:1: unknown key \"frobnicate_all\""));
}

TEST_CASE("every problem of a file is told at once") {
  const std::string text = Files().yaml_error("selinux: 'true'\nunits: a.service\nref: [a]\n");
  const Texts lines = split(text, '\n');
  REQUIRE(lines.size() == 3);
  CHECK_THAT(lines[0], StartsWith("t.yaml:1:10: selinux must be true or false, not the text"));
  CHECK_THAT(lines[1], StartsWith("t.yaml:2:8: units must be a list"));
  CHECK_THAT(lines[2], StartsWith("t.yaml:3:6: ref must be a text, not a list"));
}

TEST_CASE("wrong types say what to write") {
  Files f;
  CHECK_THAT(f.yaml_error("selinux: yes\n"), Contains("write true or false"));
  CHECK_THAT(f.yaml_error("ref: 5\n"), Contains("put it in quotes: \"5\""));
  CHECK_THAT(f.yaml_error("automatic-version-prefix: 31.10\n"), Contains("\"31.10\""));
  CHECK_THAT(f.yaml_error("packages: [bash, true]\n"), StartsWith("t.yaml:1:18: each entry of"));
  CHECK_THAT(f.yaml_error("packages-aarch64: foo\n"), Contains("must be a list"));
  CHECK_THAT(f.yaml_error("add-files: [[a]]\n"), Contains("[SOURCE, DESTINATION]"));
  CHECK_THAT(f.yaml_error("remove-from-packages: [[a]]\n"), Contains("[PACKAGE, PATTERN...]"));
  CHECK_THAT(f.yaml_error("remove-from-packages: [[a, '(']]\n"), StartsWith("t.yaml:1:28: "));
  CHECK_THAT(f.yaml_error("variables: {a: [1]}\n"), Contains("variables must be"));
  CHECK_THAT(f.yaml_error("variables: {a: -1}\n"), Contains("without sign"));
  CHECK_THAT(f.yaml_error("repovars: {a: 1}\n"), Contains("\"1\""));
  CHECK_THAT(f.yaml_error("releasever: [1]\n"), Contains("releasever must be"));
  CHECK_THAT(f.yaml_error("boot-location: module\n"), Contains("did you mean modules?"));
  CHECK_THAT(f.yaml_error("repo-packages: [{repo: a}]\n"), Contains("lacks \"packages\""));
  CHECK_THAT(f.yaml_error("repo-packages: [{repo: a, package: [], packages: []}]\n"),
             Contains("did you mean packages?"));
  CHECK_THAT(f.json_error("[1]"), Contains("t.json:1:1: expected a map"));
  CHECK_THAT(f.json_error(""), Contains("the file is empty"));
}

TEST_CASE("values that cannot be meant") {
  Files f;
  CHECK_THAT(f.yaml_error("packages: [podman >= 4.1]\n"), Contains("\"'podman >= 4.1'\""));
  CHECK_THAT(f.yaml_error("packages: [\"'podman\"]\n"), Contains("single quotes"));
  CHECK_THAT(f.yaml_error("packages: ['']\n"), Contains("empty"));
  CHECK_THAT(f.yaml_error("ref: ''\n"), Contains("ref is empty"));
  CHECK_THAT(f.yaml_error("ref: a b\n"), Contains("not a branch name"));
  CHECK_THAT(f.yaml_error("ref: a/../b\n"), Contains("not a branch name"));
  CHECK_THAT(f.yaml_error("ref: a/$arch\n"), Contains("not a branch name"));
  CHECK_THAT(f.yaml_error("remove-files: [usr/../etc]\n"), Contains("\"..\""));
  CHECK_THAT(f.yaml_error("remove-files: [/]\n"), Contains("not a path in the tree"));
  CHECK_THAT(f.yaml_error("units: [/etc/a.service]\n"), Contains("not the name of a unit"));
  CHECK_THAT(f.yaml_error("automatic-version-suffix: ab\n"), Contains("one ASCII character"));
  CHECK_THAT(f.yaml_error("automatic-version-suffix: '1'\n"), Contains("one ASCII character"));
  CHECK_THAT(f.yaml_error("automatic-version-prefix: '<date:%Y'\n"), Contains("without \">\""));
  CHECK_THAT(f.yaml_error("machineid-compat: false\nunits: [a.service]\n"),
             StartsWith("t.yaml:2:8: units cannot be enabled"));
  CHECK_THAT(f.yaml_error("no-initramfs: true\ninitramfs-args: [-a]\n"), Contains("remove one"));
  CHECK_THAT(f.yaml_error("basearch: aarch64\n"), Contains("composed for x86_64"));
  CHECK_THAT(f.yaml_error("gpg-key: a\ngpg_key: b\n"), Contains("both are given"));
  CHECK_THAT(f.yaml_error("metadata: {a: .nan}\n"), Contains("put it in quotes"));
  CHECK_THAT(f.yaml_error("metadata: {a: 99999999999999999999}\n"), Contains("out of range"));
}

TEST_CASE("files that are named must be there") {
  Files f;
  CHECK_THAT(f.yaml_error("postprocess-script: run.sh\n"),
             StartsWith("t.yaml:1:21: postprocess-script: cannot find run.sh: No such file"));
  CHECK_THAT(f.yaml_error("check-passwd: {type: file, filename: passwd}\n"),
             Contains("check-passwd: cannot find passwd"));
  CHECK_THAT(f.yaml_error("add-files: [[., /etc/x]]\n"), Contains("not a regular file"));
  f.write("motd", "");
  CHECK_THAT(f.yaml_error("add-files: [[motd, /var/motd]]\n"), Contains("outside of what a tree"));
  CHECK_THAT(f.yaml_error("add-files: [[motd, /usr/local/motd]]\n"), Contains("outside of"));
  CHECK_THAT(f.yaml_error("add-files: [[motd, /usr/../var/x]]\n"), Contains("\"..\""));
  CHECK(f.yaml_error("add-files: [[motd, /usr/share/motd]]\n").empty());
}

TEST_CASE("includes: missing, loop, twice, too deep, not a treefile") {
  Files f;
  CHECK_THAT(f.yaml_error("include: [none.yaml, none2.yaml]\n"),
             StartsWith("t.yaml:1:11: cannot include none.yaml: No such file") &&
                 Contains("\nt.yaml:1:22: cannot include none2.yaml"));
  f.write("a.yaml", "include: sub/b.yaml\n");
  f.write("sub/b.yaml", "include: ../a.yaml\n");
  CHECK(f.error("a.yaml") ==
        "sub/b.yaml:1:10: include loop: a.yaml includes this file, directly or through others");
  f.write("self.yaml", "packages: []\ninclude: self.yaml\n");
  CHECK_THAT(f.error("self.yaml"), StartsWith("self.yaml:2:10: include loop"));
  f.write("common.yaml", "packages: [a]\n");
  std::filesystem::create_symlink("common.yaml", f / "same.yaml");
  CHECK_THAT(f.yaml_error("include: [common.yaml, same.yaml]\n"),
             StartsWith("t.yaml:1:24: same.yaml is already included elsewhere"));
  f.write("d0.yaml", "packages: [deep]\n");
  for (int i = 1; i <= 51; ++i)
    f.write("d" + std::to_string(i) + ".yaml", "include: d" + std::to_string(i - 1) + ".yaml\n");
  CHECK(f.load("d50.yaml").packages == Texts{"deep"});
  CHECK(f.error("d51.yaml") == "d1.yaml:1:10: includes are nested more than 50 deep");
  f.write("bad.yaml", "packages: [a\n");
  CHECK_THAT(f.yaml_error("include: bad.yaml\n"), StartsWith("bad.yaml:"));
  CHECK_THAT(f.yaml_error("include: host.ks\n"), Contains("kickstart"));
  CHECK_THAT(f.yaml_error("include: .\n"), Contains("not a regular file"));
  // An included JSON file may have comments, an included YAML file may not.
  f.write("c.json", "{\"comment\": 1}");
  CHECK(f.yaml_error("include: c.json\n").empty());
}

TEST_CASE("the treefile itself cannot be read") {
  Files f;
  try {
    (void)f.load("none.yaml");
    FAIL("loaded a file that is not there");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), Contains("none.yaml: No such file"));
  }
  REQUIRE(mkfifo((f / "fifo.yaml").c_str(), 0600) == 0);
  CHECK_THAT(f.error("fifo.yaml"), Contains("not a regular file"));
}

TEST_CASE("syntax errors have a place") {
  Files f;
  CHECK_THAT(f.json_error("{\n  \"ref\": \"a\"\n  \"units\": []\n}\n"), StartsWith("t.json:"));
  CHECK_THAT(f.yaml_error("ref: a\n  units: []\n"), StartsWith("t.yaml:2:"));
  CHECK_THAT(f.json_error("{\"a\": {\"b\": 1"),
             StartsWith("t.json:1:7: a map begins here and has no end"));
  CHECK_THAT(f.yaml_error("packages:\n  - a\nunits:\n  - b\n  -c\n"),
             Contains("has no end") && Contains("after line 4"));
  CHECK_THAT(f.yaml_error("ref: %a\n"), StartsWith("t.yaml:1:6: ") && Contains("needs quotes"));
  CHECK(f.yaml_error("ref: a\nunits: []\nref: b\n") ==
        "t.yaml:3:1: \"ref\" is given twice here; keep one of them");
  CHECK_THAT(f.json_error("{\"metadata\": {\"a\": 1, \"a\": 2}}"), StartsWith("t.json:1:23: "));
  CHECK_THAT(f.yaml_error("ref: a\n---\nref: b\n"), Contains("a second document"));
  CHECK_THAT(f.yaml_error("ref: !secret a\n"), StartsWith("t.yaml:1:6: the tag"));
  CHECK_THAT(f.yaml_error("ref: \"a\xff\"\n"), StartsWith("t.yaml:1:8: not UTF-8"));
  CHECK_THAT(f.yaml_error(std::string("ref: a\n# \0\n", 11)), StartsWith("t.yaml:2:3: "));
  CHECK_THAT(f.yaml_error("ref: a\n\x04unknown: 1\n"), StartsWith("t.yaml:2:1: "));
  CHECK_THAT(f.yaml_error("ref: \"a\\0b\"\n"), Contains("NUL"));
  CHECK_THAT(f.yaml_error("[a]: b\n"), Contains("a key must be plain text"));
  CHECK_THAT(f.yaml_error("ref: *nothing\n"), StartsWith("t.yaml:1:6: "));
}

TEST_CASE("account checks that do not fit") {
  Files f;
  CHECK_THAT(f.yaml_error("check-passwd: {type: files}\n"), Contains("did you mean file?"));
  CHECK_THAT(f.yaml_error("check-passwd: {type: file}\n"), Contains("lacks \"filename\""));
  CHECK_THAT(f.yaml_error("check-passwd: {type: data}\n"), Contains("lacks \"entries\""));
  CHECK_THAT(f.yaml_error("check-passwd: {filename: a}\n"), Contains("lacks \"type\""));
  CHECK_THAT(f.yaml_error("check-passwd: {type: none, filename: a}\n"), Contains("type: file"));
  CHECK_THAT(f.yaml_error("check-passwd: {type: data, entries: {a: -1}}\n"), Contains("a number"));
  CHECK_THAT(f.yaml_error("check-passwd: {type: data, entries: {a: [1, 2, 3]}}\n"),
             Contains("[UID, GID]"));
  CHECK_THAT(f.yaml_error("check-groups: {type: data, entries: {a: [1, 2]}}\n"),
             Contains("a number"));
  CHECK_THAT(f.yaml_error("check-groups: {type: data, entries: {a: 4294967295}}\n"),
             Contains("4294967294"));
}

TEST_CASE("variables and conditions that do not work") {
  Files f;
  CHECK(f.yaml_error("variables: {stream: a}\nref: os/${steam}\n") ==
        "t.yaml:2:6: ref: there is no variable \"steam\" (did you mean stream?); set it in "
        "variables, or use one of basearch, stream");
  CHECK_THAT(f.yaml_error("ref: os/${basearch\n"), Contains("\"${\" without \"}\""));
  CHECK_THAT(f.yaml_error("variables: {basearch: a}\n"), Contains("always there"));
  CHECK_THAT(f.yaml_error("variables: {'a b': 1}\n"), Contains("cannot be the name"));
  auto condition = [&f](const std::string& text) {
    return f.yaml_error(
        "releasever: 9\nvariables: {b: true, s: x}\nconditional-include:\n  - if: '" + text +
        "'\n    include: {packages: [a]}\n");
  };
  CHECK(condition("releasever >= 9").empty());
  CHECK(condition("b==true").empty());
  CHECK(condition("s != \"y y\"").empty());
  CHECK_THAT(condition("nothing == 1"),
             StartsWith("t.yaml:4:9: condition \"nothing == 1\": there is no variable"));
  CHECK_THAT(condition("releasever == \"9\""),
             Contains("releasever is a number (t.yaml:1:13), but it is compared with a text"));
  CHECK_THAT(condition("b >= true"), Contains("compares numbers only"));
  CHECK_THAT(condition("s < \"y\""), Contains("compares numbers only"));
  CHECK_THAT(condition("s"), Contains("write NAME OPERATOR VALUE"));
  CHECK_THAT(condition("s = \"x\""), Contains("write NAME OPERATOR VALUE"));
  CHECK_THAT(condition("s == x"), Contains("write NAME OPERATOR VALUE"));
  CHECK_THAT(condition("s == \"x\" && b == true"), Contains("write NAME OPERATOR VALUE"));
  CHECK_THAT(condition("releasever > 99999999999999999999"), Contains("whole number"));
  // All conditions of a list are looked at, also after one that does not hold.
  CHECK_THAT(f.yaml_error("conditional-include:\n  - if: ['basearch == \"x\"', 'no == 1']\n"
                          "    include: a.yaml\n"),
             Contains("there is no variable \"no\""));
  CHECK_THAT(
      f.yaml_error("conditional-include: [{if: 'basearch == \"x86_64\"', include: {refx: a}}]\n"),
      Contains("unknown key \"refx\""));
}

TEST_CASE("each key that is not done is refused by name, with what to do") {
  Files f;
  f.write("x", "");
  int refused = 0;
  for (const KeySpec& spec : all_keys()) {
    const std::string key(spec.name);
    if (spec.status == Status::Refused || spec.status == Status::HostOnly) {
      ++refused;
      CHECK_THAT(f.yaml_error(key + ": [x]\n"), StartsWith("t.yaml:1:1: " + key + " "));
      CHECK_THAT(f.json_error("{\"" + key + "\": \"x\"}"), StartsWith("t.json:1:2: " + key + " "));
    }
    for (const std::string& value : spec.refused.empty() ? Texts{} : split(spec.refused, '|')) {
      ++refused;
      INFO(key << ": " << value);
      CHECK_THAT(f.yaml_error(key + ": " + value + "\n"),
                 Contains(key + ": " + value + " is not done by this version: "));
    }
    for (const std::string& value : spec.accepted.empty() ? Texts{} : split(spec.accepted, '|')) {
      INFO(key << ": " << value);
      CHECK(f.yaml_error(key + ": '" + value + "'\n").empty());
    }
  }
  CHECK(refused > 25);
  f.write("finalize.d/10-x", "#!/bin/sh\n");
  CHECK_THAT(f.yaml_error("packages: []\n"),
             StartsWith("finalize.d: programs run on the building"));
}

TEST_CASE("every key is documented, with the right status") {
  const std::string text = read_file(std::filesystem::path(DOCS_DIR) / "treefile.md");
  for (const KeySpec& spec : all_keys()) {
    const std::string row = "| `" + std::string(spec.name) + "` |";
    INFO(row);
    const std::size_t at = text.find(row);
    REQUIRE(at != std::string::npos);
    const std::string line = text.substr(at, text.find('\n', at) - at);
    const bool says_refused = line.find("**refused**") != std::string::npos;
    CHECK(says_refused == (spec.status == Status::Refused || spec.status == Status::HostOnly));
  }
}
