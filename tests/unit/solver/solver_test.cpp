// SPDX-License-Identifier: LGPL-2.1-or-later
#include "solver/solver.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include "base/file.hpp"
#include "base/strings.hpp"
#include "support/failure.hpp"
#include "support/small_repo.hpp"

using namespace atomichost;
using test::failure_of;
using namespace atomichost::solver;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

using Packages = std::vector<test::SmallPackage>;

/// Repositories on disk, resolved the way a compose does it.
struct World {
  rpmmd::RepoConfig& add(const std::string& id, const Packages& packages) {
    test::make_small_repo(dir.path() / id, packages);
    rpmmd::RepoConfig config;
    config.id = id;
    config.baseurls = {"file://" + (dir.path() / id).string()};
    configs.push_back(config);
    return configs.back();
  }
  std::vector<ResolvedPackage> resolve_all(const Request& r) {
    Request request = r;
    if (request.basearch.empty()) request.basearch = "x86_64";
    repos = rpmmd::fetch_all(configs, dir.path() / "cache", {});
    return resolve(repos, request, dir.path() / "cache", options);
  }
  /// "name-version-release.arch ..." of the result.
  std::string nevras(const Request& request) {
    std::vector<std::string> names;
    for (const auto& p : resolve_all(request)) names.push_back(p.nevra.str());
    return join(names, " ");
  }
  std::string install(const std::vector<std::string>& names) {
    Request request;
    request.install = names;
    return nevras(request);
  }

  TempDir dir;
  std::vector<rpmmd::RepoConfig> configs;
  std::vector<rpmmd::RepoMetadata> repos;
  rpmmd::FetchOptions options;
};

const Packages kBase{
    {.name = "app", .version = "1", .requires_ = {"lib >= 1", "/usr/bin/tool"}},
    {.name = "app", .version = "2", .requires_ = {"lib >= 2"}},
    {.name = "lib", .version = "1"},
    {.name = "lib", .version = "2", .epoch = "1"},
    {.name = "tool", .files = {{"/usr/bin/tool", "x"}, {"/usr/share/tool/deep", "y"}}},
    {.name = "deep-user", .requires_ = {"/usr/share/tool/deep"}},
    {.name = "extra", .provides = {"pkgconfig(extra) = 3"}},
    {.name = "weak", .recommends = {"extra"}},
    {.name = "native", .arch = "x86_64"},
    {.name = "native", .arch = "i686"},
    {.name = "only32", .arch = "i686", .requires_ = {"native"}},
    {.name = "kernel-a"},
    {.name = "kernel-b"},
};

}  // namespace

TEST_CASE("dependencies come along and the highest versions win", "[solver]") {
  World world;
  world.add("base", kBase);
  CHECK(world.install({"app"}) == "app-2-1.noarch lib-1:2-1.noarch");
  const auto lib = world.resolve_all({.install = {"lib"}}).at(0);
  CHECK(lib.nevra.epoch == "1");
  CHECK(lib.repo == "base");
  CHECK(lib.location == "lib-2-1.noarch.rpm");
  CHECK(lib.checksum_type == "sha256");
  CHECK(lib.checksum.size() == 64);
  CHECK(lib.size == fs::file_size(world.dir.path() / "base/lib-2-1.noarch.rpm"));
}

TEST_CASE("requests are names, versions, architectures, globs, provides and relations",
          "[solver]") {
  World world;
  world.add("base", kBase);
  CHECK(world.install({"app-1"}) == "app-1-1.noarch lib-1:2-1.noarch tool-1-1.noarch");
  CHECK(world.install({"lib-1-1"}) == "lib-1-1.noarch");
  CHECK(world.install({"lib-1:2-1.noarch"}) == "lib-1:2-1.noarch");
  CHECK(world.install({"native.x86_64"}) == "native-1-1.x86_64");
  CHECK(world.install({"kernel-*"}) == "kernel-a-1-1.noarch kernel-b-1-1.noarch");
  CHECK(world.install({"/usr/bin/tool"}) == "tool-1-1.noarch");
  CHECK(world.install({"pkgconfig(extra)"}) == "extra-1-1.noarch");
  CHECK(world.install({"pkgconfig(extra) >= 2"}) == "extra-1-1.noarch");
  CHECK(world.install({"lib < 1:2"}) == "lib-1-1.noarch");
  CHECK(world.install({"(extra or nothing)"}) == "extra-1-1.noarch");
  CHECK(world.install({"extra", "(tool if extra)"}) == "extra-1-1.noarch tool-1-1.noarch");
}

