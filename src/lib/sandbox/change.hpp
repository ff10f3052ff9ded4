// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "tree/tree.hpp"

namespace atomichost::sandbox {

/// One path that a command left different from what it found.
struct Change {
  enum class Kind : std::uint8_t {
    Removed,    ///< the file, link or whole directory is gone
    Directory,  ///< a new directory, or one with other owner, mode or (`opaque`) contents
    File,
    Symlink,
    Special,  ///< device, fifo or socket: no commit can hold it; what was there before is gone
  };
  std::string path;  ///< "etc/passwd"; "" is the root directory
  Kind kind = Kind::Removed;
  tree::Meta meta;      ///< uid, gid, mode, capability; the label is never set
  bool opaque = false;  ///< directory: nothing of what was below is left but what follows
  std::string target;   ///< symbolic link
  std::uint64_t size = 0;
  Digest digest{};                ///< SHA-256 of a file's content
  std::filesystem::path content;  ///< where a file's content lies, as long as the Result lives

  /// A new descriptor at the start of a file's content. @throws Error NotFound.
  [[nodiscard]] UniqueFd open_content() const;
};

/// Stores what @p node (already with meta, size, content or target) is to hold and fills
/// node.object and node.stored: @p content is a file's bytes from offset 0, or -1 for a link. May
/// set the label first.
using PutContent = std::function<void(const std::string& path, tree::Node& node, int content)>;

/// Make @p tree what the command saw when it ended. Files whose content is unchanged keep their
/// object (and package) and only get the new meta; replaced and new nodes have package -1; a
/// replaced node of the same type keeps its label.
/// @throws Error of @p put and of reading the contents, with the path in front.
void apply(tree::Tree& tree, const std::vector<Change>& changes, const PutContent& put);

}  // namespace atomichost::sandbox
