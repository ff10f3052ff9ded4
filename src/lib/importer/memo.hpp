// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/sha256.hpp"

namespace atomichost::importer {

/// What earlier imports gave, in a directory of the cache: a package that was imported before, with
/// the same owners, modes and labels, costs no reading at all. Damaged entries count as none.
/// Thread-safe, and between processes: entries are replaced in one step.
class Memo {
 public:
  /// @param dir  made when needed; "" remembers nothing
  explicit Memo(std::filesystem::path dir);

  /// One file of a package.
  struct File {
    bool known = false;
    Digest meta{};    ///< of what the inode was stored with
    Digest object{};  ///< OSTree content object
    Digest content{};
    std::uint64_t size = 0;
    bool operator==(const File&) const = default;
  };
  /// @param key  header digest of the package, hex
  /// @param files  how many it has
  [[nodiscard]] std::optional<std::vector<File>> load(const std::string& key,
                                                      std::size_t files) const;
  /// Never fails: what cannot be remembered costs time, nothing else.
  void save(const std::string& key, const std::vector<File>& files) const noexcept;

 private:
  std::filesystem::path dir_;
};

}  // namespace atomichost::importer
