// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/object_store.hpp"

#include <endian.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/parallel.hpp"
#include "base/strings.hpp"
#include "ostree/object_format.hpp"
#include "ostree/repo.hpp"
#include "unit/ostree/samples.hpp"

using namespace atomichost;
using namespace atomichost::test;
using ostree::ObjectStore;
using ostree::Repo;
namespace fs = std::filesystem;

namespace atomichost {
template <>
struct GFree<GFileInfo> : FreeWith<g_object_unref> {};
}  // namespace atomichost

namespace {

struct Sample {
  tree::Tree tree;
  std::map<std::string, std::string> contents;  // path -> content
};

// One of each kind that has its own trap.
Sample sample() {
  Sample s;
  auto file = [&](const std::string& path, const tree::Meta& meta, std::string content) {
    add_file(s.tree, path, meta);
    s.contents[path] = std::move(content);
  };
  file("usr/bin/plain", {.mode = 0755, .label = kLabel}, "#!/bin/sh\n");
  file("usr/bin/set-uid", {.mode = 04755, .label = kLabel}, "su");
  file("usr/bin/set-gid", {.gid = 42, .mode = 02755, .label = kLabel}, "chage");
  file("usr/bin/ping", {.mode = 0755, .label = kLabel, .capability = kCapability}, "ping");
  file("usr/etc/shadow", {.gid = 42, .mode = 0, .label = kLabel}, "root:*::\n");
  file("usr/share/open", {.uid = 1000, .gid = 1000, .mode = 0666}, "anyone");
  file("usr/share/group", {.uid = 7, .mode = 0664}, "group");
  file("usr/share/empty", {.mode = 0644, .label = kLabel}, "");
  file("usr/share/block", {.mode = 0644, .label = kLabel}, noise(256 << 10));
  file("usr/share/middle", {.mode = 0640, .label = kLabel}, noise(3'000'001));
  file("usr/share/large", {.mode = 0644, .label = kLabel}, noise(9'000'003));
  file("usr/share/caf\xc3\xa9", {.mode = 0644, .label = kLabel}, "utf-8");
  for (int i = 0; i < 300; ++i)  // a directory object over 255 and over 65535 bytes: wider offsets
    file("usr/share/many/" + std::string(200, 'n') + std::to_string(i), {.mode = 0644},
         std::to_string(i));
  s.tree.put_symlink("usr/lib/libx.so", "libx.so.1").set_label(kLabel);
  s.tree.put_symlink("usr/lib/self", ".").chown(3, 4);
  s.tree.make_dir("var/tmp").chmod(01777);
  s.tree.make_dir("usr/empty").set_label(kLabel);
  s.tree.root().set_label("system_u:object_r:root_t:s0");
  return s;
}

void put_all(Sample& s, ObjectStore& store) {
  s.tree.walk([&](const std::string& path, tree::Node& node) {
    if (node.meta->is_regular()) store.put_bytes(node, s.contents.at(path));
    if (node.meta->is_symlink()) store.put_symlink(node);
  });
}

// ---- the same by libostree's own writer ----

GPtr<GVariant> xattrs_of(const tree::Meta& meta) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ayay)"));
  auto add = [&](const char* name, const char* value, std::size_t size) {
    g_variant_builder_add(&builder, "(@ay@ay)", g_variant_new_bytestring(name),
                          g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, value, size, 1));
  };
  if (!meta.capability.empty())
    add("security.capability", meta.capability.data(), meta.capability.size());
  if (!meta.label.empty()) add("security.selinux", meta.label.c_str(), meta.label.size() + 1);
  return sink(g_variant_builder_end(&builder));
}