TEST_CASE("32-bit packages come in only by request", "[solver]") {
  World world;
  world.add("base", kBase);
  CHECK(world.install({"native"}) == "native-1-1.x86_64");
  CHECK_THROWS_WITH(world.install({"only32"}),
                    Contains("only32-1-1.i686 is for another architecture than x86_64"));
  CHECK_THAT(world.install({"native.i686"}), Contains("native-1-1.i686"));
}

TEST_CASE("lists of files are fetched only when a path asks for them", "[solver]") {
  World world;
  world.add("base", kBase);
  CHECK(world.install({"app"}).size() > 0);
  CHECK(world.repos[0].filelists.empty());
  CHECK(world.install({"/usr/share/tool/deep"}) == "tool-1-1.noarch");
  CHECK_FALSE(world.repos[0].filelists.empty());
  CHECK(world.install({"deep-user"}) == "deep-user-1-1.noarch tool-1-1.noarch");
}

TEST_CASE("a newer version that needs a deep path is not passed over", "[solver]") {
  World world;
  world.add("base", {{.name = "a", .version = "1"},
                     {.name = "a", .version = "2", .requires_ = {"/usr/share/b/file"}},
                     {.name = "b", .files = {{"/usr/share/b/file", "x"}}}});
  CHECK(world.install({"a"}) == "a-2-1.noarch b-1-1.noarch");
}

TEST_CASE("weak dependencies come in when wanted and possible", "[solver]") {
  World world;
  world.add("base", kBase);
  CHECK(world.install({"weak"}) == "extra-1-1.noarch weak-1-1.noarch");
  CHECK(world.nevras({.install = {"weak"}, .recommends = false}) == "weak-1-1.noarch");
  CHECK(world.nevras({.install = {"weak"}, .exclude = {"extra"}}) == "weak-1-1.noarch");
}

TEST_CASE("an excluded package is left out, and missed by name", "[solver]") {
  World world;
  world.add("base", kBase);
  const auto failure = failure_of([&] { world.nevras({.install = {"app"}, .exclude = {"lib"}}); });
  CHECK(failure.code == ErrorCode::Unsolvable);
  CHECK_THAT(failure.text, Contains("app is requested") &&
                               Contains("app-2-1.noarch requires lib >= 2") &&
                               Contains("lib-1:2-1.noarch is excluded by exclude-packages"));
  CHECK_THROWS_WITH(world.nevras({.install = {"kernel-a"}, .exclude = {"kernel*"}}),
                    Contains("No usable package matches 'kernel-a'") &&
                        Contains("excluded by exclude-packages (kernel*)"));
  CHECK_THROWS_WITH(world.nevras({.install = {"pkgconfig(extra)"}, .exclude = {"extra"}}),
                    Contains("No usable package matches 'pkgconfig(extra)': extra-1-1.noarch is"));
}

TEST_CASE("all missing packages are named at once, with near names", "[solver]") {
  World world;
  world.add("base", kBase);
  world.add("second", {{.name = "other"}});
  const auto failure = failure_of([&] { world.install({"tol", "app", "zzzzzzzz"}); });
  CHECK(failure.code == ErrorCode::NotFound);
  CHECK_THAT(failure.text, Contains("No package matches 'tol' in repositories base, second (did "
                                    "you mean tool") &&
                               Contains("No package matches 'zzzzzzzz'"));
  CHECK(failure_of([&] { world.install({"@core"}); }).code == ErrorCode::InvalidInput);
  CHECK_THROWS_WITH(world.install({"@core"}), Contains("@core: Groups"));
  CHECK_THROWS_WITH(world.install({"/usr/no/such"}), Contains("'/usr/no/such'"));
  CHECK_THROWS_WITH(world.install({"(broken"}), Contains("Not a rich dependency"));
  CHECK_THROWS_WITH(world.install({"lib >= 9:1"}),
                    Contains("'lib >= 9:1'") && Contains("there is lib-1-1.noarch, lib-1:2-1"));
}

TEST_CASE("unsatisfiable requests are explained along the chain", "[solver]") {
  World world;
  world.add("base", {
                        {.name = "top", .requires_ = {"middle"}},
                        {.name = "middle", .requires_ = {"bottom >= 9"}},
                        {.name = "bottom"},
                        {.name = "left", .conflicts = {"right"}},
                        {.name = "right"},
                        {.name = "new", .obsoletes = {"old"}},
                        {.name = "old"},
                    });
  auto failure = failure_of([&] { world.install({"top"}); });
  CHECK(failure.code == ErrorCode::Unsolvable);
  CHECK_THAT(failure.text,
             Contains("top is requested") && Contains("top-1-1.noarch requires middle") &&
                 Contains("middle-1-1.noarch requires bottom >= 9, which nothing provides") &&
                 Contains("enable a repository"));
  failure = failure_of([&] { world.install({"left", "right"}); });
  CHECK(failure.code == ErrorCode::Unsolvable);
  CHECK_THAT(failure.text,
             Contains("left-1-1.noarch conflicts with right, provided by right-1-1.noarch"));
  CHECK_THROWS_WITH(world.install({"new", "old"}),
                    Contains("new-1-1.noarch replaces (obsoletes) old"));
  failure = failure_of([&] { world.install({"nothing-at-all >= 1"}); });
  CHECK(failure.code == ErrorCode::NotFound);
}

