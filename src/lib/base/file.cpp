// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost {
namespace fs = std::filesystem;

UniqueFd open_at(int dfd, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(openat(dfd, path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) throw_errno("Opening " + path);
  return fd;
}

std::string read_fd(int fd, const std::string& name_for_errors) {
  std::string content;
  struct stat st;
  if (!fstat(fd, &st) && st.st_size > 0) content.reserve(static_cast<std::size_t>(st.st_size));
  char block[16384];
  for (;;) {
    const ssize_t n = read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("Reading " + name_for_errors);
    if (n == 0) return content;
    content.append(block, static_cast<std::size_t>(n));
  }
}

std::string read_file(const fs::path& path) {
  return read_fd(open_at(AT_FDCWD, path, O_RDONLY).get(), path);
}

void write_all(int fd, std::string_view data, const std::string& name_for_errors) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("Writing " + name_for_errors);
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

void replace_file(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::string temp = parent / ("." + path.filename().string() + ".XXXXXX");
  UniqueFd fd(mkostemp(temp.data(), O_CLOEXEC));
  if (!fd) throw_errno("Writing " + path.string());
  try {
    write_all(fd.get(), content, path);
    if (fchmod(fd.get(), mode) || fsync(fd.get())) throw_errno("Writing " + path.string());
    if (rename(temp.c_str(), path.c_str())) throw_errno("Replacing " + path.string());
  } catch (...) {
    unlink(temp.c_str());
    throw;
  }
  const UniqueFd dir = open_at(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY);
  if (fsync(dir.get()) && errno != EINVAL) throw_errno("Syncing " + parent.string());
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw errno_error(error.value(), "Creating directory " + path.string());
}

namespace {

void remove_at(int dfd, const char* name, dev_t device, const std::string& shown) {
  struct stat st;
  if (fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW)) {
    if (errno == ENOENT) return;
    throw_errno("Removing " + shown);
  }
  if (S_ISDIR(st.st_mode)) {
    if (device && st.st_dev != device)
      throw Error(ErrorCode::Busy, "Removing " + shown + ": is a mount point");
    const UniqueFd fd = open_at(dfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(dup(fd.get())), closedir);
    if (!dir) throw_errno("Removing " + shown);
    while (const dirent* entry = readdir(dir.get())) {
      const std::string_view child = entry->d_name;
      if (child != "." && child != "..")
        remove_at(fd.get(), entry->d_name, st.st_dev, shown + "/" + entry->d_name);
    }
  }
  if (unlinkat(dfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) && errno != ENOENT)
    throw_errno("Removing " + shown);
}

}  // namespace

void remove_tree(const fs::path& path) {
  remove_at(AT_FDCWD, path.c_str(), 0, path);
}

TempDir::TempDir(const fs::path& parent, const std::string& prefix) {
  const char* tmp = getenv("TMPDIR");
  const fs::path base = !parent.empty() ? parent : fs::path(tmp && *tmp ? tmp : "/var/tmp");
  std::string pattern = base / (prefix + "XXXXXX");
  if (!mkdtemp(pattern.data())) throw_errno("Creating a temporary directory in " + base.string());
  path_ = pattern;
}

TempDir::~TempDir() {
  if (path_.empty()) return;
  try {
    remove_tree(path_);
  } catch (const std::exception&) {  // nothing sensible is left to do: the next cleanup finds it
  }
}

FileLock::FileLock(const fs::path& path, const std::string& what, bool wait)
    : fd_(open_at(AT_FDCWD, path, O_RDWR | O_CREAT, 0644)) {
  while (flock(fd_.get(), LOCK_EX | (wait ? 0 : LOCK_NB))) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw_errno("Locking " + path.string());
    const auto holder = std::string(trim(read_fd(fd_.get(), path)));
    throw Error(ErrorCode::Busy, what + " is in use" +
                                     (holder.empty() ? "" : " by process " + holder) +
                                     " (lock file " + path.string() + ")");
  }
  if (!ftruncate(fd_.get(), 0)) write_all(fd_.get(), fmt::format("{}\n", getpid()), path);
}

}  // namespace atomichost
