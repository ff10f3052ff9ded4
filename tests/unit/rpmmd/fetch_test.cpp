// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>

#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "rpmmd/rpmmd.hpp"
#include "support/failure.hpp"
#include "support/small_repo.hpp"

using namespace atomichost;
using test::failure_of;
using namespace atomichost::rpmmd;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const std::vector<test::SmallPackage> kTwo{
    {.name = "big", .files = {{"/usr/share/big", "x"}}, .payload_size = 400000},
    {.name = "tiny", .files = {{"/usr/bin/tiny", "hi"}}}};

struct World {
  explicit World(const test::SmallRepoOptions& options = {}) {
    test::make_small_repo(root, kTwo, options);
    config.id = "test";
    config.file = "test.repo";
    config.line = 1;
    config.retries = 1;
    config.timeout_s = 2;
  }
  RepoConfig& over(const test::HttpServer& server) {
    config.baseurls = {server.url()};
    return config;
  }
  RepoConfig& in_place() {
    config.baseurls = {"file://" + root.string()};
    return config;
  }
  [[nodiscard]] fs::path primary() const { return record("primary"); }
  [[nodiscard]] fs::path record(const std::string& type) const {
    for (const auto& entry : fs::directory_iterator(root / "repodata"))
      if (entry.path().string().find(type) != std::string::npos) return entry.path();
    throw std::runtime_error("no " + type);
  }
  [[nodiscard]] RepoMetadata fetch(const FetchOptions& options = {}) const {
    return fetch_metadata(config, cachedir, options);
  }

  TempDir dir;
  fs::path root = dir.path() / "repo";
  fs::path cachedir = dir.path() / "cache";
  RepoConfig config;
};

std::string sha256_of(const fs::path& path) {
  return to_hex(sha256(read_file(path)));
}

std::vector<Download> both(const World& world) {
  std::vector<Download> downloads;
  for (const char* name : {"big-1-1.noarch.rpm", "tiny-1-1.noarch.rpm"}) {
    Download d;
    d.config = &world.config;
    d.name = name;
    d.location = name;
    d.checksum_type = "sha256";
    d.checksum = sha256_of(world.root / name);
    d.size = fs::file_size(world.root / name);
    downloads.push_back(d);
  }
  return downloads;
}

std::size_t count(const std::vector<std::string>& lines, const std::string& part) {
  return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
    return line.find(part) != std::string::npos;
  }));
}

/// Everything below @p directory, path -> content.
std::map<std::string, std::string> snapshot(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) all[entry.path()] = read_file(entry.path());
  return all;
}

}  // namespace

TEST_CASE("metadata comes over HTTP once; unchanged, only repomd.xml is asked for", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  const auto first = world.fetch();
  CHECK(read_file(first.primary) == read_file(world.primary()));
  CHECK(first.repomd_digest == sha256_of(world.root / "repodata/repomd.xml"));
  CHECK(first.timestamp_s == 1600000000);
  CHECK(first.revision == "1600000000");
  CHECK(first.filelists.empty());
  CHECK(count(server.requests(), "primary") == 1);

  server.forget_requests();
  const auto again = world.fetch();
  CHECK(again.primary == first.primary);
  CHECK(server.requests() == std::vector<std::string>{"GET /repodata/repomd.xml 200"});

  auto metadata = again;
  fetch_filelists(metadata, world.cachedir, {});
  CHECK(read_file(metadata.filelists) == read_file(world.record("filelists")));

  server.stop();
  FetchOptions offline;
  offline.cache_only = true;
  CHECK(world.fetch(offline).primary == first.primary);
}

TEST_CASE("a changed repository replaces the cached state and its files", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  const auto before = world.fetch();
  test::make_small_repo(world.root, {kTwo[1]});
  const auto after = world.fetch();
  CHECK(after.repomd_digest != before.repomd_digest);
  CHECK(fs::exists(after.primary));
  CHECK_FALSE(fs::exists(before.primary));
}

TEST_CASE("a damaged cache is noticed and mended", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  const auto first = world.fetch();
  const auto good = read_file(first.primary);
  SECTION("changed primary") {
    replace_file(first.primary, good + "x");
  }
  SECTION("empty repomd.xml") {
    replace_file(first.repomd, "");
  }
  SECTION("missing primary") {
    fs::remove(first.primary);
  }
  CHECK(read_file(world.fetch().primary) == good);
}