TEST_CASE("rich dependencies hold", "[solver]") {
  World world;
  world.add("base", {{.name = "a", .requires_ = {"(b or c)"}},
                     {.name = "c"},
                     {.name = "d", .requires_ = {"(e if a)"}},
                     {.name = "e"}});
  CHECK(world.install({"a"}) == "a-1-1.noarch c-1-1.noarch");
  CHECK(world.install({"d"}) == "d-1-1.noarch");
  CHECK(world.install({"d", "a"}) == "a-1-1.noarch c-1-1.noarch d-1-1.noarch e-1-1.noarch");
}

TEST_CASE("priority goes before version, cost decides between equals", "[solver]") {
  World world;
  world.add("one", {{.name = "p", .version = "1"}, {.name = "q"}});
  world.add("two", {{.name = "p", .version = "2"}, {.name = "q"}});
  CHECK(world.install({"p"}) == "p-2-1.noarch");
  world.configs[1].cost = 10;
  CHECK(world.resolve_all({.install = {"q"}}).at(0).repo == "two");
  world.configs[1].cost = 2000;
  CHECK(world.resolve_all({.install = {"q"}}).at(0).repo == "one");
  world.configs[0].priority = 10;
  CHECK(world.install({"p"}) == "p-1-1.noarch");
}

TEST_CASE("repositories show what they include and hide what they exclude", "[solver]") {
  World world;
  world.add("one", {{.name = "p", .version = "1"}, {.name = "q"}});
  world.add("two", {{.name = "p", .version = "2"}, {.name = "r"}});
  world.configs[1].excludepkgs = {"p*"};
  CHECK(world.install({"p", "r"}) == "p-1-1.noarch r-1-1.noarch");
  world.configs[1].excludepkgs.clear();
  world.configs[1].includepkgs = {"r"};
  CHECK(world.install({"p", "r"}) == "p-1-1.noarch r-1-1.noarch");
  world.configs[0].excludepkgs = {"p"};
  CHECK_THROWS_WITH(world.install({"p"}), Contains("No usable package matches 'p'"));
}

TEST_CASE("repo-packages takes packages from the named repository only", "[solver]") {
  World world;
  world.add("one", {{.name = "p", .version = "1"}, {.name = "q", .requires_ = {"p"}}});
  world.add("two", {{.name = "p", .version = "2"}});
  Request request;
  request.install = {"q"};
  request.repo_packages = {{"one", {"p"}}};
  CHECK(world.nevras(request) == "p-1-1.noarch q-1-1.noarch");
  request.repo_packages = {{"two", {"q"}}};
  CHECK_THROWS_WITH(world.nevras(request), Contains("No package matches q in two"));
  request.repo_packages = {{"three", {"q"}}};
  CHECK(failure_of([&] { world.nevras(request); }).code == ErrorCode::InvalidInput);
}

TEST_CASE("a lock holds versions; strict allows nothing else", "[solver]") {
  World world;
  world.add("base", kBase);
  Request request;
  request.install = {"app"};
  request.locks = {{"app", {"1-1.noarch", ""}}, {"gone", {"5-1.noarch", ""}}};
  struct Lines : Progress {
    void message(const std::string& line) override { lines.push_back(line); }
    std::vector<std::string> lines;
  } progress;
  world.options.progress = &progress;
  CHECK(world.nevras(request) == "app-1-1.noarch lib-1:2-1.noarch tool-1-1.noarch");
  REQUIRE(progress.lines.size() == 1);
  CHECK_THAT(progress.lines[0], Contains("gone-5-1.noarch"));

  request.locks["lib"] = {"1-1", ""};
  CHECK(world.nevras(request) == "app-1-1.noarch lib-1-1.noarch tool-1-1.noarch");

  request.strict_lock = true;
  auto failure = failure_of([&] { world.nevras(request); });
  CHECK(failure.code == ErrorCode::NotFound);
  CHECK_THAT(failure.text, Contains("gone-5-1.noarch"));
  request.locks.erase("gone");
  failure = failure_of([&] { world.nevras(request); });
  CHECK(failure.code == ErrorCode::Unsolvable);
  CHECK_THAT(failure.text, Contains("tool-1-1.noarch is not in the lock (strict)"));
  request.locks["tool"] = {"0:1-1.noarch", ""};
  CHECK(world.nevras(request) == "app-1-1.noarch lib-1-1.noarch tool-1-1.noarch");

  const auto tool = world.resolve_all(request).at(2);
  request.locks["tool"].digest = "sha256:" + tool.checksum;
  CHECK(world.nevras(request) == "app-1-1.noarch lib-1-1.noarch tool-1-1.noarch");
  request.locks["tool"].digest = "sha256:" + std::string(64, '0');
  failure = failure_of([&] { world.nevras(request); });
  CHECK(failure.code == ErrorCode::Untrusted);
  CHECK_THAT(failure.text, Contains("Lock of tool") && Contains(tool.checksum));
}

