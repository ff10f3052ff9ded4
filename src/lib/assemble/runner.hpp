// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "assemble/files.hpp"
#include "base/cancel.hpp"
#include "base/progress.hpp"
#include "rpm/package.hpp"
#include "sandbox/sandbox.hpp"

namespace atomichost::assemble {

/// One program that ran in the tree, for the summary.
struct Ran {
  std::string name;
  double seconds = 0;
  bool replayed = false;
};

/// Runs programs in the tree and takes their changes over into it.
class Runner {
 public:
  Runner(Files& files, ostree::ObjectStore& store, sandbox::Options options, Progress& progress,
         const CancelToken* cancel);
  /// Run @p job; it must end with status 0.
  /// @throws Error Failed: "<name>: exit status 3" with the last lines of its output, or its time
  /// was up; the tree is as it was. NoSpace. Cancelled.
  void run(const sandbox::Job& job);
  /// Is the program @p path ("usr/bin/dracut") in the tree?
  [[nodiscard]] bool has(std::string_view path) const;
  [[nodiscard]] const std::vector<Ran>& ran() const noexcept { return ran_; }
  [[nodiscard]] Files& files() noexcept { return files_; }

 private:
  Files& files_;
  ostree::ObjectStore& store_;
  sandbox::Sandbox sandbox_;
  Progress& progress_;
  const CancelToken* cancel_;
  std::vector<Ran> ran_;
};

/// Run the packages' %pre: all of them, in install order. @p packages and what it returns as for
/// run_scripts().
void run_pre_scripts(Runner& runner, const std::vector<const rpm::Package*>& packages,
                     Progress& progress);

/// Run %post of each package with the %filetriggerin that its files call for, in install order,
/// then all %posttrans, then %transfiletriggerin by priority.
/// @return one line for each script or trigger that a compose does not run and that would have
/// mattered.
/// @throws Error naming package and script.
std::vector<std::string> run_post_scripts(Runner& runner,
                                          const std::vector<const rpm::Package*>& packages,
                                          Progress& progress);

/// Run the treefile's own script @p text (with or without "#!") as "<name>".
void run_postprocess(Runner& runner, const std::string& name, const std::string& text);

/// Enable systemd @p units as `systemctl enable` does. @throws Error naming the unit.
void enable_units(Runner& runner, const std::vector<std::string>& units);

/// The kernel of the tree.
struct Kernel {
  std::string version;  ///< "6.1.0-18-amd64"
};
/// Find the tree's one kernel and put it in /usr/lib/modules/VERSION/vmlinuz.
/// @return version "" when the tree has none. @throws Error InvalidInput: several.
Kernel place_kernel(Files& files);
/// depmod, and with @p with_initramfs dracut with the ostree module, into
/// /usr/lib/modules/VERSION/initramfs.img.
void finish_kernel(Runner& runner, const Kernel& kernel, bool with_initramfs,
                   const std::vector<std::string>& initramfs_args);
/// The old place of kernels that boot-location "new" asks for beside /usr/lib/modules:
/// usr/lib/ostree-boot with the boot checksum in the names.
void copy_kernel_to_ostree_boot(Files& files, const Kernel& kernel);

}  // namespace atomichost::assemble
