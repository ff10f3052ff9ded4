// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpmmd/repo_config.hpp"

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "base/file.hpp"

using namespace atomichost;
using namespace atomichost::rpmmd;
using Catch::Contains;

namespace {
const std::map<std::string, std::string> kVars{{"basearch", "x86_64"}, {"releasever", "40"}};

std::vector<RepoConfig> parse(const std::string& text, Warnings* warnings = nullptr) {
  return parse_repo_text(text, "x.repo", kVars, warnings);
}
}  // namespace

TEST_CASE("a .repo file of a real distribution is read with its variables", "[rpmmd]") {
  Warnings warnings;
  const auto repos = parse(R"(# a comment
[fedora]
name=Fedora $releasever - $basearch
#baseurl=http://download.example/pub/fedora/linux/releases/$releasever/Everything/$basearch/os/
metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch
enabled=1
countme=1
metadata_expire=7d
repo_gpgcheck=0
type=rpm
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-${releasever}-$basearch
skip_if_unavailable=False

[local]
baseurl = http://a.example/$basearch/,http://b.example/
          file:///srv/mirror
enabled = no
gpgcheck: 0
exclude = kernel* , *-debuginfo
includepkgs=foo
priority=10
cost=5
proxy=http://proxy.example:3128
proxy_username=me
bandwidth=2M
throttle=50%
timeout=2m
retries=0
module_hotfixes=true
; another comment
)",
                           &warnings);
  REQUIRE(repos.size() == 2);
  CHECK(repos[0].id == "fedora");
  CHECK(repos[0].name == "Fedora 40 - x86_64");
  CHECK(repos[0].metalink ==
        "https://mirrors.fedoraproject.org/metalink?repo=fedora-40&arch=x86_64");
  CHECK(repos[0].gpgkeys ==
        std::vector<std::string>{"file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-40-x86_64"});
  CHECK(repos[0].metadata_expire_s == 7 * 86400);
  CHECK(repos[0].line == 2);
  CHECK(repos[0].undefined_variables.empty());
  CHECK(repos[1].baseurls == std::vector<std::string>{"http://a.example/x86_64/",
                                                      "http://b.example/", "file:///srv/mirror"});
  CHECK_FALSE(repos[1].enabled);
  CHECK_FALSE(repos[1].gpgcheck);
  CHECK(repos[1].excludepkgs == std::vector<std::string>{"kernel*", "*-debuginfo"});
  CHECK(repos[1].includepkgs == std::vector<std::string>{"foo"});
  CHECK(repos[1].priority == 10);
  CHECK(repos[1].cost == 5);
  CHECK(repos[1].max_speed == 1 << 20);
  CHECK(repos[1].timeout_s == 120);
  CHECK(repos[1].retries == 0);
  CHECK(repos[1].name == "local");
  CHECK(warnings.empty());
}

TEST_CASE("packages must be signed unless the file says otherwise", "[rpmmd]") {
  CHECK(parse("[a]\nbaseurl=http://x/\n")[0].gpgcheck);
  CHECK_FALSE(parse("[a]\nbaseurl=http://x/\n")[0].repo_gpgcheck);
}

TEST_CASE("bad lines are named by file and line", "[rpmmd]") {
  CHECK_THROWS_WITH(parse("[a]\nbaseurl=http://x/\nenabled=maybe\n"),
                    Contains("x.repo:3: enabled must be 1 or 0, not \"maybe\""));
  CHECK_THROWS_WITH(parse("\n[a\n"), Contains("x.repo:2:") && Contains("closing ]"));
  CHECK_THROWS_WITH(parse("[a]\nhello\n"), Contains("x.repo:2:"));
  CHECK_THROWS_WITH(parse("name=x\n"), Contains("x.repo:1:") && Contains("before any"));
  CHECK_THROWS_WITH(parse("[a b]\nbaseurl=http://x/\n"), Contains("x.repo:1: \"a b\" cannot be"));
  CHECK_THROWS_WITH(parse("[../a]\nbaseurl=http://x/\n"), Contains("x.repo:1:"));
  CHECK_THROWS_WITH(parse("[a]\nname=x\n"), Contains("x.repo:1: Repository a has no baseurl"));
  CHECK_THROWS_WITH(parse("[a]\nbaseurl=http://x/\n[a]\nbaseurl=http://y/\n"),
                    Contains("x.repo:3: Repository a was already defined in line 1"));
  CHECK_THROWS_WITH(parse("[a]\nbaseurl=mirror.example/x\n"), Contains("x.repo:2: baseurl"));
  CHECK_THROWS_WITH(parse("[a]\nbaseurl=http://x/\npriority=high\n"),
                    Contains("x.repo:3: priority"));
}

TEST_CASE("an unknown key is a warning with the nearest known one", "[rpmmd]") {
  Warnings warnings;
  CHECK(parse("[a]\nbaseurl=http://x/\ngpgchek=0\n", &warnings).size() == 1);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0],
             Contains("x.repo:3: Unknown key gpgchek") && Contains("did you mean gpgcheck"));
}

TEST_CASE("a variable without a value is remembered, not passed to a server", "[rpmmd]") {
  const auto repos = parse("[a]\nname=$stream\nbaseurl=http://x/$stream/${stream}/$basearch\n");
  CHECK(repos[0].undefined_variables == std::vector<std::string>{"$stream"});
  CHECK(repos[0].baseurls[0] == "http://x/$stream/${stream}/x86_64");
}

TEST_CASE("repositories of a directory are found by id", "[rpmmd]") {
  TempDir dir;
  replace_file(dir.path() / "b.repo", "[b]\nbaseurl=http://b/\n[updates]\nbaseurl=http://u/\n");
  replace_file(dir.path() / "a.repo", "[a]\nbaseurl=http://a/\n[main]\ngpgcheck=0\n");
  replace_file(dir.path() / "no.txt", "not a repo");
  const auto all = load_repo_directory(dir.path(), kVars);
  REQUIRE(all.size() == 3);
  CHECK(all[0].id == "a");
  const auto chosen = select_repos(all, {"updates", "a", "updates"});
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0].id == "updates");
  CHECK_THROWS_WITH(select_repos(all, {"update", "zz"}),
                    Contains("update (did you mean updates?), zz") && Contains("b.repo"));
  replace_file(dir.path() / "c.repo", "[b]\nbaseurl=http://c/\n");
  CHECK_THROWS_WITH(load_repo_directory(dir.path(), kVars),
                    Contains("c.repo:1: Repository b is also defined at") && Contains("b.repo:1"));
}
