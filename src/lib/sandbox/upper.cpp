// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/upper.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::sandbox {
namespace {

std::string attribute(int fd, const char* name) {
  char value[256];
  const ssize_t n = fgetxattr(fd, name, value, sizeof value);
  return n > 0 ? std::string(value, static_cast<std::size_t>(n)) : std::string();
}

class Collector {
 public:
  Collector(std::filesystem::path upper, const std::set<std::string>& skip)
      : upper_(std::move(upper)), skip_(skip) {}

  std::vector<Change> run() {
    const UniqueFd root = open_at(AT_FDCWD, upper_, O_RDONLY | O_DIRECTORY);
    directory(root.get(), "");
    // Whole paths, not names: "a-b" comes before "a/b". Parents stay before children.
    std::sort(changes_.begin(), changes_.end(),
              [](const Change& a, const Change& b) { return a.path < b.path; });
    return std::move(changes_);
  }

 private:
  static void fill(Change& change, const struct stat& st) {
    change.meta.uid = st.st_uid;
    change.meta.gid = st.st_gid;
    change.meta.mode = st.st_mode;
  }

  void directory(int fd, const std::string& path) {
    struct stat st;
    if (fstat(fd, &st)) throw_errno("Reading the changes of /" + path);
    Change change{.path = path, .kind = Change::Kind::Directory};
    fill(change, st);
    change.opaque = attribute(fd, "trusted.overlay.opaque") == "y";
    changes_.push_back(std::move(change));
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(dup(fd)), closedir);
    if (!dir) throw_errno("Reading the changes of /" + path);
    while (const dirent* entry = readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const std::string child = path.empty() ? name : path + "/" + name;
      if (!skip_.contains(child)) one(fd, name, child);
    }
  }

  void one(int dfd, const std::string& name, const std::string& path) {
    struct stat st;
    if (fstatat(dfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW))
      throw_errno("Reading the changes of /" + path);
    if (S_ISDIR(st.st_mode))
      return directory(open_at(dfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).get(), path);
    Change change{.path = path, .kind = Change::Kind::Special};
    fill(change, st);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
      change.kind = Change::Kind::Removed;
      change.meta = {};
    } else if (S_ISLNK(st.st_mode)) {
      change.kind = Change::Kind::Symlink;
      char target[PATH_MAX];
      const ssize_t n = readlinkat(dfd, name.c_str(), target, sizeof target);
      if (n < 0) throw_errno("Reading the link /" + path);
      change.target.assign(target, static_cast<std::size_t>(n));
    } else if (S_ISREG(st.st_mode)) {
      change.kind = Change::Kind::File;
      const UniqueFd fd = open_at(dfd, name, O_RDONLY | O_NOFOLLOW);
      change.size = static_cast<std::uint64_t>(st.st_size);
      change.digest = sha256_fd(fd.get(), "/" + path);
      change.meta.capability = attribute(fd.get(), "security.capability");
      change.content = upper_ / path;
    }
    changes_.push_back(std::move(change));
  }

  std::filesystem::path upper_;
  const std::set<std::string>& skip_;
  std::vector<Change> changes_;
};

bool same_meta(const tree::Meta& a, const tree::Meta& b) {
  return a.uid == b.uid && a.gid == b.gid && a.mode == b.mode && a.capability == b.capability;
}

bool changes_something(const Change& write, const tree::Tree& tree) {
  const tree::Node* old = tree.find(write.path);
  switch (write.kind) {
    case Change::Kind::Removed:
      return old != nullptr;
    case Change::Kind::Special:
      return true;
    case Change::Kind::Directory:
      return write.opaque || !old || !same_meta(*old->meta, write.meta);
    case Change::Kind::File:
      return !old || !same_meta(*old->meta, write.meta) || old->size != write.size ||
             old->content != write.digest;
    case Change::Kind::Symlink:
      return !old || !same_meta(*old->meta, write.meta) || old->target != write.target;
  }
  return true;
}

}  // namespace

std::vector<Change> collect(const std::filesystem::path& upper, const std::set<std::string>& skip) {
  return Collector(upper, skip).run();
}

std::vector<Change> effective(std::vector<Change> writes, const tree::Tree& tree) {
  std::set<std::string, std::less<>> emptied;  // directories whose old contents are gone
  auto below_emptied = [&](std::string_view path) {
    for (auto slash = path.rfind('/'); slash != path.npos; slash = path.rfind('/')) {
      path = path.substr(0, slash);
      if (emptied.contains(path)) return true;
    }
    return false;
  };
  std::vector<Change> kept;
  for (Change& write : writes) {
    if (write.kind == Change::Kind::Directory && write.opaque) emptied.insert(write.path);
    if (changes_something(write, tree) ||
        (!emptied.empty() && write.kind != Change::Kind::Removed && below_emptied(write.path)))
      kept.push_back(std::move(write));
  }
  return kept;
}

}  // namespace atomichost::sandbox
