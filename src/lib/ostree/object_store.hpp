// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "tree/tree.hpp"

/// Repositories: reading, objects, commits, refs. The only module besides sysroot that includes
/// <ostree.h>.
namespace atomichost::ostree {

/// The two objects that a commit points to.
struct TreeSums {
  Digest tree{};  ///< dirtree of the root directory
  Digest meta{};  ///< dirmeta of the root directory
};

/// What an ObjectStore did so far.
struct StoreCounters {
  std::uint64_t written = 0;   ///< new objects
  std::uint64_t existing = 0;  ///< objects that were there already
  std::uint64_t bytes = 0;     ///< bytes written to disk for new objects
};

/// The next piece of a content, valid until the next call; empty at the end.
using Pull = std::function<std::string_view()>;

/// Writes content and directory objects into a repository, several times faster than libostree and
/// byte-identical with it: `bare-user`, `archive` and (as root) `bare`. Objects are hashed first
/// and written only when new, into a staging directory; publish() makes them visible. Nothing is
/// seen in the repository before, and a store that goes away unpublished leaves nothing behind;
/// what a killed process left is removed by the next open() or by libostree. Holds the repository's
/// shared lock while it exists, so that nobody prunes objects which are about to be used.
///
/// Thread rule: everything but put_tree() and publish() may be called from several threads at once
/// for different nodes. When a put returns, its object is complete and readable by open_content().
///
/// Errors: NoSpace (also when the repository's min-free-space would be touched), Denied, ...: they
/// name the repository. A failed put leaves its node and the repository as they were.
class ObjectStore {
 public:
  /// @throws Error NotFound: no repository there. InvalidInput: a mode that is not supported.
  [[nodiscard]] static std::unique_ptr<ObjectStore> open(const std::filesystem::path& repo);
  virtual ~ObjectStore() = default;
  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;

  /// Write the content object of a regular file: node.meta and @p size bytes from @p pull. Sets
  /// size, content, object and stored.
  /// @param content  SHA-256 of the content where it is known and trusted; nullptr: computed here.
  /// @throws Error Corrupt: @p pull ends early or its last piece is too long.
  virtual void put_file(tree::Node& node, std::uint64_t size, const Pull& pull,
                        const Digest* content = nullptr) = 0;
  /// The same from the current offset of @p fd to its end.
  void put_file(tree::Node& node, int fd, const std::string& name_for_errors);
  void put_bytes(tree::Node& node, std::string_view content);
  /// Write the object of a symbolic link: node.meta and node.target. Sets object and stored.
  /// @throws Error InvalidInput: the target is not UTF-8, which OSTree cannot store.
  virtual void put_symlink(tree::Node& node) = 0;
  /// Write the object again where node.meta is no longer what it was stored with.
  virtual void refresh(tree::Node& node) = 0;
  /// Take @p object, known from an earlier run to hold node's content, for @p node; written anew
  /// when @p same_meta is false. Sets object and stored; size and content are the caller's.
  /// @return false: the object is not in this repository; nothing was changed.
  virtual bool adopt(tree::Node& node, const Digest& object, bool same_meta) = 0;
  /// The content of a stored regular file: readable and seekable, at offset 0.
  [[nodiscard]] virtual UniqueFd open_content(const tree::Node& node) const = 0;
  /// Write the directory objects of @p tree. Nodes whose meta changed since they were stored are
  /// refreshed first, on @p threads threads (0: one per core); links that were not stored yet are
  /// stored.
  /// @throws Error Failed: a file has no object; InvalidInput: a name is not UTF-8; naming the
  /// path.
  [[nodiscard]] virtual TreeSums put_tree(tree::Tree& tree, std::size_t threads = 0) = 0;
  /// Sync, make all staged objects visible, sync. May be called again after further puts.
  virtual void publish() = 0;
  /// Refuse to publish from now on: what was staged came from a source that proved wrong.
  virtual void poison() noexcept = 0;
  [[nodiscard]] virtual StoreCounters counters() const noexcept = 0;
  [[nodiscard]] virtual const std::filesystem::path& path() const noexcept = 0;

 protected:
  ObjectStore() = default;
};

}  // namespace atomichost::ostree