TEST_CASE("a failed refresh leaves the cache as it was", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  (void)world.fetch();
  const auto before = snapshot(world.cachedir);
  test::make_small_repo(world.root, {kTwo[1]});
  SECTION("primary is not there") {
    server.misbehave(R"([{"match":"primary","do":"status","value":404}])");
  }
  SECTION("primary has wrong content") {
    server.misbehave(R"([{"match":"primary","do":"content","value":"<html>hello</html>"}])");
  }
  SECTION("repomd.xml is a login page") {
    server.misbehave(R"([{"match":"repomd","do":"content","value":"<html>log in</html>"}])");
  }
  const auto failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Corrupt);
  CHECK_THAT(failure.text, Contains("Repository test: "));
  CHECK(snapshot(world.cachedir) == before);
  server.misbehave("[]");
  CHECK(world.fetch().repomd_digest == sha256_of(world.root / "repodata/repomd.xml"));
}

TEST_CASE("servers that fail once are asked again, those that always fail are named", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  server.misbehave(R"([{"match":"repomd","do":"status","value":500,"times":1},
                       {"match":"primary","do":"truncate","value":20,"times":1}])");
  CHECK(fs::exists(world.fetch().primary));

  server.misbehave(R"([{"match":"repomd","do":"status","value":503}])");
  auto failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Unreachable);
  CHECK_THAT(failure.text, Contains("Repository test: Fetching repodata/repomd.xml") &&
                               Contains("503") && Contains(server.url()) &&
                               Contains("check baseurl in test.repo:1"));
  server.misbehave(R"([{"match":"repomd","do":"status","value":404}])");
  server.forget_requests();
  failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Unreachable);
  CHECK_THAT(failure.text, Contains("404"));
  CHECK(server.requests().size() == 1);  // asking again would not help

  world.config.baseurls = {test::dead_url()};
  failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Unreachable);
  CHECK_THAT(failure.text,
             Contains("Couldn't connect") && Contains(test::dead_url().substr(0, 17)));
}

TEST_CASE("a server that falls silent is given up after the timeout", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  world.config.retries = 0;
  world.config.timeout_s = 1;
  server.misbehave(R"([{"match":"repomd","do":"stall","value":10}])");
  const auto failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Unreachable);
}

TEST_CASE("cancelling ends a stalled transfer at once", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  world.config.timeout_s = 60;
  CancelToken cancel;
  FetchOptions options;
  options.cancel = &cancel;
  server.misbehave(R"([{"match":".","do":"hang"}])");
  // The request is on its way when the server has it in its log.
  std::atomic<bool> is_over{false};
  std::thread canceller([&] {
    while (server.requests().empty() && !is_over) std::this_thread::yield();
    cancel.cancel();
  });
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(world.fetch(options), Cancelled);
  is_over = true;
  canceller.join();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("mirrors are tried in turn, and a metalink's digest decides", "[rpmmd]") {
  World world;
  test::HttpServer good(world.root);
  TempDir stale;
  fs::create_directories(stale.path() / "repodata");
  replace_file(stale.path() / "repodata/repomd.xml", "<repomd>old</repomd>");
  test::HttpServer bad(stale.path());
  SECTION("two base URLs") {
    bad.misbehave(R"([{"match":".","do":"status","value":404}])");
    world.config.baseurls = {bad.url(), good.url()};
  }
  SECTION("mirror list") {
    bad.misbehave(R"([{"match":"repodata","do":"drop"}])");
    replace_file(stale.path() / "list", "# mirrors\n" + bad.url() + "/\n" + good.url() + "/\n");
    world.config.mirrorlist = bad.url() + "/list";
  }
  SECTION("metalink") {
    const auto repomd = read_file(world.root / "repodata/repomd.xml");
    replace_file(
        stale.path() / "metalink",
        R"(<?xml version="1.0"?><metalink version="3.0" xmlns="http://www.metalinker.org/">
<files><file name="repomd.xml"><size>)" +
            std::to_string(repomd.size()) + R"(</size><verification><hash type="sha256">)" +
            to_hex(sha256(repomd)) + R"(</hash></verification><resources>
<url protocol="http" type="http" preference="100">)" +
            bad.url() + R"(/repodata/repomd.xml</url>
<url protocol="http" type="http" preference="50">)" +
            good.url() + R"(/repodata/repomd.xml</url></resources></file></files></metalink>)");
    world.config.metalink = bad.url() + "/metalink";
  }
  CHECK(read_file(world.fetch().primary) == read_file(world.primary()));
  auto downloads = both(world);
  download_packages(downloads, world.cachedir, {});
  CHECK(read_file(downloads[1].path) == read_file(world.root / "tiny-1-1.noarch.rpm"));
}