std::string write_with_libostree(OstreeRepo* repo, const tree::Node& node,
                                 const std::string& content) {
  const auto info = adopt(g_file_info_new());
  const bool link = node.meta->is_symlink();
  g_file_info_set_file_type(info.get(), link ? G_FILE_TYPE_SYMBOLIC_LINK : G_FILE_TYPE_REGULAR);
  g_file_info_set_attribute_uint32(info.get(), "unix::uid", node.meta->uid);
  g_file_info_set_attribute_uint32(info.get(), "unix::gid", node.meta->gid);
  g_file_info_set_attribute_uint32(info.get(), "unix::mode", node.meta->mode);
  GPtr<GInputStream> in;
  if (link) {
    g_file_info_set_symlink_target(info.get(), node.target.c_str());
  } else {
    g_file_info_set_size(info.get(), static_cast<goffset>(content.size()));
    in = adopt(g_memory_input_stream_new_from_data(content.data(),
                                                   static_cast<gssize>(content.size()), nullptr));
  }
  GErrorSink error;
  GInputStream* stream = nullptr;
  guint64 length = 0;
  const auto xattrs = xattrs_of(*node.meta);
  error.check(ostree_raw_file_to_content_stream(in.get(), info.get(), xattrs.get(), &stream,
                                                &length, nullptr, error),
              "stream");
  const auto owned = adopt(stream);
  guchar* sum = nullptr;
  error.check(ostree_repo_write_content(repo, nullptr, stream, length, &sum, nullptr, error),
              "write");
  const auto hex = adopt(ostree_checksum_from_bytes(sum));
  g_free(sum);
  return hex.get();
}

void fill(OstreeRepo* repo, OstreeMutableTree* mtree, const tree::Node& dir,
          const std::string& path, const Sample& s) {
  GErrorSink error;
  const auto meta = sink(g_variant_new("(uuu@a(ayay))", GUINT32_TO_BE(dir.meta->uid),
                                       GUINT32_TO_BE(dir.meta->gid), GUINT32_TO_BE(dir.meta->mode),
                                       xattrs_of(*dir.meta).get()));
  guchar* sum = nullptr;
  error.check(ostree_repo_write_metadata(repo, OSTREE_OBJECT_TYPE_DIR_META, nullptr, meta.get(),
                                         &sum, nullptr, error),
              "dirmeta");
  ostree_mutable_tree_set_metadata_checksum(mtree, adopt(ostree_checksum_from_bytes(sum)).get());
  g_free(sum);
  for (const auto& [name, child] : dir.children) {
    const std::string below = path.empty() ? name : path + "/" + name;
    if (child->is_dir()) {
      OstreeMutableTree* sub = nullptr;
      error.check(ostree_mutable_tree_ensure_dir(mtree, name.c_str(), &sub, error), below);
      const auto owned = adopt(sub);
      fill(repo, sub, *child, below, s);
    } else {
      const std::string hex =
          write_with_libostree(repo, *child, child->meta->is_regular() ? s.contents.at(below) : "");
      error.check(ostree_mutable_tree_replace_file(mtree, name.c_str(), hex.c_str(), error), below);
    }
  }
}

std::string commit_with_libostree(const fs::path& path, const Sample& s) {
  const Repo repo = Repo::open(path);
  GErrorSink error;
  error.check(ostree_repo_prepare_transaction(repo.get(), nullptr, nullptr, error), "prepare");
  const auto mtree = adopt(ostree_mutable_tree_new());
  fill(repo.get(), mtree.get(), s.tree.root(), "", s);
  GFile* root = nullptr;
  error.check(ostree_repo_write_mtree(repo.get(), mtree.get(), &root, nullptr, error), "mtree");
  const auto owned = adopt(root);
  char* commit = nullptr;
  const auto none = sink(g_variant_new_array(G_VARIANT_TYPE("{sv}"), nullptr, 0));
  error.check(ostree_repo_write_commit_with_time(repo.get(), nullptr, "subject", "body", none.get(),
                                                 OSTREE_REPO_FILE(root), 1700000000, &commit,
                                                 nullptr, error),
              "commit");
  error.check(ostree_repo_commit_transaction(repo.get(), nullptr, nullptr, error), "commit");
  return adopt(commit).get();
}

