// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <vector>

#include "base/cancel.hpp"
#include "base/progress.hpp"
#include "importer/memo.hpp"
#include "ostree/object_store.hpp"
#include "rpm/package.hpp"
#include "tree/tree.hpp"

/// Package payloads to content objects. Uses rpm and ostree; payloads are read by libzstd and, for
/// other compressors, libarchive.
namespace atomichost::importer {

/// One package to import.
struct Import {
  const rpm::Package* package = nullptr;
  /// One per file of the header, in its order; nullptr: not wanted. Directories are not looked at.
  std::vector<tree::Node*> nodes;
};

struct ImportCounters {
  std::size_t read = 0;       ///< packages whose payload was read
  std::size_t from_memo = 0;  ///< packages whose objects were all known
};

/// Write the objects of all wanted files and links: node.meta says what they shall be (and
/// node.target, or the header's), content comes from the payload. Sets object, stored, size and
/// content of each. Each node belongs to one package only. Payloads are checked against the digest
/// in the signed header before their objects can be published; when anything fails, @p store is
/// poisoned.
/// @param threads  packages worked on at once
/// @throws Error naming the package: Untrusted: digest differs. Corrupt: damaged, or header and
///   payload disagree, naming the file. Cancelled.
ImportCounters import_all(const std::vector<Import>& imports, ostree::ObjectStore& store,
                          const Memo& memo, std::size_t threads, Progress& progress,
                          const CancelToken* cancel = nullptr);

}  // namespace atomichost::importer