TEST_CASE("a file: repository is used in place and checked", "[rpmmd]") {
  World world;
  world.in_place();
  auto metadata = world.fetch();
  CHECK(metadata.primary == world.primary());
  CHECK(metadata.local_root == world.root);
  fetch_filelists(metadata, world.cachedir, {});
  CHECK(metadata.filelists == world.record("filelists"));

  SECTION("half-written: file missing") {
    fs::remove(world.primary());
  }
  SECTION("half-written: file changed") {
    replace_file(world.primary(), "something else");
  }
  const auto failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Corrupt);
  CHECK_THAT(failure.text, Contains("half-written") && Contains("createrepo_c"));
}

TEST_CASE("a folder that is no repository is named", "[rpmmd]") {
  World world;
  world.in_place();
  fs::remove_all(world.root / "repodata");
  const auto failure = failure_of([&] { (void)world.fetch(); });
  CHECK(failure.code == ErrorCode::Unreachable);
  CHECK_THAT(failure.text, Contains("repodata/repomd.xml") && Contains("test.repo:1"));
}

TEST_CASE("only skip_if_unavailable lets a dead repository pass", "[rpmmd]") {
  World world;
  world.in_place();
  RepoConfig dead = world.config;
  dead.id = "dead";
  dead.baseurls = {"file:///nowhere"};
  CHECK_THROWS_WITH(fetch_all({dead, world.config}, world.cachedir, {}), Contains("dead"));
  dead.skip_if_unavailable = true;
  struct Lines : Progress {
    void message(const std::string& line) override { lines.push_back(line); }
    std::vector<std::string> lines;
  } progress;
  FetchOptions options;
  options.progress = &progress;
  CHECK(fetch_all({dead, world.config}, world.cachedir, options).size() == 1);
  REQUIRE(progress.lines.size() == 1);
  CHECK_THAT(progress.lines[0], Contains("dead") && Contains("left out"));
}

TEST_CASE("a variable without a value stops the fetch with advice", "[rpmmd]") {
  World world;
  world.in_place();
  world.config.undefined_variables = {"$releasever"};
  CHECK_THROWS_WITH(world.fetch(), Contains("set releasever in the treefile"));
}

TEST_CASE("repo_gpgcheck takes nothing but the repository's own key", "[rpmmd]") {
  const bool in_place = GENERATE(true, false);
  CAPTURE(in_place);
  World world({.sign_repomd = "one"});
  test::HttpServer server(world.root);
  if (in_place)
    world.in_place();
  else
    world.over(server);
  world.config.repo_gpgcheck = true;
  world.config.gpgkeys = {"file://" + test::small_repo_key("one").string()};
  CHECK(fs::exists(world.fetch().primary));
  if (!in_place) {
    FetchOptions offline;
    offline.cache_only = true;
    CHECK(fs::exists(world.fetch(offline).primary));
  }

  const auto untrusted = [&](const std::string& text) {
    const auto failure = failure_of([&] { (void)world.fetch(); });
    CHECK(failure.code == ErrorCode::Untrusted);
    CHECK_THAT(failure.text, Contains("Repository test: ") && Contains(text));
  };
  const fs::path repomd = world.root / "repodata/repomd.xml";
  SECTION("another key") {
    world.config.gpgkeys = {"file://" + test::small_repo_key("two").string()};
    untrusted("not among the configured");
  }
  SECTION("no key") {
    world.config.gpgkeys.clear();
    untrusted("set gpgkey=");
  }
  SECTION("changed repomd.xml") {
    replace_file(repomd, read_file(repomd) + "\n");
    untrusted("changed after it was signed");
  }
  SECTION("no signature") {
    fs::remove(repomd.string() + ".asc");
    untrusted("is not signed");
  }
  SECTION("expired key") {
    test::sign_file("expired", repomd);
    world.config.gpgkeys = {"file://" + test::small_repo_key("expired").string()};
    untrusted("has expired");
  }
  SECTION("revoked key") {
    test::sign_file("revoked", repomd);
    world.config.gpgkeys = {"file://" + test::small_repo_key("revoked").string()};
    untrusted("is revoked");
  }
}

