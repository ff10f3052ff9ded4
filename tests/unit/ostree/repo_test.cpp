// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/repo.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "ostree/object_store.hpp"
#include "unit/ostree/samples.hpp"

using namespace atomichost;
using namespace atomichost::test;
using ostree::ObjectStore;
using ostree::Repo;
namespace fs = std::filesystem;

namespace {

std::string ostree_command(const fs::path& repo, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ostree");
  arguments.push_back("--repo=" + repo.string());
  const auto result = run_command({.argv = arguments});
  INFO(result.error_output);
  REQUIRE(result.ok());
  return result.output;
}

/// A repository with a tree that has one of each, published.
struct Fixture {
  TempDir dir;
  fs::path path = dir.path() / "repo";
  ostree::TreeSums root;
  explicit Fixture(const std::string& mode = "bare-user") {
    make_repo(path, mode);
    const auto store = ObjectStore::open(path);
    tree::Tree tree;
    store->put_bytes(add_file(tree, "usr/lib/passwd", {.mode = 0644}),
                     "root:x:0:0::/root:/bin/sh\n");
    store->put_bytes(add_file(tree, "usr/etc/deep/file", {.mode = 0640}), "deep");
    store->put_bytes(add_file(tree, "usr/lib/empty", {.mode = 0600}), "");
    tree.make_dir("usr/share");
    tree.put_symlink("lib", "usr/lib");
    tree.put_symlink("usr/absolute", "/lib/passwd");
    tree.put_symlink("usr/up", "../usr/./lib/../etc/deep");
    tree.put_symlink("usr/loop", "loop");
    root = store->put_tree(tree);
    store->publish();
  }
};

GVariant* metadata() {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add(&builder, "{sv}", "version", g_variant_new_string("39.1"));
  g_variant_builder_add(&builder, "{sv}", "ostree.bootable", g_variant_new_boolean(TRUE));
  return g_variant_builder_end(&builder);
}

}  // namespace

TEST_CASE("a commit is read back as it was written, and stock ostree agrees", "[ostree][repo]") {
  Fixture f;
  auto repo = Repo::open(f.path);
  const std::string parent = repo.write_commit({.root = f.root, .timestamp_s = 1});
  const std::string checksum = repo.write_commit({.root = f.root,
                                                  .parent = parent,
                                                  .subject = "Release 39.1",
                                                  .body = "All of it.",
                                                  .timestamp_s = 1700000000,
                                                  .metadata = metadata()});
  repo.set_ref("os/x86_64/stable", checksum);
  const auto commit = repo.read_commit(checksum);
  CHECK(commit.parent == parent);
  CHECK(commit.subject == "Release 39.1");
  CHECK(commit.body == "All of it.");
  CHECK(commit.timestamp_s == 1700000000);
  CHECK(commit.version() == "39.1");
  CHECK(commit.root.tree == f.root.tree);
  CHECK(commit.root.meta == f.root.meta);
  CHECK(g_variant_get_boolean(commit.value("ostree.bootable").get()));
  CHECK_FALSE(commit.text("ostree.bootable"));
  CHECK_FALSE(commit.text("nothing"));
  CHECK(repo.read_commit(parent).parent.empty());

  CHECK(ostree_command(f.path, {"rev-parse", "os/x86_64/stable"}) == checksum + "\n");
  CHECK(ostree_command(f.path, {"show", "--print-metadata-key=version", checksum}) == "'39.1'\n");
  CHECK(ostree_command(f.path, {"cat", checksum, "/usr/etc/deep/file"}) == "deep");
  CHECK(fsck(f.path) == "");
}

TEST_CASE("the same input gives the same commit, in any repository", "[ostree][repo]") {
  Fixture a("bare-user"), b("archive");
  auto write = [](Fixture& f) {
    return Repo::open(f.path).write_commit(
        {.root = f.root, .subject = "s", .timestamp_s = 5, .metadata = metadata()});
  };
  const std::string checksum = write(a);
  CHECK(checksum == write(b));
  CHECK(checksum == write(a));
}

TEST_CASE("refs resolve to commits; what is not there is no error", "[ostree][repo]") {
  Fixture f;
  auto repo = Repo::open(f.path);
  const std::string checksum = repo.write_commit({.root = f.root});
  CHECK_FALSE(repo.resolve("os/stable"));
  repo.set_ref("os/stable", checksum);
  repo.set_ref("os/testing", checksum);
  repo.set_ref("other", checksum);
  CHECK(repo.resolve("os/stable") == checksum);
  CHECK(repo.resolve(checksum) == checksum);
  CHECK(repo.refs() == std::vector<std::string>{"os/stable", "os/testing", "other"});
  CHECK(repo.refs("os") == std::vector<std::string>{"os/stable", "os/testing"});
  CHECK(repo.mode() == "bare-user");
  for (const std::string bad : {"", "/x", "a//b", "a b", "../up", "a/"}) {
    INFO(bad);
    CHECK_THROWS_AS(repo.set_ref(bad, checksum), Error);
  }
}

