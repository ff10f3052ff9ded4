// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "treefile/files.hpp"
#include "treefile/keys.hpp"

using namespace atomichost;
using namespace atomichost::treefile;
using Catch::Contains;
using Catch::StartsWith;

namespace {

// One place for each kind of check: the assertion macros are slow to compile.
class Checked : public Files {
 public:
  void yaml_has(const std::string& text, const std::string& expected) const {
    check(yaml_error(text), Contains(expected));
  }
  void json_has(const std::string& text, const std::string& expected) const {
    check(json_error(text), Contains(expected));
  }
  void yaml_begins(const std::string& text, const std::string& expected) const {
    check(yaml_error(text), StartsWith(expected));
  }
  void json_begins(const std::string& text, const std::string& expected) const {
    check(json_error(text), StartsWith(expected));
  }

 private:
  template <typename Matcher>
  static void check(const std::string& error, const Matcher& expected) {
    CHECK_THAT(error, expected);
  }
};

}  // namespace

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
  Checked f;
  f.yaml_has("selinux: yes\n", "write true or false");
  f.yaml_has("ref: 5\n", "put it in quotes: \"5\"");
  f.yaml_has("automatic-version-prefix: 31.10\n", "\"31.10\"");
  f.yaml_begins("packages: [bash, true]\n", "t.yaml:1:18: each entry of");
  f.yaml_has("packages-aarch64: foo\n", "must be a list");
  f.yaml_has("add-files: [[a]]\n", "[SOURCE, DESTINATION]");
  f.yaml_has("remove-from-packages: [[a]]\n", "[PACKAGE, PATTERN...]");
  f.yaml_begins("remove-from-packages: [[a, '(']]\n", "t.yaml:1:28: ");
  f.yaml_has("variables: {a: [1]}\n", "variables must be");
  f.yaml_has("variables: {a: -1}\n", "without sign");
  f.yaml_has("repovars: {a: 1}\n", "\"1\"");
  f.yaml_has("releasever: [1]\n", "releasever must be");
  f.yaml_has("boot-location: module\n", "did you mean modules?");
  f.yaml_has("repo-packages: [{repo: a}]\n", "lacks \"packages\"");
  f.yaml_has("repo-packages: [{repo: a, package: [], packages: []}]\n", "did you mean packages?");
  f.json_has("[1]", "t.json:1:1: expected a map");
  f.json_has("", "the file is empty");
}

TEST_CASE("values that cannot be meant") {
  Checked f;
  f.yaml_has("packages: [podman >= 4.1]\n", "\"'podman >= 4.1'\"");
  f.yaml_has("packages: [\"'podman\"]\n", "single quotes");
  f.yaml_has("packages: ['']\n", "empty");
  f.yaml_has("ref: ''\n", "ref is empty");
  f.yaml_has("ref: a b\n", "not a branch name");
  f.yaml_has("ref: a/../b\n", "not a branch name");
  f.yaml_has("ref: a/$arch\n", "not a branch name");
  f.yaml_has("remove-files: [usr/../etc]\n", "\"..\"");
  f.yaml_has("remove-files: [/]\n", "not a path in the tree");
  f.yaml_has("units: [/etc/a.service]\n", "not the name of a unit");
  f.yaml_has("automatic-version-suffix: ab\n", "one ASCII character");
  f.yaml_has("automatic-version-suffix: '1'\n", "one ASCII character");
  f.yaml_has("automatic-version-prefix: '<date:%Y'\n", "without \">\"");
  f.yaml_begins("machineid-compat: false\nunits: [a.service]\n",
                "t.yaml:2:8: units cannot be enabled");
  f.yaml_has("no-initramfs: true\ninitramfs-args: [-a]\n", "remove one");
  f.yaml_has("basearch: aarch64\n", "composed for x86_64");
  f.yaml_has("gpg-key: a\ngpg_key: b\n", "both are given");
  f.yaml_has("metadata: {a: .nan}\n", "put it in quotes");
  f.yaml_has("metadata: {a: 99999999999999999999}\n", "out of range");
}

