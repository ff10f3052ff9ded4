// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <vector>

#include "sandbox/read_set.hpp"
#include "sandbox/sandbox.hpp"

namespace atomichost::sandbox {

/// Shows a tree as a read-only FUSE file system and notes what is asked. One mount per server.
class TreeServer {
 public:
  /// Opens /dev/fuse. @throws Error NotFound, Denied.
  TreeServer(const tree::Tree& tree, const ContentOpener& open_content);
  /// Ends the connection; requests in flight fail.
  ~TreeServer();
  TreeServer(const TreeServer&) = delete;
  TreeServer& operator=(const TreeServer&) = delete;

  /// The descriptor to mount with: mount(..., "fuse", ..., "fd=N,rootmode=40000,...").
  [[nodiscard]] int device() const noexcept;
  /// Takes a byte once the file system is mounted: from then on a thread answers the requests,
  /// until it is unmounted.
  [[nodiscard]] int mounted() const noexcept;
  /// Wait for the end of the mount; @throws Error the first failure to read a content: what the
  /// command saw was not the tree.
  void finish();
  /// Sorted. After finish() only.
  [[nodiscard]] std::vector<Observation> observations() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atomichost::sandbox
