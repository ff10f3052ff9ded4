// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/change.hpp"
#include "sandbox/read_set.hpp"

namespace atomichost::sandbox {

/// What successful commands looked at and wrote, on disk. For one key (all that a command is given
/// beside the tree) there may be several memories, of different trees.
///
///     DIR/runs/KEY/ID          one memory, with its own digest at the end
///     DIR/content/AB/CDEF...   file contents by SHA-256
///
/// Nothing here is needed: what is damaged or missing counts as not remembered. Files appear whole,
/// by rename, so several processes may use one directory. Thread-safe.
class Memo {
 public:
  Memo(std::filesystem::path dir, std::uint64_t limit_bytes)
      : dir_(std::move(dir)), limit_(limit_bytes) {}

  struct Memory {
    std::vector<Observation> observations;
    std::string output;
    std::vector<Change> writes;  ///< their contents lie in the memo
  };

  /// The latest memory whose observations @p tree answers the same way.
  [[nodiscard]] std::optional<Memory> find(const Digest& key, const tree::Tree& tree) const;

  /// Keep @p memory, whose contents lie elsewhere. When the limit is passed, what was not used for
  /// longest goes, but nothing used within the last hour.
  /// @throws Error when it cannot be written.
  void store(const Digest& key, const Memory& memory);

 private:
  [[nodiscard]] std::filesystem::path run_dir(const Digest& key) const;
  [[nodiscard]] std::filesystem::path content_path(const Digest& digest) const;
  [[nodiscard]] std::optional<Memory> load(const std::filesystem::path& file) const;
  bool contents_are_whole(const Memory& memory) const;
  void evict();

  std::filesystem::path dir_;
  std::uint64_t limit_;
  std::mutex mutex_;
  std::optional<std::uint64_t> used_;  ///< bytes, once counted
};

}  // namespace atomichost::sandbox