TEST_CASE("keys are read from files and servers, and kept for offline use", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  const auto path = test::small_repo_key("one");
  replace_file(world.root / "KEY", read_file(path));
  world.config.gpgkeys = {"file://" + path.string(), server.url() + "/KEY"};
  const auto files = fetch_keys(world.config, world.cachedir, {});
  REQUIRE(files.size() == 2);
  CHECK(files[0].data == files[1].data);
  CHECK(files[1].source == server.url() + "/KEY");
  server.stop();
  FetchOptions offline;
  offline.cache_only = true;
  CHECK(fetch_keys(world.config, world.cachedir, offline).size() == 2);
  const auto failure = failure_of([&] { (void)fetch_keys(world.config, world.cachedir, {}); });
  CHECK(failure.code == ErrorCode::Unreachable);
  CHECK_THAT(failure.text, Contains("gpgkey " + server.url() + "/KEY"));
  world.config.gpgkeys = {"file:///nowhere/KEY"};
  CHECK_THROWS_WITH(fetch_keys(world.config, world.cachedir, {}), Contains("/nowhere/KEY"));
}

TEST_CASE("packages are downloaded, verified and then found in the cache", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  auto downloads = both(world);
  const auto bytes = downloads[0].size + downloads[1].size;
  CHECK(bytes_to_download(downloads, world.cachedir) == bytes);
  download_packages(downloads, world.cachedir, {});
  for (const auto& d : downloads) {
    CHECK(sha256_of(d.path) == d.checksum);
    CHECK_FALSE(d.was_cached);
    CHECK(d.path.string().starts_with((world.cachedir / "packages/test").string()));
  }
  CHECK(bytes_to_download(downloads, world.cachedir) == 0);
  server.stop();
  auto again = both(world);
  download_packages(again, world.cachedir, {});
  CHECK(again[0].path == downloads[0].path);
  CHECK(again[0].was_cached);
}

TEST_CASE("a broken transfer is continued where it broke", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  auto downloads = both(world);
  SECTION("in the same run") {
    server.misbehave(R"([{"match":"big","do":"truncate","value":100000,"times":1}])");
    download_packages(downloads, world.cachedir, {});
    CHECK(count(server.requests(), "bytes=") >= 1);
  }
  SECTION("in the next run") {
    world.config.retries = 0;
    server.misbehave(R"([{"match":"big","do":"truncate","value":100000}])");
    const auto failure = failure_of([&] { download_packages(downloads, world.cachedir, {}); });
    CHECK(failure.code == ErrorCode::Unreachable);
    CHECK_THAT(failure.text, Contains("big-1-1.noarch.rpm of repository test"));
    server.misbehave("[]");
    server.forget_requests();
    download_packages(downloads, world.cachedir, {});
    CHECK(count(server.requests(), "bytes=") == 1);
    CHECK(count(server.requests(), "tiny") == 0);  // that one was kept
  }
  SECTION("unless the server cannot") {
    world.config.retries = 2;
    server.misbehave(R"([{"match":"big","do":"truncate","value":100000,"times":1},
                         {"match":"big","do":"no-range"}])");
    download_packages(downloads, world.cachedir, {});
  }
  SECTION("unless what is there is damaged") {
    const auto part = downloads[0].checksum.substr(0, 16) + "-big-1-1.noarch.rpm.part";
    world.config.retries = 0;
    server.misbehave(R"([{"match":"big","do":"truncate","value":100000}])");
    CHECK_THROWS_AS(download_packages(downloads, world.cachedir, {}), Error);
    const fs::path path = world.cachedir / "packages/test" / part;
    REQUIRE(fs::exists(path));
    const UniqueFd fd = open_at(AT_FDCWD, path, O_WRONLY);
    write_all(fd.get(), "damage", path);
    world.config.retries = 1;
    server.misbehave("[]");
    download_packages(downloads, world.cachedir, {});
  }
  CHECK(sha256_of(downloads[0].path) == downloads[0].checksum);
}