std::string commit_with_store(const fs::path& path, Sample& s) {
  const auto store = ObjectStore::open(path);
  put_all(s, *store);
  const auto root = store->put_tree(s.tree);
  store->publish();
  return Repo::open(path).write_commit(
      {.root = root, .subject = "subject", .body = "body", .timestamp_s = 1700000000});
}

// ---- what an object looks like on disk ----

std::string shown(const fs::path& path, bool with_time) {
  struct stat st;
  REQUIRE(!lstat(path.c_str(), &st));
  std::string out = "mode " + std::to_string(st.st_mode) + " owner " + std::to_string(st.st_uid) +
                    ":" + std::to_string(st.st_gid);
  const bool archived = path.extension() == ".filez";
  if (with_time && path.extension() == ".file" && !S_ISLNK(st.st_mode))
    out += " mtime " + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
  if (S_ISLNK(st.st_mode)) {
    out += " -> " + fs::read_symlink(path).string();
  } else {
    std::string data = read_file(path);
    if (archived) {  // the same header; the deflate stream may differ, fsck checks what it holds
      std::uint32_t length;
      memcpy(&length, data.data(), 4);
      data.resize(8 + be32toh(length));
    }
    out += " size " + std::to_string(data.size()) + " sha256 " + to_hex(sha256(data));
  }
  char names[4096];
  const ssize_t n = llistxattr(path.c_str(), names, sizeof names);
  for (const char* name = names; name < names + n; name += strlen(name) + 1) {
    char value[4096];
    const ssize_t size = lgetxattr(path.c_str(), name, value, sizeof value);
    out += std::string(" ") + name + "=" +
           to_hex(sha256({value, static_cast<std::size_t>(std::max<ssize_t>(0, size))}));
  }
  return out;
}

std::map<std::string, std::string> objects_of(const fs::path& repo, bool with_time) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(repo / "objects"))
    if (!entry.is_directory())
      out[fs::relative(entry.path(), repo).string()] = shown(entry.path(), with_time);
  return out;
}

void check_parity(const std::string& mode) {
  TempDir dir;
  const fs::path ours = dir.path() / "ours", theirs = dir.path() / "theirs";
  make_repo(ours, mode), make_repo(theirs, mode);
  Sample s = sample();
  const std::string expected = commit_with_libostree(theirs, s);
  CHECK(commit_with_store(ours, s) == expected);
  const auto got = objects_of(ours, mode != "archive"),
             want = objects_of(theirs, mode != "archive");
  for (const auto& [path, object] : want) {
    INFO(path);
    const auto it = got.find(path);
    REQUIRE(it != got.end());
    CHECK(it->second == object);
  }
  CHECK(got.size() == want.size());
  CHECK(fsck(ours) == "");
  CHECK(litter(ours) == 0);
}

// All of a node's content through the store.
std::string content_of(const ObjectStore& store, const tree::Node& node) {
  const UniqueFd fd = store.open_content(node);
  return read_fd(fd.get(), "content");
}

}  // namespace

TEST_CASE("a bare-user repository gets what libostree would write, byte for byte", "[ostree]") {
  check_parity("bare-user");
}

TEST_CASE("an archive repository gets the objects that libostree would write", "[ostree]") {
  check_parity("archive");
}

TEST_CASE("a bare repository gets owners, modes, links and attributes on disk", "[ostree][root]") {
  if (!is_root("a bare repository")) return;
  check_parity("bare");
}

TEST_CASE("objects do not depend on the umask", "[ostree]") {
  TempDir dir;
  make_repo(dir.path() / "a", "bare-user"), make_repo(dir.path() / "b", "bare-user");
  Sample a = sample(), b = sample();
  const mode_t before = umask(077);
  const std::string first = commit_with_store(dir.path() / "a", a);
  umask(0);
  const std::string second = commit_with_store(dir.path() / "b", b);
  umask(before);
  CHECK(first == second);
  auto only_files = [](std::map<std::string, std::string> objects) {
    std::erase_if(objects, [](const auto& o) { return !o.first.ends_with(".file"); });
    return objects;
  };
  CHECK(only_files(objects_of(dir.path() / "a", true)) ==
        only_files(objects_of(dir.path() / "b", true)));
}

