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

/// First process of a new pid namespace, in a mount namespace where the overlay is mounted at
/// "root" in the work directory. Its end is the end of everything that runs there, and of the
/// mounts.
class Holder {
 public:
  /// @p work_dir holds the directories lower, upper, work and root. Mounts the FUSE file system of
  /// @p fuse_device on lower, calls @p serve (which must start the server), mounts the overlay and
  /// /proc.
  /// @throws Error naming the mount that failed and what may be missing.
  template <typename Serve>
  Holder(const std::filesystem::path& work_dir, int fuse_device, const Serve& serve)
      : Holder(work_dir, fuse_device) {
    serve();
    wait_until_ready();
  }
  void kill() noexcept { child_.kill(); }
  void wait() noexcept { child_.wait(); }
  [[nodiscard]] pid_t pid() const noexcept { return child_.pid(); }

 private:
  Holder(const std::filesystem::path& work_dir, int fuse_device);
  void wait_until_ready();
  void expect(char step);

  std::filesystem::path work_dir_;
  UniqueFd steps_;
  Child child_;
};

/// Run @p argv (argv[0] an absolute path) in the mount namespace of @p holder, with @p work_dir as
/// directory. The descriptors @p fds become 0, 1, 2, ... there; the one at the place of
/// kPidNamespace is the holder's pid namespace.
[[nodiscard]] Child start_in(const Holder& holder, const std::filesystem::path& work_dir,
                             const std::vector<std::string>& argv,
                             const std::vector<std::string>& env, const std::vector<int>& fds);

/// The pid namespace of @p holder, for bubblewrap's --pidns.
[[nodiscard]] UniqueFd pid_namespace(const Holder& holder);

}  // namespace atomichost::sandbox
