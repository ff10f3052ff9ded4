// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/etc.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "ostree/gptr.hpp"

namespace atomichost::sysroot {
namespace {

std::map<std::string, struct stat> list(int dfd, const std::string& shown) {
  std::map<std::string, struct stat> entries;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fcntl(dfd, F_DUPFD_CLOEXEC, 3)),
                                                closedir);
  if (!dir) throw_errno("Reading " + shown);
  rewinddir(dir.get());
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat st;
    if (fstatat(dfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
      if (errno == ENOENT) continue;  // /etc is alive
      throw_errno("Reading " + shown + "/" + entry->d_name);
    }
    entries.emplace(name, st);
  }
  return entries;
}

std::string link_target(int dfd, const std::string& name) {
  char target[4096];
  const ssize_t n = readlinkat(dfd, name.c_str(), target, sizeof target);
  return n < 0 ? "" : std::string(target, static_cast<std::size_t>(n));
}

bool same_content(int a_dir, int b_dir, const std::string& name, const std::string& shown) {
  const UniqueFd a(openat(a_dir, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  const UniqueFd b(openat(b_dir, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!a || !b) {
    if (errno == ENOENT) return false;
    throw_errno("Reading " + shown);
  }
  char x[16384], y[16384];
  for (off_t offset = 0;;) {
    const ssize_t n = pread(a.get(), x, sizeof x, offset);
    const ssize_t m = pread(b.get(), y, sizeof y, offset);
    if (n < 0 || m < 0) throw_errno("Reading " + shown);
    if (n != m || std::memcmp(x, y, static_cast<std::size_t>(n)) != 0) return false;
    if (n == 0) return true;
    offset += n;
  }
}

bool same_meta(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

UniqueFd open_dir(int dfd, const std::string& name, const std::string& shown) {
  UniqueFd fd(openat(dfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) throw_errno("Reading " + shown);
  return fd;
}

void add_all(int dfd, const std::string& prefix, EtcChanges& changes) {
  for (const auto& [name, st] : list(dfd, "/etc/" + prefix)) {
    changes.added.push_back(prefix + name);
    if (S_ISDIR(st.st_mode))
      add_all(open_dir(dfd, name, "/etc/" + prefix + name).get(), prefix + name + "/", changes);
    else
      changes.files.push_back(prefix + name);
  }
}

void compare(int defaults, int current, const std::string& prefix, EtcChanges& changes) {
  const auto before = list(defaults, "/usr/etc/" + prefix);
  const auto now = list(current, "/etc/" + prefix);
  for (const auto& [name, st] : before)
    if (!now.contains(name)) changes.removed.push_back(prefix + name);
  for (const auto& [name, st] : now) {
    const std::string path = prefix + name;
    const auto old = before.find(name);
    if (old == before.end()) {
      changes.added.push_back(path);
      if (S_ISDIR(st.st_mode))
        add_all(open_dir(current, name, "/etc/" + path).get(), path + "/", changes);
      else
        changes.files.push_back(path);
      continue;
    }
    bool is_same = same_meta(old->second, st);
    if (is_same && S_ISREG(st.st_mode))
      is_same = st.st_size == old->second.st_size &&
                same_content(defaults, current, name, "/etc/" + path);
    if (is_same && S_ISLNK(st.st_mode))
      is_same = link_target(defaults, name) == link_target(current, name);
    if (!is_same) changes.modified.push_back(path);
    if (!is_same && !S_ISDIR(st.st_mode)) changes.files.push_back(path);
    if (S_ISDIR(st.st_mode) && S_ISDIR(old->second.st_mode))
      compare(open_dir(defaults, name, "/usr/etc/" + path).get(),
              open_dir(current, name, "/etc/" + path).get(), path + "/", changes);
  }
}

/// An object in the tree of a commit, or nothing.
class DefaultFile {
 public:
  DefaultFile(OstreeRepo* repo, const std::string& commit) {
    GFile* root = nullptr;
    GErrorSink error;
    error.check(ostree_repo_read_commit(repo, commit.c_str(), &root, nullptr, nullptr, error),
                "Reading commit " + commit);
    root_ = adopt(root);
  }
  [[nodiscard]] GFileType type(const std::string& path) const {
    const auto file = child(path);
    return g_file_query_file_type(file.get(), G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, nullptr);
  }
  /// Content and metadata together; "" when there is none; "dir" for every directory.
  [[nodiscard]] std::string identity(const std::string& path) const {
    const auto file = child(path);
    if (!ostree_repo_file_ensure_resolved(OSTREE_REPO_FILE(file.get()), nullptr)) return "";
    if (type(path) == G_FILE_TYPE_DIRECTORY) return "dir";
    const char* checksum = ostree_repo_file_get_checksum(OSTREE_REPO_FILE(file.get()));
    return checksum ? checksum : "";
  }

 private:
  [[nodiscard]] GPtr<GFile> child(const std::string& path) const {
    return adopt(g_file_resolve_relative_path(root_.get(), ("usr/etc/" + path).c_str()));
  }
  GPtr<GFile> root_;
};

}  // namespace

EtcChanges etc_changes(const std::filesystem::path& deployment) {
  EtcChanges changes;
  const UniqueFd defaults(
      open((deployment / "usr/etc").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd current(open((deployment / "etc").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!defaults || !current) return changes;
  compare(defaults.get(), current.get(), "", changes);
  return changes;
}

std::vector<std::string> etc_conflicts(const EtcChanges& changes, OstreeRepo* repo,
                                       const std::string& commit) {
  std::vector<std::string> conflicts;
  const DefaultFile defaults(repo, commit);
  for (const auto& path : changes.files)
    if (defaults.type(path) == G_FILE_TYPE_DIRECTORY) conflicts.push_back(path);
  return conflicts;
}

std::vector<std::string> etc_shadowed(const EtcChanges& changes, OstreeRepo* repo,
                                      const std::string& old_commit,
                                      const std::string& new_commit) {
  std::vector<std::string> shadowed;
  const DefaultFile before(repo, old_commit), after(repo, new_commit);
  for (const auto& path : changes.files)
    if (before.identity(path) != after.identity(path)) shadowed.push_back(path);
  return shadowed;
}

}  // namespace atomichost::sysroot
