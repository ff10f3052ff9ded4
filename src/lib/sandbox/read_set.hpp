// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "tree/tree.hpp"

namespace atomichost::sandbox {

/// A question about one path of the tree that was asked and answered. Persisted: never reuse a
/// letter.
enum class Look : char {
  Absent = 'N',      ///< the name is not there
  Entry = 'E',       ///< type, permissions, owner: what a path walk sees
  Size = 'S',        ///< what stat() adds; times, inode numbers and link counts are made up
  Content = 'C',     ///< at least one byte of a file was read
  Listing = 'D',     ///< the names and types in a directory
  Target = 'Y',      ///< where a link points
  Capability = 'K',  ///< security.capability (executing does not look at it in the sandbox)
  Label = 'L',       ///< security.selinux
};

struct Observation {
  Look look;
  std::string path;
  std::string answer;
  auto operator<=>(const Observation&) const = default;
};

/// What the tree answers for @p node (nullptr: nothing is there). Equal answers look equal to
/// programs.
[[nodiscard]] std::string answer(Look look, const tree::Node* node);

/// The first observation that @p tree would answer differently; nullptr: a program that asked just
/// these questions behaves the same in @p tree.
[[nodiscard]] const Observation* first_difference(const std::vector<Observation>& observations,
                                                  const tree::Tree& tree);

}  // namespace atomichost::sandbox
