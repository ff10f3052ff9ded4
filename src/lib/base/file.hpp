// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace atomichost {

/// @throws Error NotFound, Denied, ... naming @p path. AT_FDCWD for paths relative to the working
/// directory.
[[nodiscard]] UniqueFd open_at(int dfd, const std::string& path, int flags, mode_t mode = 0);
[[nodiscard]] std::string read_file(const std::filesystem::path& path);
[[nodiscard]] std::string read_fd(int fd, const std::string& name_for_errors);
/// All of @p data, however often the kernel takes only a part.
void write_all(int fd, std::string_view data, const std::string& name_for_errors);
/// Replace @p path in one step: temporary file in its directory, written, synced, renamed,
/// directory synced. A crash leaves the old or the new content.
void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode = 0644);
/// Create @p path and its parents (0755); fine if it exists.
void make_directories(const std::filesystem::path& path);
/// Remove a file or a whole tree; fine if there is none. Never follows links, never crosses into
/// mounts.
void remove_tree(const std::filesystem::path& path);

/// A directory that is removed with all it holds when this goes away.
class TempDir {
 public:
  /// In @p parent, or in $TMPDIR or /var/tmp.
  explicit TempDir(const std::filesystem::path& parent = {}, const std::string& prefix = "atomic-");
  TempDir(TempDir&& o) noexcept : path_(std::exchange(o.path_, {})) {}
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// An exclusive or shared lock on a file (flock), held until destruction, gone with the process.
class FileLock {
 public:
  /// @throws Error Busy when another holds it and @p wait is false; the text names @p what and the
  /// holder's process as written in the file.
  FileLock(const std::filesystem::path& path, const std::string& what, bool wait);

 private:
  UniqueFd fd_;
};

}  // namespace atomichost
