// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace atomichost::sandbox {

/// A child process that is killed and waited for when this goes away.
class Child {
 public:
  Child() = default;
  explicit Child(pid_t pid);
  Child(Child&& o) noexcept;
  Child& operator=(Child&& o) noexcept;
  ~Child();
  void kill() noexcept;
  /// Wait for its end. @return as waitpid() gives it; the first result again when asked again.
  int wait() noexcept;
  /// Readable when the child has ended.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  int status_ = 0;
  bool ended_ = false;
};

/// Start the first process of a new pid namespace, in a mount namespace of its own where the FUSE
/// file system of @p fuse_device and the overlay on it (at WORK_DIR/root, with /proc) are mounted.
/// A byte is written to @p mounted as soon as requests may come. Its end is the end of everything
/// that runs in the namespace, and of the mounts.
/// @p work_dir holds the directories lower, upper, work and root.
/// @throws Error naming the step that failed and what may be missing.
[[nodiscard]] Child start_holder(const std::filesystem::path& work_dir, int fuse_device,
                                 int mounted);

/// Run @p argv (argv[0] an absolute path) in the mount namespace of @p holder, with @p work_dir as
/// directory and the descriptors @p fds as 0, 1, 2, ...
[[nodiscard]] Child start_in(const Child& holder, const std::filesystem::path& work_dir,
                             const std::vector<std::string>& argv,
                             const std::vector<std::string>& env, const std::vector<int>& fds);

/// The pid namespace of @p holder, for bubblewrap's --pidns.
[[nodiscard]] UniqueFd pid_namespace(const Child& holder);

/// The absolute path of @p name in PATH. @throws Error NotFound, ending with @p what_to_do.
[[nodiscard]] std::string find_program(const std::string& name, const std::string& what_to_do);

}  // namespace atomichost::sandbox
