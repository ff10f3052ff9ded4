// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "treefile/condition.hpp"
#include "treefile/keys.hpp"
#include "treefile/treefile.hpp"
#include "treefile/value.hpp"

// Inside this module only: what load.cpp hands to convert.cpp.
namespace atomichost::treefile {

/// All files merged: key -> value, each value still knowing the file it comes from.
/// "packages-ARCH" stands for the packages of the architecture composed for.
struct Merged {
  Where where;
  std::map<std::string, Value> keys;
  std::vector<std::filesystem::path> sources;
  std::vector<std::string> warnings;
};

/// The path of @p name when it is written at @p where: beside that file.
[[nodiscard]] std::filesystem::path beside(const Where& where, const std::string& name);

/// The variables that `variables`, releasever and the architecture give.
[[nodiscard]] Variables variables_of(const Merged& merged, const std::string& basearch,
                                     Problems& problems);

/// @throws Error  InvalidInput, as load().
[[nodiscard]] Treefile convert(Merged merged, const LoadOptions& options);

}  // namespace atomichost::treefile