TEST_CASE("what is not published is not seen and leaves no litter", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  Sample s = sample();
  {
    const auto store = ObjectStore::open(repo);
    put_all(s, *store);
    (void)store->put_tree(s.tree);
    CHECK(store->counters().written > 0);
    CHECK(object_count(repo) == 0);
    CHECK(content_of(*store, *s.tree.find("usr/share/large")) == s.contents["usr/share/large"]);
  }
  CHECK(object_count(repo) == 0);
  CHECK(litter(repo) == 0);
}

TEST_CASE("an object that exists is not written again", "[ostree]") {
  const std::string mode = GENERATE("bare-user", "archive");
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, mode);
  Sample s = sample();
  const std::string first = commit_with_store(repo, s);
  const auto store = ObjectStore::open(repo);
  Sample again = sample();
  put_all(again, *store);
  const auto root = store->put_tree(again.tree);
  CHECK(store->counters().written == 0);
  CHECK(store->counters().existing > 300);
  store->publish();
  CHECK(Repo::open(repo).write_commit(
            {.root = root, .subject = "subject", .body = "body", .timestamp_s = 1700000000}) ==
        first);
}

TEST_CASE("the store can be used on after it published", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  (void)Repo::create(repo, "bare-user");  // with its syncs, as users have it
  const auto store = ObjectStore::open(repo);
  tree::Tree tree;
  auto& a = add_file(tree, "a", {.mode = 0644});
  store->put_bytes(a, "first");
  store->publish();
  CHECK(content_of(*store, a) == "first");
  for (int i = 0; i < 600; ++i) {  // into shards that are there and shards that are not
    auto& node = add_file(tree, "n" + std::to_string(i), {.mode = 0644});
    store->put_bytes(node, std::to_string(i));
  }
  (void)store->put_tree(tree);
  store->publish();
  CHECK(object_count(repo) == 603);
  CHECK(content_of(*store, *tree.find("n7")) == "7");
}

TEST_CASE("a content is read back as it was put, from every mode", "[ostree]") {
  const std::string mode = GENERATE("bare-user", "archive");
  TempDir dir;
  make_repo(dir.path() / "repo", mode);
  const auto store = ObjectStore::open(dir.path() / "repo");
  Sample s = sample();
  put_all(s, *store);
  for (const auto& [path, content] : s.contents) {
    INFO(path);
    const tree::Node& node = *s.tree.find(path);
    CHECK(node.size == content.size());
    CHECK(node.content == sha256(content));
    const UniqueFd fd = store->open_content(node);
    CHECK(read_fd(fd.get(), path) == content);
    CHECK(lseek(fd.get(), 0, SEEK_SET) == 0);
  }
}

TEST_CASE("a file is put from its descriptor, whatever was read of it", "[ostree]") {
  TempDir dir;
  make_repo(dir.path() / "repo", "bare-user");
  replace_file(dir.path() / "f", "0123456789");
  const auto store = ObjectStore::open(dir.path() / "repo");
  tree::Tree tree;
  auto& node = add_file(tree, "f", {.mode = 0644});
  const UniqueFd fd = open_at(AT_FDCWD, dir.path() / "f", O_RDONLY);
  REQUIRE(lseek(fd.get(), 4, SEEK_SET) == 4);
  store->put_file(node, fd.get(), "f");
  CHECK(content_of(*store, node) == "456789");
}