TEST_CASE("files of a commit are found through its own links", "[ostree][repo]") {
  Fixture f(GENERATE("bare-user", "archive"));
  auto repo = Repo::open(f.path);
  const std::string c = repo.write_commit({.root = f.root});
  const std::string passwd = "root:x:0:0::/root:/bin/sh\n";
  for (const std::string path : {"usr/lib/passwd", "/usr/lib/passwd", "lib/passwd", "usr/absolute",
                                 "usr//lib/./passwd", "../../usr/lib/passwd"}) {
    INFO(path);
    CHECK(repo.read_file(c, path) == passwd);
  }
  CHECK(repo.read_file(c, "usr/up/file") == "deep");
  CHECK(repo.read_file(c, "usr/lib/empty") == "");
  for (const std::string path :
       {"usr/lib", "usr/none", "usr/none/x", "usr/lib/passwd/x", "usr/loop", ""}) {
    INFO(path);
    CHECK_FALSE(repo.read_file(c, path));
  }
}

TEST_CASE("a directory of a commit is listed with kinds and sizes", "[ostree][repo]") {
  Fixture f(GENERATE("bare-user", "archive"));
  auto repo = Repo::open(f.path);
  const std::string c = repo.write_commit({.root = f.root});
  const auto usr = repo.list(c, "/usr");
  REQUIRE(usr);
  REQUIRE(usr->size() == 6);
  CHECK(usr->at(0).name == "absolute");
  CHECK(S_ISLNK(usr->at(0).mode));
  CHECK(usr->at(0).target == "/lib/passwd");
  CHECK(usr->at(1).name == "etc");
  CHECK(S_ISDIR(usr->at(1).mode));
  const auto lib = repo.list(c, "lib");
  REQUIRE(lib);
  CHECK(lib->at(1).name == "passwd");
  CHECK(lib->at(1).mode == (S_IFREG | 0644));
  CHECK(lib->at(1).size == 26);
  CHECK(repo.list(c, "/")->size() == 2);
  CHECK(repo.list(c, "usr/share")->empty());
  CHECK_FALSE(repo.list(c, "usr/lib/passwd"));
  CHECK_FALSE(repo.list(c, "usr/none"));
}

TEST_CASE("a commit whose objects are missing cannot be written", "[ostree][repo]") {
  Fixture f;
  auto repo = Repo::open(f.path);
  const auto before = object_count(f.path);
  CHECK_THROWS_AS(repo.write_commit({.root = {.tree = sha256("no"), .meta = f.root.meta}}), Error);
  CHECK(object_count(f.path) == before);
  (void)repo.write_commit({.root = f.root});  // and the repository can be used on
}

TEST_CASE("a commit is signed with a key of a given key ring", "[ostree][repo]") {
  Fixture f;
  auto repo = Repo::open(f.path);
  const std::string c = repo.write_commit({.root = f.root});
  repo.set_ref("os", c);
  const fs::path home = f.dir.path() / "gnupg";
  make_directories(home);
  fs::permissions(home, fs::perms::owner_all);
  auto gpg = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"gpg", "--batch", "--passphrase", "", "--pinentry-mode",
                                         "loopback", "--homedir", home.string()});
    const auto result = run_command({.argv = arguments});
    INFO(result.error_output);
    REQUIRE(result.ok());
    return result.output;
  };
  gpg({"--quick-gen-key", "signer@example.org", "rsa2048", "sign", "never"});
  const std::string listing = gpg({"--list-keys", "--with-colons"});
  const auto at = listing.find("fpr:::::::::");
  REQUIRE(at != std::string::npos);
  const std::string key = listing.substr(at + 12, 40);
  try {
    repo.sign(c, "0000000000000000000000000000000000000000", home);
    FAIL("signed");
  } catch (const Error& e) {
    CHECK_THAT(e.what(), Catch::Contains(c));
  }
  repo.sign(c, key, home);
  (void)run_command({.argv = {"gpgconf", "--homedir", home.string(), "--kill", "all"}});
  const auto shown = run_command({.argv = {"ostree", "show", "--repo=" + f.path.string(),
                                           "--gpg-homedir=" + home.string(), c}});
  CHECK_THAT(shown.output, Catch::Contains("Found 1 signature"));
  CHECK(repo.resolve("os") == c);
}

TEST_CASE("the summary follows the refs where the repository wants one", "[ostree][repo]") {
  Fixture f("archive");
  SECTION("asked for") {
    auto repo = Repo::open(f.path);
    repo.set_ref("os", repo.write_commit({.root = f.root}));
    CHECK_FALSE(fs::exists(f.path / "summary"));
    repo.regenerate_summary();
    CHECK_THAT(ostree_command(f.path, {"summary", "--view"}), Catch::Contains("os"));
  }
  SECTION("by itself") {
    std::ofstream(f.path / "config", std::ios::app) << "auto-update-summary=true\n";
    auto repo = Repo::open(f.path);
    repo.set_ref("os", repo.write_commit({.root = f.root}));
    CHECK_THAT(ostree_command(f.path, {"summary", "--view"}), Catch::Contains("os"));
  }
}

TEST_CASE("a missing repository, commit or mode is named", "[ostree][repo]") {
  Fixture f;
  try {
    (void)Repo::open(f.dir.path() / "none");
    FAIL("opened");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), Catch::Contains("none"));
  }
  CHECK_THROWS_WITH(Repo::create(f.dir.path() / "x", "sideways"), Catch::Contains("sideways"));
  const std::string none(64, '0');
  try {
    (void)Repo::open(f.path).read_commit(none);
    FAIL("read");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), Catch::Contains(none));
  }
}
