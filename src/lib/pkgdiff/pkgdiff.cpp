// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pkgdiff/pkgdiff.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace atomichost::pkgdiff {
namespace {

/// Versions on both sides of one name and architecture.
struct Sides {
  std::vector<Package> before;
  std::vector<Package> after;
};

void note_change(Diff& diff, const CompareEvr& compare_evr, Package before, Package after) {
  auto& list = compare_evr(before.evr, after.evr) > 0 ? diff.downgraded : diff.upgraded;
  list.push_back({std::move(before), std::move(after)});
}

/// Take out what both sides have, then pair newest with newest.
void pair_versions(Diff& diff, const CompareEvr& compare_evr, Sides& sides) {
  const auto older = [&](const Package& a, const Package& b) {
    const int order = compare_evr(a.evr, b.evr);
    return order != 0 ? order < 0 : a.evr < b.evr;
  };
  std::sort(sides.before.begin(), sides.before.end(), older);
  std::sort(sides.after.begin(), sides.after.end(), older);
  Sides left;
  std::set_difference(sides.before.begin(), sides.before.end(), sides.after.begin(),
                      sides.after.end(), std::back_inserter(left.before), older);
  std::set_difference(sides.after.begin(), sides.after.end(), sides.before.begin(),
                      sides.before.end(), std::back_inserter(left.after), older);
  while (!left.before.empty() && !left.after.empty()) {
    note_change(diff, compare_evr, std::move(left.before.back()), std::move(left.after.back()));
    left.before.pop_back();
    left.after.pop_back();
  }
  sides = std::move(left);
}

/// Is it one package that went to or came from "noarch"?
bool moved_architecture(const std::vector<Package>& before, const std::vector<Package>& after) {
  return before.size() == 1 && after.size() == 1 &&
         (before[0].arch == "noarch" || after[0].arch == "noarch");
}

}  // namespace

Diff compare(const std::vector<Package>& before, const std::vector<Package>& after,
             const CompareEvr& compare_evr) {
  std::map<std::pair<std::string, std::string>, Sides> by_name_arch;
  for (const Package& p : before) by_name_arch[{p.name, p.arch}].before.push_back(p);
  for (const Package& p : after) by_name_arch[{p.name, p.arch}].after.push_back(p);

  Diff diff;
  std::map<std::string, Sides> by_name;
  for (auto& [key, sides] : by_name_arch) {
    pair_versions(diff, compare_evr, sides);
    auto& rest = by_name[key.first];
    std::move(sides.before.begin(), sides.before.end(), std::back_inserter(rest.before));
    std::move(sides.after.begin(), sides.after.end(), std::back_inserter(rest.after));
  }
  for (auto& [name, sides] : by_name) {
    if (moved_architecture(sides.before, sides.after)) {
      note_change(diff, compare_evr, std::move(sides.before[0]), std::move(sides.after[0]));
      continue;
    }
    std::move(sides.before.begin(), sides.before.end(), std::back_inserter(diff.removed));
    std::move(sides.after.begin(), sides.after.end(), std::back_inserter(diff.added));
  }

  const auto in_order = [&](const Package& a, const Package& b) {
    if (a.name != b.name) return a.name < b.name;
    if (a.arch != b.arch) return a.arch < b.arch;
    return compare_evr(a.evr, b.evr) < 0;
  };
  const auto changes_in_order = [&](const Change& a, const Change& b) {
    return in_order(a.after, b.after);
  };
  std::sort(diff.added.begin(), diff.added.end(), in_order);
  std::sort(diff.removed.begin(), diff.removed.end(), in_order);
  std::sort(diff.upgraded.begin(), diff.upgraded.end(), changes_in_order);
  std::sort(diff.downgraded.begin(), diff.downgraded.end(), changes_in_order);
  return diff;
}

}  // namespace atomichost::pkgdiff
