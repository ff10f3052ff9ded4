// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.hpp"

/// The tree that a compose builds: directories, files and links in memory, contents in the object
/// store. Owns the model only; no I/O. Not thread-safe: one thread changes a tree at a time;
/// different nodes' results (content, object) may be filled in by different threads.
namespace atomichost::tree {

/// Everything of an inode that OSTree stores beside content and name.
struct Meta {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t mode = 0;  ///< with the file type bits
  std::string label;       ///< SELinux context without its NUL; "" is unlabelled
  std::string capability;  ///< raw security.capability value; "" is none
  auto operator<=>(const Meta&) const = default;

  [[nodiscard]] bool is_dir() const noexcept { return S_ISDIR(mode); }
  [[nodiscard]] bool is_regular() const noexcept { return S_ISREG(mode); }
  [[nodiscard]] bool is_symlink() const noexcept { return S_ISLNK(mode); }
};

/// The one shared copy of @p meta; lives as long as the process. Equal values give equal pointers.
/// Thread-safe.
[[nodiscard]] const Meta* intern(const Meta& meta);

/// One file, link or directory. Devices, fifos and sockets do not occur: OSTree cannot store them.
struct Node {
  const Meta* meta = nullptr;  ///< what it shall be
  const Meta* stored =
      nullptr;         ///< the meta with which `object` was written; nullptr: nothing written yet
  std::string target;  ///< symbolic link
  std::uint64_t size = 0;  ///< content bytes of a regular file
  Digest content{};        ///< SHA-256 of the content of a regular file
  Digest object{};  ///< OSTree content object; its content is readable from the store if `stored`
  std::int32_t package = -1;  ///< index into the package list of who brought it, -1: script or us
  std::map<std::string, std::unique_ptr<Node>, std::less<>>
      children;  ///< bytewise order, as OSTree wants

  [[nodiscard]] bool is_dir() const noexcept { return meta->is_dir(); }
  [[nodiscard]] Node* child(std::string_view name) const noexcept;
  /// Change single fields; the interned meta is replaced.
  void chown(std::uint32_t uid, std::uint32_t gid);
  void chmod(std::uint32_t permissions);  ///< keeps the file type bits
  void set_label(const std::string& label);
};

/// The root directory and what is below. Paths are relative, "usr/bin/bash"; a leading "/" is
/// accepted.
/// "" is the root. ".." and empty components are errors of the caller (assert).
class Tree {
 public:
  Tree();  ///< an empty root, 0755 root:root
  [[nodiscard]] Node& root() noexcept { return *root_; }
  [[nodiscard]] const Node& root() const noexcept { return *root_; }
  /// No link is followed.
  [[nodiscard]] Node* find(std::string_view path) const noexcept;
  /// Follows links inside the tree in every component but the last (and that too with @p last);
  /// nullptr: dangling, loop or not there.
  [[nodiscard]] Node* resolve(std::string_view path, bool last = true) const;
  /// The path that @p path stands for with links in all directories followed ("bin/sh" ->
  /// "usr/bin/sh"). Parts that do not exist are kept as written.
  [[nodiscard]] std::string canonical_parent(std::string_view path) const;
  /// Create directory and its parents (new ones with @p mode, root:root) and return it.
  /// @throws Error InvalidInput: a component is there and is no directory.
  Node& make_dir(std::string_view path, std::uint32_t mode = 0755);
  /// Put @p node at @p path, replacing what is there; parents are made.
  Node& put(std::string_view path, std::unique_ptr<Node> node);
  Node& put_symlink(std::string_view path, std::string target);
  /// Take a node out of the tree; nullptr if there is none.
  std::unique_ptr<Node> take(std::string_view path);
  bool remove(std::string_view path) { return take(path) != nullptr; }
  /// Move @p from to @p to (which must not exist; parents are made).
  void move(std::string_view from, std::string_view to);
  /// Every node, parents before children, bytewise order; paths without leading "/", the root is
  /// "".
  void walk(const std::function<void(const std::string& path, Node& node)>& visit);
  void walk(const std::function<void(const std::string& path, const Node& node)>& visit) const;

 private:
  std::unique_ptr<Node> root_;
};

[[nodiscard]] std::unique_ptr<Node> make_node(const Meta& meta);

}  // namespace atomichost::tree