TEST_CASE("files that are named must be there") {
  Checked f;
  f.yaml_begins("postprocess-script: run.sh\n",
                "t.yaml:1:21: postprocess-script: cannot find run.sh: No such file");
  f.yaml_has("check-passwd: {type: file, filename: passwd}\n", "check-passwd: cannot find passwd");
  f.yaml_has("add-files: [[., /etc/x]]\n", "not a regular file");
  f.write("motd", "");
  f.yaml_has("add-files: [[motd, /var/motd]]\n", "outside of what a tree");
  f.yaml_has("add-files: [[motd, /usr/local/motd]]\n", "outside of");
  f.yaml_has("add-files: [[motd, /usr/../var/x]]\n", "\"..\"");
  CHECK(f.yaml_error("add-files: [[motd, /usr/share/motd]]\n").empty());
}

TEST_CASE("includes: missing, loop, twice, too deep, not a treefile") {
  Checked f;
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
  f.yaml_begins("include: [common.yaml, same.yaml]\n",
                "t.yaml:1:24: same.yaml is already included elsewhere");
  f.write("d0.yaml", "packages: [deep]\n");
  for (int i = 1; i <= 51; ++i)
    f.write("d" + std::to_string(i) + ".yaml", "include: d" + std::to_string(i - 1) + ".yaml\n");
  CHECK(f.load("d50.yaml").packages == Texts{"deep"});
  CHECK(f.error("d51.yaml") == "d1.yaml:1:10: includes are nested more than 50 deep");
  f.write("bad.yaml", "packages: [a\n");
  f.yaml_begins("include: bad.yaml\n", "bad.yaml:");
  f.yaml_has("include: host.ks\n", "kickstart");
  f.yaml_has("include: .\n", "not a regular file");
  // An included JSON file may have comments, an included YAML file may not.
  f.write("c.json", "{\"comment\": 1}");
  CHECK(f.yaml_error("include: c.json\n").empty());
}

TEST_CASE("the treefile itself cannot be read") {
  Checked f;
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
  Checked f;
  f.json_begins("{\n  \"ref\": \"a\"\n  \"units\": []\n}\n", "t.json:");
  f.yaml_begins("ref: a\n  units: []\n", "t.yaml:2:");
  f.json_begins("{\"a\": {\"b\": 1", "t.json:1:7: a map begins here and has no end");
  f.yaml_has("packages:\n  - a\nunits:\n  - b\n  -c\n", "has no end; look for");
  f.yaml_has("packages:\n  - a\nunits:\n  - b\n  -c\n", "after line 4");
  CHECK_THAT(f.yaml_error("ref: %a\n"), StartsWith("t.yaml:1:6: ") && Contains("needs quotes"));
  CHECK(f.yaml_error("ref: a\nunits: []\nref: b\n") ==
        "t.yaml:3:1: \"ref\" is given twice here; keep one of them");
  f.json_begins("{\"metadata\": {\"a\": 1, \"a\": 2}}", "t.json:1:23: ");
  f.yaml_has("ref: a\n---\nref: b\n", "a second document");
  f.yaml_begins("ref: !secret a\n", "t.yaml:1:6: the tag");
  f.yaml_begins("ref: \"a\xff\"\n", "t.yaml:1:8: not UTF-8");
  f.yaml_begins(std::string("ref: a\n# \0\n", 11), "t.yaml:2:3: ");
  f.yaml_begins("ref: a\n\x04unknown: 1\n", "t.yaml:2:1: ");
  f.yaml_has("ref: \"a\\0b\"\n", "NUL");
  f.yaml_has("[a]: b\n", "a key must be plain text");
  f.yaml_begins("ref: *nothing\n", "t.yaml:1:6: ");
}

