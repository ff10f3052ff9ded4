// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.hpp"
#include "tree/tree.hpp"

/// OSTree's object formats: serialised GVariants, integers big-endian. Pure functions.
/// Source: "ostree-core.h", OSTREE_DIRMETA_GVARIANT_FORMAT and its neighbours, and the GVariant
/// specification; tests compare with libostree.
namespace atomichost::ostree {

/// (uuua(ayay)): a dirmeta object; also what bare-user keeps in the attribute user.ostreemeta.
[[nodiscard]] std::string serialize_meta(const tree::Meta& meta);
/// What is hashed in front of a content: length-prefixed (uuuusa(ayay)).
[[nodiscard]] std::string content_header(const tree::Meta& meta, std::string_view target);
/// What stands in front of the deflated content in a .filez: length-prefixed (tuuuusa(ayay)).
[[nodiscard]] std::string archive_header(const tree::Meta& meta, std::string_view target,
                                         std::uint64_t size);

/// Builds a dirtree, (a(say)a(sayay)). Entries of each kind are added in bytewise order.
class DirTree {
 public:
  void add_file(std::string_view name, const Digest& object);
  void add_directory(std::string_view name, const Digest& tree, const Digest& meta);
  [[nodiscard]] std::string finish();

 private:
  std::string files_, directories_;
  std::vector<std::size_t> file_ends_, directory_ends_;
};

/// "ab/cdef....<extension>", relative to objects/. @param extension ".file", ".filez", ".dirtree"
[[nodiscard]] std::string object_path(const Digest& object, std::string_view extension);

}  // namespace atomichost::ostree