TEST_CASE("wrong bytes never come in", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  auto downloads = both(world);
  SECTION("the server sends something else") {
    server.misbehave(R"([{"match":"tiny","do":"content","value":"not an rpm"}])");
  }
  SECTION("the metadata has another checksum") {
    downloads[1].checksum[0] ^= 1;
  }
  const auto failure = failure_of([&] { download_packages(downloads, world.cachedir, {}); });
  CHECK(failure.code == ErrorCode::Corrupt);
  CHECK_THAT(failure.text, Contains("tiny-1-1.noarch.rpm of repository test"));
  CHECK_FALSE(fs::exists(downloads[1].path));
  CHECK(fs::exists(downloads[0].path));  // the good one is kept
}

TEST_CASE("a package that is not on the server is named with what to do", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  fs::rename(world.root / "tiny-1-1.noarch.rpm", world.root / "x");
  auto downloads = std::vector<Download>(1);
  downloads[0] = {&world.config,
                  "tiny",
                  "tiny-1-1.noarch.rpm",
                  "",
                  "sha256",
                  sha256_of(world.root / "x"),
                  fs::file_size(world.root / "x"),
                  {},
                  false};
  CHECK_THROWS_WITH(download_packages(downloads, world.cachedir, {}),
                    Contains("Package tiny of repository test") && Contains("404"));
}

TEST_CASE("a cached package that was tampered with is fetched again", "[rpmmd]") {
  World world;
  test::HttpServer server(world.root);
  world.over(server);
  auto downloads = both(world);
  download_packages(downloads, world.cachedir, {});
  const auto good = read_file(downloads[1].path);
  auto bad = good;
  bad[bad.size() - 1] = static_cast<char>(bad.back() ^ 1);
  replace_file(downloads[1].path, bad);
  download_packages(downloads, world.cachedir, {});
  CHECK(read_file(downloads[1].path) == good);
  CHECK_FALSE(downloads[1].was_cached);

  replace_file(downloads[1].path, bad);
  FetchOptions offline;
  offline.cache_only = true;
  const auto failure = failure_of([&] { download_packages(downloads, world.cachedir, offline); });
  CHECK(failure.code == ErrorCode::NotFound);
}

TEST_CASE("packages of a file: repository are used in place, verified by digest", "[rpmmd]") {
  World world;
  world.in_place();
  const fs::path rpm = world.root / "tiny-1-1.noarch.rpm";
  // As if made long ago: then a stat stamp may stand for the digest.
  auto downloads = both(world);
  download_packages(downloads, world.cachedir, {});
  CHECK(downloads[1].path == rpm);
  CHECK(downloads[1].was_cached);
  CHECK(bytes_to_download(downloads, world.cachedir) == 0);

  SECTION("changed, same size") {
    auto content = read_file(rpm);
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
    const UniqueFd fd = open_at(AT_FDCWD, rpm, O_WRONLY);
    write_all(fd.get(), content, rpm);
    const auto failure = failure_of([&] { download_packages(downloads, world.cachedir, {}); });
    CHECK(failure.code == ErrorCode::Corrupt);
    CHECK_THAT(failure.text, Contains("tiny") && Contains("Wrong sha256 checksum"));
  }
  SECTION("truncated") {
    fs::resize_file(rpm, 100);
    CHECK_THROWS_WITH(download_packages(downloads, world.cachedir, {}), Contains("Wrong size"));
  }
  SECTION("gone, and another one changed: both are reported") {
    fs::remove(rpm);
    fs::resize_file(world.root / "big-1-1.noarch.rpm", 100);
    CHECK_THROWS_WITH(download_packages(downloads, world.cachedir, {}),
                      Contains("2 packages") && Contains("tiny") && Contains("big"));
  }
}

TEST_CASE("sha512 and sha1 repositories work, md5 is refused", "[rpmmd]") {
  const std::string type = GENERATE("sha512", "sha1");
  World world({.checksum = type});
  world.in_place();
  CHECK(fs::exists(world.fetch().primary));
  auto downloads = both(world);
  downloads[0].checksum_type = "md5";
  CHECK_THROWS_WITH(download_packages(downloads, world.cachedir, {}), Contains("md5"));
}
