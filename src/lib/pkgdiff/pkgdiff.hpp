// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <compare>
#include <functional>
#include <string>
#include <vector>

/// What changed between two package lists. Pure; standard library only, so that clients may link
/// it. Thread-safe.
namespace atomichost::pkgdiff {

struct Package {
  std::string name;
  std::string evr;  ///< "[epoch:]version-release"
  std::string arch;
  auto operator<=>(const Package&) const = default;
};

/// One package that is there before and after, in different versions.
struct Change {
  Package before;
  Package after;
  bool operator==(const Change&) const = default;
};

/// Each list sorted by name, then architecture, then version.
struct Diff {
  std::vector<Package> added;
  std::vector<Package> removed;
  std::vector<Change> upgraded;  ///< also the same version in another architecture
  std::vector<Change> downgraded;
  [[nodiscard]] bool empty() const noexcept {
    return added.empty() && removed.empty() && upgraded.empty() && downgraded.empty();
  }
};

/// Negative, 0 or positive: the first version is older, equal, newer. rpm::compare_evr() is one.
using CompareEvr = std::function<int(const std::string& evr_a, const std::string& evr_b)>;

/// Compare two lists, in any order. Versions that are in both do not count. What is left of one
/// name and architecture (several kernels, say) is paired newest with newest; the rest is added or
/// removed. After that a lone package that only moved to or from "noarch" counts as changed.
[[nodiscard]] Diff compare(const std::vector<Package>& before, const std::vector<Package>& after,
                           const CompareEvr& compare_evr);

/// The changelog entries that came with an upgrade: those of @p after, newest first, down to the
/// one that is the newest of @p before (all when that one is not there, or nothing was before).
/// @tparam Entry  comparable with ==, such as rpm::ChangelogEntry.
template <typename Entry>
[[nodiscard]] std::vector<Entry> new_entries(const std::vector<Entry>& before,
                                             const std::vector<Entry>& after) {
  const auto known =
      before.empty() ? after.end() : std::find(after.begin(), after.end(), before.front());
  return {after.begin(), known};
}

}  // namespace atomichost::pkgdiff
