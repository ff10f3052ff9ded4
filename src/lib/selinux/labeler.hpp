// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

/// Labels by a policy's file contexts. The only module that includes <selinux/*>.
namespace atomichost::selinux {

/// Answers which SELinux label a path has under a given policy. Reads only the files it is given,
/// never the policy of the machine it runs on. Movable; lookups are thread-safe.
class Labeler {
 public:
  /// @param contexts_dir  holds `file_contexts` and, where the policy has them, its companions
  ///   .subs, .subs_dist, .homedirs and .local: a policy's contexts/files directory
  /// @param cache_dir  answers are remembered here between runs, keyed by id(); "": nowhere
  /// @throws Error NotFound: no file_contexts there. InvalidInput: libselinux cannot read it.
  [[nodiscard]] static Labeler open(const std::filesystem::path& contexts_dir,
                                    const std::filesystem::path& cache_dir = {});
  Labeler(Labeler&&) noexcept;
  Labeler& operator=(Labeler&&) noexcept;
  ~Labeler();  ///< writes new answers to the cache

  /// The label of @p path ("/etc/shadow": the path on the running host, not in the commit).
  /// @param mode  with the file type bits; @return "" when the policy gives none
  [[nodiscard]] std::string label(std::string_view path, mode_t mode) const;
  /// Digest of all context files, hex: equal ids give equal labels.
  [[nodiscard]] const std::string& id() const noexcept;

 private:
  struct Impl;
  explicit Labeler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atomichost::selinux