TEST_CASE("account checks that do not fit") {
  Checked f;
  f.yaml_has("check-passwd: {type: files}\n", "did you mean file?");
  f.yaml_has("check-passwd: {type: file}\n", "lacks \"filename\"");
  f.yaml_has("check-passwd: {type: data}\n", "lacks \"entries\"");
  f.yaml_has("check-passwd: {filename: a}\n", "lacks \"type\"");
  f.yaml_has("check-passwd: {type: none, filename: a}\n", "type: file");
  f.yaml_has("check-passwd: {type: data, entries: {a: -1}}\n", "a number");
  f.yaml_has("check-passwd: {type: data, entries: {a: [1, 2, 3]}}\n", "[UID, GID]");
  f.yaml_has("check-groups: {type: data, entries: {a: [1, 2]}}\n", "a number");
  f.yaml_has("check-groups: {type: data, entries: {a: 4294967295}}\n", "4294967294");
}

TEST_CASE("variables and conditions that do not work") {
  Checked f;
  CHECK(f.yaml_error("variables: {stream: a}\nref: os/${steam}\n") ==
        "t.yaml:2:6: ref: there is no variable \"steam\" (did you mean stream?); set it in "
        "variables, or use one of basearch, stream");
  f.yaml_has("ref: os/${basearch\n", "\"${\" without \"}\"");
  f.yaml_has("variables: {basearch: a}\n", "always there");
  f.yaml_has("variables: {'a b': 1}\n", "cannot be the name");
  auto condition = [&f](const std::string& text) {
    return f.yaml_error(
        "releasever: 9\nvariables: {b: true, s: x}\nconditional-include:\n  - if: '" + text +
        "'\n    include: {packages: [a]}\n");
  };
  auto has = [&condition](const std::string& text, const std::string& expected) {
    CHECK_THAT(condition(text), Contains(expected));
  };
  CHECK(condition("releasever >= 9").empty());
  CHECK(condition("b==true").empty());
  CHECK(condition("s != \"y y\"").empty());
  CHECK_THAT(condition("nothing == 1"),
             StartsWith("t.yaml:4:9: condition \"nothing == 1\": there is no variable"));
  has("releasever == \"9\"",
      "releasever is a number (t.yaml:1:13), but it is compared with a text");
  has("b >= true", "compares numbers only");
  has("s < \"y\"", "compares numbers only");
  has("s", "write NAME OPERATOR VALUE");
  has("s = \"x\"", "write NAME OPERATOR VALUE");
  has("s == x", "write NAME OPERATOR VALUE");
  has("s == \"x\" && b == true", "write NAME OPERATOR VALUE");
  has("releasever > 99999999999999999999", "whole number");
  // All conditions of a list are looked at, also after one that does not hold.
  f.yaml_has(
      "conditional-include:\n  - if: ['basearch == \"x\"', 'no == 1']\n"
      "    include: a.yaml\n",
      "there is no variable \"no\"");
  CHECK_THAT(
      f.yaml_error("conditional-include: [{if: 'basearch == \"x86_64\"', include: {refx: a}}]\n"),
      Contains("unknown key \"refx\""));
}

TEST_CASE("each key that is not done is refused by name, with what to do") {
  Checked f;
  f.write("x", "");
  int refused = 0;
  for (const KeySpec& spec : all_keys()) {
    const std::string key(spec.name);
    if (spec.status == Status::Refused || spec.status == Status::HostOnly) {
      ++refused;
      f.yaml_begins(key + ": [x]\n", "t.yaml:1:1: " + key + " ");
      f.json_begins("{\"" + key + "\": \"x\"}", "t.json:1:2: " + key + " ");
    }
    for (const std::string& value : spec.refused.empty() ? Texts{} : split(spec.refused, '|')) {
      ++refused;
      INFO(key << ": " << value);
      f.yaml_has(key + ": " + value + "\n", key + ": " + value + " is not done by this version: ");
    }
    for (const std::string& value : spec.accepted.empty() ? Texts{} : split(spec.accepted, '|')) {
      INFO(key << ": " << value);
      CHECK(f.yaml_error(key + ": '" + value + "'\n").empty());
    }
  }
  CHECK(refused > 25);
  f.write("finalize.d/10-x", "#!/bin/sh\n");
  f.yaml_begins("packages: []\n", "finalize.d: programs run on the building");
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