TEST_CASE("a changed owner or label makes another object of the same content", "[ostree]") {
  const std::string mode = GENERATE("bare-user", "archive");
  TempDir dir;
  const fs::path a = dir.path() / "a", b = dir.path() / "b";
  make_repo(a, mode), make_repo(b, mode);
  Sample s = sample(), direct = sample();
  auto relabel = [](Sample& x) {
    x.tree.walk([](const std::string&, tree::Node& node) {
      node.set_label("system_u:object_r:other_t:s0");
      node.chown(5, 6);
    });
  };
  const auto store = ObjectStore::open(a);
  put_all(s, *store);
  relabel(s);
  const auto root = store->put_tree(s.tree, 2);
  store->publish();
  const std::string changed = Repo::open(a).write_commit(
      {.root = root, .subject = "subject", .body = "body", .timestamp_s = 1700000000});
  relabel(direct);
  CHECK(changed == commit_with_store(b, direct));
  CHECK(s.tree.find("usr/share/large")->content == sha256(s.contents["usr/share/large"]));
  CHECK(fsck(a) == "");
}

TEST_CASE("known objects are adopted when they are there", "[ostree]") {
  TempDir dir;
  make_repo(dir.path() / "repo", "bare-user");
  const auto store = ObjectStore::open(dir.path() / "repo");
  tree::Tree tree;
  auto& first = add_file(tree, "first", {.mode = 0644, .label = kLabel});
  store->put_bytes(first, "content");
  auto& same = add_file(tree, "same", {.mode = 0644, .label = kLabel});
  REQUIRE(store->adopt(same, first.object, /*same_meta=*/true));
  CHECK(same.object == first.object);
  auto& other = add_file(tree, "other", {.mode = 0600, .label = kLabel});
  other.size = first.size, other.content = first.content;
  REQUIRE(store->adopt(other, first.object, /*same_meta=*/false));
  CHECK(other.object != first.object);
  CHECK(content_of(*store, other) == "content");
  auto& none = add_file(tree, "none", {.mode = 0644});
  CHECK_FALSE(store->adopt(none, sha256("unknown"), true));
  CHECK(none.stored == nullptr);
}

TEST_CASE("a content of the wrong size is refused and leaves nothing", "[ostree]") {
  const std::string mode = GENERATE("bare-user", "archive");
  const std::size_t have = GENERATE(std::size_t{10}, std::size_t{6'000'000});
  TempDir dir;
  make_repo(dir.path() / "repo", mode);
  const auto store = ObjectStore::open(dir.path() / "repo");
  tree::Tree tree;
  auto& node = add_file(tree, "f", {.mode = 0644});
  const std::string content = noise(have);
  std::string_view rest = content;
  auto pull = [&] {
    const auto piece = rest.substr(0, 1 << 20);
    rest.remove_prefix(piece.size());
    return piece;
  };
  CHECK_THROWS_WITH(store->put_file(node, have + 1, pull), Catch::Contains("ends early"));
  rest = content;
  CHECK_THROWS_WITH(store->put_file(node, have - 1, pull), Catch::Contains("longer"));
  CHECK(node.stored == nullptr);
  store->publish();
  CHECK(object_count(dir.path() / "repo") == 0);
}

TEST_CASE("many threads put many nodes, the same contents among them", "[ostree]") {
  const std::string mode = GENERATE("bare-user", "archive");
  TempDir dir;
  const fs::path a = dir.path() / "a", b = dir.path() / "b";
  make_repo(a, mode), make_repo(b, mode);
  auto run = [](const fs::path& repo, std::size_t threads) {
    tree::Tree tree;
    std::vector<tree::Node*> nodes;
    for (int i = 0; i < 2000; ++i)
      nodes.push_back(
          &add_file(tree, "d" + std::to_string(i % 7) + "/f" + std::to_string(i), {.mode = 0644}));
    const auto store = ObjectStore::open(repo);
    parallel_for(threads, nodes.size(), [&](std::size_t, std::size_t i) {
      const std::string content = i % 100 == 0 ? noise(5'000'000, static_cast<std::uint32_t>(i % 3))
                                               : std::to_string(i % 50);
      store->put_bytes(*nodes[i], content);
      if (content_of(*store, *nodes[i]) != content) throw Error(ErrorCode::Corrupt, "not complete");
    });
    const auto root = store->put_tree(tree);
    store->publish();
    return root;
  };
  const auto many = run(a, 8), one = run(b, 1);
  CHECK(many.tree == one.tree);
  CHECK(object_count(a) == object_count(b));
  CHECK(fsck(a) == "");
}

