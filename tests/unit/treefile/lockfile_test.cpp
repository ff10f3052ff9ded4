// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/lockfile.hpp"

#include <catch2/catch.hpp>

#include "treefile/files.hpp"

using namespace atomichost;
using namespace atomichost::treefile;
using Catch::Contains;
using Catch::StartsWith;

namespace {
const std::string kHex(64, 'a');
std::string error(const Files& files, const std::string& content) {
  try {
    (void)load_lockfiles({files.write("lock.yaml", content)});
  } catch (const Error& e) {
    return replace_all(e.what(), (files / "lock.yaml").string(), "lock.yaml");
  }
  return "";
}
}  // namespace

TEST_CASE("later lockfiles override earlier ones, by package") {
  Files files;
  const auto first = files.write("lock.x86_64.json", R"({
    "packages": {
      "bash": {"evra": "5.2-1.x86_64", "digest": "sha256:)" +
                                                         kHex + R"("},
      "grub2": {"evra": "1:2.06-3.el9.x86_64"},
      "tzdata": {"evra": "2024a-1.noarch"}
    },
    "metadata": {"generated": "2024-01-01T00:00:00Z",
                 "rpmmd_repos": {"fedora": {"generated": "2023-12-31T00:00:00Z"}}}
  })");
  const auto second = files.write("overrides.yaml", R"(
packages:
  bash:
    evr: 5.2-2
    metadata: {reason: "https://example.org/1", type: pin}
)");
  const Lockfile lock = load_lockfiles({first, second});
  REQUIRE(lock.packages.size() == 3);
  const LockedPackage& bash = lock.packages.at("bash");
  CHECK(bash.evr == "5.2-2");
  CHECK(bash.arch.empty());
  CHECK(bash.digest.empty());
  CHECK_THAT(bash.metadata, Contains("\"type\":\"pin\""));
  CHECK(bash.where.line == 3);
  CHECK(lock.packages.at("grub2").evr == "1:2.06-3.el9");
  CHECK(lock.packages.at("grub2").arch == "x86_64");
  CHECK(lock.packages.at("grub2").evra() == "1:2.06-3.el9.x86_64");
  CHECK(lock.packages.at("tzdata").arch == "noarch");
  CHECK(lock.generated == "2024-01-01T00:00:00Z");
  CHECK(lock.rpmmd_repos.at("fedora") == "2023-12-31T00:00:00Z");
}

TEST_CASE("a written lockfile is the same text every time and reads back the same") {
  Lockfile lock;
  lock.packages["b"] = {"1-1", "x86_64", "sha256:" + kHex, "", {}};
  lock.packages["a"] = {"2:1-1", "", "", "{\"x\":1}", {}};
  lock.generated = "2024-01-01T00:00:00Z";
  lock.rpmmd_repos["r"] = "2023-01-01T00:00:00Z";
  const std::string text = to_json(lock);
  CHECK(text == R"({
  "packages" : {
    "a" : {
      "evr" : "2:1-1",
      "metadata" : {
        "x" : 1
      }
    },
    "b" : {
      "evra" : "1-1.x86_64",
      "digest" : "sha256:)" +
                    kHex + R"("
    }
  },
  "metadata" : {
    "generated" : "2024-01-01T00:00:00Z",
    "rpmmd_repos" : {
      "r" : {
        "generated" : "2023-01-01T00:00:00Z"
      }
    }
  }
}
)");
  Files files;
  CHECK(to_json(load_lockfiles({files.write("l.json", text)})) == text);
  CHECK(to_json(load_lockfiles({files.write("e.json", to_json(Lockfile{}))})) ==
        to_json(Lockfile{}));
}

TEST_CASE("lockfiles that are wrong say where") {
  Files f;
  CHECK_THAT(error(f, "package: {}\n"), StartsWith("lock.yaml:1:1: unknown field \"package\" in "
                                                   "the lockfile (did you mean packages?)") &&
                                            Contains("lacks \"packages\""));
  CHECK_THAT(error(f, "packages:\n  bash: {evra: 5-1.x86_64, sum: x}\n"),
             StartsWith("lock.yaml:2:28: unknown field \"sum\" in the entry of bash"));
  CHECK_THAT(error(f, "packages: {bash: {}}\n"), Contains("must have one of"));
  CHECK_THAT(error(f, "packages: {bash: {evr: 1-1, evra: 1-1.x}}\n"), Contains("not both"));
  CHECK_THAT(error(f, "packages: {bash: {evra: 5-1}}\n"), Contains("write evr instead of evra"));
  CHECK_THAT(error(f, "packages: {bash: {evr: 5}}\n"), Contains("a version in quotes"));
  for (const char* bad : {"'5'", "'-1'", "'5-'", "'x:5-1'", "':5-1'", "'1-2-3'", "'1 -2'"})
    CHECK_THAT(error(f, std::string("packages: {bash: {evr: ") + bad + "}}\n"),
               Contains("is not [EPOCH:]VERSION-RELEASE"));
  CHECK_THAT(error(f, "packages: {bash: {evr: 5-1, digest: abc}}\n"), Contains("ALGORITHM:HEX"));
  CHECK_THAT(error(f, "packages: {bash: {evr: 5-1, digest: 'sha256:abc'}}\n"),
             Contains("ALGORITHM:HEX"));
  CHECK_THAT(error(f, "packages: {bash: 5-1}\n"), Contains("a map with"));
  CHECK_THAT(error(f, "packages: {}\nmetadata: {x: 1}\n"), Contains("unknown field \"x\""));
  CHECK_THAT(error(f, "packages: {}\nmetadata: {rpmmd_repos: {r: {}}}\n"),
             Contains("lacks \"generated\""));
  CHECK_THAT(error(f, "packages: {a: {evr: 1-1}, a: {evr: 1-2}}\n"), Contains("given twice"));
  try {
    (void)load_lockfiles({f / "none.json"});
    FAIL("read a lockfile that is not there");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), StartsWith("Reading the lockfile") && Contains("none.json"));
  }
}