TEST_CASE("a lockfile repository gives locked packages only", "[solver]") {
  World world;
  world.add("base", {{.name = "a", .version = "1"}, {.name = "b", .version = "1"}});
  world.add("archive", {{.name = "a", .version = "2"}, {.name = "b", .version = "2"}});
  Request request;
  request.install = {"a", "b"};
  request.lockfile_repos = {"archive"};
  CHECK(world.nevras(request) == "a-1-1.noarch b-1-1.noarch");
  request.locks = {{"a", {"2-1.noarch", ""}}};
  CHECK(world.nevras(request) == "a-2-1.noarch b-1-1.noarch");
}

TEST_CASE("the order of repositories and the cache change nothing", "[solver]") {
  World world;
  world.add("one",
            {{.name = "x", .requires_ = {"virtual"}}, {.name = "z", .provides = {"virtual"}}});
  world.add("two", {{.name = "y", .provides = {"virtual"}}, {.name = "same"}});
  world.add("three", {{.name = "same"}});
  const auto all = [&] {
    std::string text;
    for (const auto& p : world.resolve_all({.install = {"x", "same"}}))
      text += p.repo + "/" + p.location + " ";
    return text;
  };
  const auto cold = all();
  CHECK(all() == cold);
  std::reverse(world.configs.begin(), world.configs.end());
  CHECK(all() == cold);
  fs::remove_all(world.dir.path() / "cache");
  CHECK(all() == cold);
}

TEST_CASE("a damaged or old cache is made anew", "[solver]") {
  World world;
  world.add("base", kBase);
  const auto good = world.install({"app"});
  const auto caches = [&] {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(world.dir.path() / "cache/solv"))
      files.push_back(entry.path());
    return files;
  };
  REQUIRE(caches().size() == 1);
  const auto cache = caches()[0];
  const auto bytes = read_file(cache);
  SECTION("truncated") {
    fs::resize_file(cache, bytes.size() / 2);
  }
  SECTION("empty") {
    fs::resize_file(cache, 0);
  }
  SECTION("one bit") {
    auto bad = bytes;
    bad[bytes.size() / 3] = static_cast<char>(bad[bytes.size() / 3] ^ 4);
    replace_file(cache, bad);
  }
  CHECK(world.install({"app"}) == good);
  CHECK(read_file(cache) == bytes);
  test::make_small_repo(world.dir.path() / "base", {{.name = "app", .version = "9"}});
  CHECK(world.install({"app"}) == "app-9-1.noarch");
  CHECK(caches().size() == 1);  // the old state is gone
}

TEST_CASE("what was resolved can be downloaded", "[solver]") {
  World world;
  world.add("base", kBase);
  const auto packages = world.resolve_all({.install = {"app"}});
  auto files = downloads(packages, world.repos);
  REQUIRE(files.size() == 2);
  rpmmd::download_packages(files, world.dir.path() / "cache", {});
  CHECK(files[0].path == world.dir.path() / "base/app-2-1.noarch.rpm");
  CHECK(files[0].name == "app-2-1.noarch");
}

TEST_CASE("metadata that is no XML is reported with its file", "[solver]") {
  World world;
  world.add("base", kBase);
  world.repos = rpmmd::fetch_all(world.configs, world.dir.path() / "cache", {});
  replace_file(world.repos[0].primary, "changed behind our back");
  const auto failure = failure_of([&] {
    (void)resolve(world.repos, {.install = {"app"}, .basearch = "x86_64"},
                  world.dir.path() / "cache", {});
  });
  CHECK(failure.code == ErrorCode::Corrupt);
  CHECK_THAT(failure.text, Contains("Repository base") && Contains("primary"));
}