TEST_CASE("two stores of one repository do not disturb each other", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  Sample a = sample(), b = sample();
  const auto first = ObjectStore::open(repo);
  put_all(a, *first);
  {
    const auto second = ObjectStore::open(repo);  // must not clean up the first one's objects
    put_all(b, *second);
    (void)second->put_tree(b.tree);
    second->publish();
  }
  const auto root = first->put_tree(a.tree);
  first->publish();
  (void)Repo::open(repo).write_commit({.root = root});
  CHECK(fsck(repo) == "");
}

TEST_CASE("libostree's own clean-up leaves a living staging directory alone", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  Sample s = sample();
  const auto store = ObjectStore::open(repo);
  put_all(s, *store);
  tree::Tree empty;
  {
    const auto other = ObjectStore::open(repo);
    const auto root = other->put_tree(empty);
    other->publish();
    (void)Repo::open(repo).write_commit({.root = root});  // a transaction: removes old directories
  }
  const auto root = store->put_tree(s.tree);
  store->publish();
  (void)Repo::open(repo).write_commit({.root = root});
  CHECK(fsck(repo) == "");
}

TEST_CASE("prune waits while a store is open", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  REQUIRE(run_command({.argv = {"ostree", "config", "--repo=" + repo.string(), "set",
                                "core.lock-timeout-secs", "0"}})
              .ok());
  const Command prune{.argv = {"ostree", "prune", "--repo=" + repo.string(), "--refs-only"}};
  {
    const auto store = ObjectStore::open(repo);
    const auto refused = run_command(prune);
    CHECK_FALSE(refused.ok());
    CHECK(refused.error_output.find("ock") != std::string::npos);
  }
  CHECK(run_command(prune).ok());
}

TEST_CASE("a killed writer leaves a good repository, and the next one cleans up", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  int ready[2];
  REQUIRE(!pipe(ready));
  const pid_t child = fork();
  if (child == 0) {
    auto store = ObjectStore::open(repo);
    Sample s = sample();
    put_all(s, *store);
    tree::Tree tree;
    auto& half = add_file(tree, "half", {.mode = 0644});
    const std::string piece = noise(1 << 20);
    int pieces = 0;
    store->put_file(half, 64 << 20, [&]() -> std::string_view {
      if (++pieces == 20) {
        (void)!write(ready[1], "x", 1);
        for (;;) pause();
      }
      return piece;
    });
    _exit(1);
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(litter(repo) == 2);  // the directory and its lock
  {
    const auto living = ObjectStore::open(repo);  // the writer lives: nothing is cleaned
    CHECK(litter(repo) == 4);
  }
  kill(child, SIGKILL);
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  close(ready[0]), close(ready[1]);
  CHECK(object_count(repo) == 0);
  CHECK(fsck(repo) == "");

  SECTION("our next store removes it") {
    Sample s = sample();
    (void)commit_with_store(repo, s);
    CHECK(litter(repo) == 0);
    CHECK(fsck(repo) == "");
  }
  SECTION("and so does libostree's next transaction, without publishing half objects") {
    const auto result =
        run_command({.argv = {"ostree", "commit", "--repo=" + repo.string(), "--branch=x",
                              "--tree=dir=" + (dir.path() / "repo/refs").string()}});
    REQUIRE(result.ok());
    for (const auto& entry : fs::directory_iterator(repo / "tmp"))
      CHECK_FALSE(entry.path().filename().string().starts_with("staging-atomic-"));
    CHECK(fsck(repo) == "");
  }
}

TEST_CASE("a full disk is said to be one, and harms nothing", "[ostree][root]") {
  if (!is_root("mounting a small file system")) return;
  const std::string mode = GENERATE("bare-user", "archive");
  TempDir dir;
  REQUIRE(!mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=8m"));
  const fs::path repo = dir.path() / "repo";
  {
    make_repo(repo, mode);
    // tmpfs has no user attributes here: only archive gets as far as the full disk by itself
    auto store = ObjectStore::open(repo);
    tree::Tree tree;
    auto& small = add_file(tree, "small", {.mode = 0644});
    if (mode == "archive") store->put_bytes(small, "small");
    auto& node = add_file(tree, "big", {.mode = 0644});
    std::string big(40 << 20, '\0');
    std::uint64_t state = 88172645463325252ull;  // xorshift: deflate gains nothing
    for (std::size_t i = 0; i + 8 <= big.size(); i += 8) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      memcpy(&big[i], &state, 8);
    }
    try {
      store->put_bytes(node, big);
      FAIL("the disk was not full");
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::NoSpace);
      CHECK_THAT(e.what(), Catch::Contains(repo.string()));
    }
    CHECK(node.stored == nullptr);
    store.reset();
    CHECK(litter(repo) == 0);
    CHECK(fsck(repo) == "");
    auto again = ObjectStore::open(repo);  // and there is room again
    tree::Tree fine;
    (void)again->put_tree(fine);
    again->publish();
  }
  CHECK(!umount(dir.path().c_str()));
}

