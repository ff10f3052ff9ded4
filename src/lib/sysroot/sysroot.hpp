// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <ostree.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ostree/gptr.hpp"
#include "sysroot/cancellation.hpp"
#include "sysroot/deployment.hpp"

/// The sysroot: its stateroots, their deployments, and what can be done to them. Uses libostree for
/// every write. Works on any folder that holds a sysroot.
namespace atomichost::sysroot {

/// One sysroot as it was when last loaded. Not thread-safe; each thread opens its own.
class Sysroot {
 public:
  /// @throws Error InvalidInput: @p path holds no sysroot, or one that cannot be read.
  [[nodiscard]] static Sysroot open(const std::filesystem::path& path);

  /// Read again if something changed on disk. @return true if so. @throws Error Corrupt.
  bool reload();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] bool is_booted() const;
  /// Names of all stateroots, sorted.
  [[nodiscard]] std::vector<std::string> stateroots() const;
  /// In boot order: the first is the default for the next boot.
  [[nodiscard]] std::vector<Deployment> deployments();
  [[nodiscard]] CommitInfo commit_info(const std::string& checksum, const std::string& remote);
  /// The commit that the repository has for @p refspec. Never fetches.
  [[nodiscard]] std::optional<std::string> resolve(const std::string& refspec) const;

  /// The newest of the commits here that has this version.
  [[nodiscard]] std::optional<std::string> find_version(const std::string& version);

  /// Take the lock that every program which changes a sysroot takes; wait for another holder.
  /// @param on_wait  called once, if it has to wait.
  /// @throws Cancelled; Error Denied: the file system is read-only.
  void lock(const Cancellation& cancel, const std::function<void()>& on_wait);

  [[nodiscard]] OstreeSysroot* handle() const noexcept { return handle_.get(); }
  [[nodiscard]] OstreeRepo* repo() const noexcept { return ostree_sysroot_repo(handle_.get()); }
  [[nodiscard]] std::filesystem::path repo_path() const { return path_ / "ostree/repo"; }

 private:
  Sysroot(std::filesystem::path path, GPtr<OstreeSysroot> handle)
      : path_(std::move(path)), handle_(std::move(handle)) {}
  void read_signatures(CommitInfo& info, const std::string& remote);

  std::filesystem::path path_;
  GPtr<OstreeSysroot> handle_;
  std::map<std::string, CommitInfo> commits_;  // by "checksum remote"; verifying is slow
};

/// Read an origin; unknown groups and keys are fine.
[[nodiscard]] Origin origin_from(GKeyFile* key_file);
/// A key file for @p origin, on top of what @p previous has (unknown groups are kept).
[[nodiscard]] GPtr<GKeyFile> origin_to(const Origin& origin, GKeyFile* previous);
/// @throws Error InvalidInput: not "remote:branch", "branch" or a checksum.
[[nodiscard]] Origin origin_for(const std::string& refspec);
[[nodiscard]] bool is_checksum(std::string_view text) noexcept;

/// Which of a stateroot's deployments is which; indices into deployments().
struct Roles {
  std::optional<std::size_t> booted, pending, rollback;
  /// The pending one, else the booted one, else the first.
  std::optional<std::size_t> newest;
};
/// @note pending and rollback are those before and after the booted one; where nothing is booted,
/// the first deployment is the newest and the second the rollback.
[[nodiscard]] Roles roles_of(const std::vector<Deployment>& all, const std::string& stateroot);

}  // namespace atomichost::sysroot
