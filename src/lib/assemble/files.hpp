// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ostree/object_store.hpp"
#include "selinux/labeler.hpp"
#include "tree/tree.hpp"

namespace atomichost::assemble {

/// Reading and writing file contents of a tree whose contents live in an object store. What is
/// written is labelled at once, so that it is written once. Not thread-safe.
class Files {
 public:
  /// @param labeler  nullptr: nothing is labelled.
  Files(tree::Tree& tree, ostree::ObjectStore& store, const selinux::Labeler* labeler)
      : tree_(tree), store_(store), labeler_(labeler) {}

  [[nodiscard]] tree::Tree& tree() noexcept { return tree_; }
  /// Content of the regular file at @p path, links in directories and the last link followed.
  [[nodiscard]] std::optional<std::string> read(std::string_view path) const;
  /// Content of @p node. @throws Error
  [[nodiscard]] std::string read(const tree::Node& node, const std::string& path) const;
  /// Create or replace the regular file @p path; an existing file's owner and mode are kept.
  tree::Node& write(std::string_view path, std::string_view content, std::uint32_t mode = 0644);
  /// As write(), from a descriptor.
  tree::Node& write_fd(std::string_view path, int fd, std::uint32_t mode = 0644);
  tree::Node& symlink(std::string_view path, std::string target);
  tree::Node& directory(std::string_view path, std::uint32_t mode = 0755);
  /// Write the content of @p node (at @p path) from @p fd: for changes that come out of a sandbox.
  void put(tree::Node& node, const std::string& path, int fd);
  void label(tree::Node& node, std::string_view path) const;

 private:
  tree::Node& make(std::string_view path, std::uint32_t mode);
  tree::Tree& tree_;
  ostree::ObjectStore& store_;
  const selinux::Labeler* labeler_;
};

}  // namespace atomichost::assemble