TEST_CASE("space that the repository wants kept free is kept free", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "archive");
  REQUIRE(run_command({.argv = {"ostree", "config", "--repo=" + repo.string(), "set",
                                "core.min-free-space-size", "900000GB"}})
              .ok());
  try {
    (void)ObjectStore::open(repo);
    FAIL("opened");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NoSpace);
    CHECK_THAT(e.what(), Catch::Contains("min-free-space"));
  }
  CHECK(litter(repo) == 0);
}

TEST_CASE("what OSTree cannot store is refused by its path", "[ostree]") {
  TempDir dir;
  make_repo(dir.path() / "repo", "bare-user");
  const auto store = ObjectStore::open(dir.path() / "repo");
  tree::Tree tree;
  SECTION("a device") {
    tree.put("dev/null", tree::make_node({.mode = S_IFCHR | 0666}));
    CHECK_THROWS_WITH(store->put_tree(tree), Catch::Contains("/dev/null"));
  }
  SECTION("a file without content") {
    add_file(tree, "usr/nothing", {.mode = 0644});
    CHECK_THROWS_WITH(store->put_tree(tree), Catch::Contains("/usr/nothing"));
  }
  SECTION("a name that is no text") {
    store->put_bytes(add_file(tree, "usr/bad\xff", {.mode = 0644}), "");
    CHECK_THROWS_WITH(store->put_tree(tree), Catch::Contains("not UTF-8"));
  }
  SECTION("a link target that is no text") {
    CHECK_THROWS_WITH(store->put_symlink(tree.put_symlink("l", "bad\xff")),
                      Catch::Contains("not UTF-8"));
  }
}

TEST_CASE("repositories that cannot be written are refused by name", "[ostree]") {
  TempDir dir;
  try {
    (void)ObjectStore::open(dir.path() / "none");
    FAIL("opened");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), Catch::Contains((dir.path() / "none").string()));
  }
  make_repo(dir.path() / "repo", "bare-user-only");
  CHECK_THROWS_WITH(ObjectStore::open(dir.path() / "repo"), Catch::Contains("bare-user-only"));
}

TEST_CASE("a poisoned store publishes nothing", "[ostree]") {
  TempDir dir;
  const fs::path repo = dir.path() / "repo";
  make_repo(repo, "bare-user");
  {
    const auto store = ObjectStore::open(repo);
    tree::Tree tree;
    store->put_bytes(add_file(tree, "f", {.mode = 0644}), "x");
    store->poison();
    CHECK_THROWS_AS(store->publish(), Error);
  }
  CHECK(object_count(repo) == 0);
  CHECK(litter(repo) == 0);
}
