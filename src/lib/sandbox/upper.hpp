// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "sandbox/change.hpp"

namespace atomichost::sandbox {

/// All that lies in the upper directory of an overlay, in bytewise order of the paths; also
/// directories that are there only because something below changed. Nothing at or below the paths
/// in @p skip.
/// @throws Error for read errors.
[[nodiscard]] std::vector<Change> collect(const std::filesystem::path& upper,
                                          const std::set<std::string>& skip);

/// Without those that leave @p tree as it is. What was written is kept apart from what it changes,
/// because the same writes may change more in another tree.
[[nodiscard]] std::vector<Change> effective(std::vector<Change> writes, const tree::Tree& tree);

}  // namespace atomichost::sandbox
