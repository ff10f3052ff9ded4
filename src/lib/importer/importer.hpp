// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "base/cancel.hpp"
#include "base/progress.hpp"
#include "ostree/object_store.hpp"
#include "rpm/package.hpp"
#include "tree/tree.hpp"

/// Package payloads to content objects. Uses rpm and ostree; payloads are read by libzstd and, for
/// other compressors, libarchive.
namespace atomichost::importer {

/// What earlier imports of a package gave, in a directory of the cache: a package that was imported
/// before, with the same owners, modes and labels, costs no reading at all. Damaged entries are
/// ignored and rewritten. Thread-safe for different packages, and between processes.
class Memo {
 public:
  /// @param dir  made when needed; "" remembers nothing
  explicit Memo(std::filesystem::path dir) : dir_(std::move(dir)) {}
  [[nodiscard]] const std::filesystem::path& dir() const noexcept { return dir_; }

 private:
  std::filesystem::path dir_;
};

/// One package to import.
struct Import {
  const rpm::Package* package = nullptr;
  /// One per file of the header, in its order; nullptr: not wanted (directories are never stored
  /// here, so whether they are null does not matter).
  std::vector<tree::Node*> nodes;
};

struct ImportCounters {
  std::size_t read = 0;       ///< packages whose payload was read
  std::size_t from_memo = 0;  ///< packages whose objects were all known
};

/// Write the objects of all wanted files and links: node.meta says what they shall be, content
/// comes from the payload. Sets object, stored, size and content of each. Payloads are checked
/// against the signed header (payload digest, else the digest of each file) before their objects
/// can be published; when a package fails, @p store is poisoned.
/// @param threads  packages worked on at once
/// @throws Error naming the package: Untrusted: digest differs. Corrupt: damaged, or header and
///   payload disagree, naming the file. Cancelled.
ImportCounters import_all(const std::vector<Import>& imports, ostree::ObjectStore& store,
                          const Memo& memo, std::size_t threads, Progress& progress,
                          const CancelToken* cancel = nullptr);

}  // namespace atomichost::importer
