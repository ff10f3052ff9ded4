// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "treefile/value.hpp"

namespace atomichost::treefile {

/// What a key's value must look like.
enum class Shape : std::uint8_t {
  Text,          ///< one string
  TextOrNumber,  ///< one string or whole number
  Bool,
  Choice,              ///< one of KeySpec::accepted
  TextList,            ///< list of strings
  TextMap,             ///< map of strings
  ScalarMap,           ///< map of strings, whole numbers and booleans
  AnyMap,              ///< map of anything
  AddFiles,            ///< list of [source, destination]
  RemoveFromPackages,  ///< list of [package, pattern...]
  RepoPackages,        ///< list of {repo, packages}
  AccountCheck,        ///< {type, filename?, entries?}
  Rojig,               ///< {name, summary, license, description?}
  Include,             ///< string or list of strings
  ArchInclude,         ///< map of architecture -> Include
  ConditionalInclude,  ///< list of {if, include}
  Any,                 ///< not looked at: the key is refused anyway
};

/// How an included file's value and the including file's become one.
enum class Merge : std::uint8_t {
  Replace,  ///< the including file's
  Append,   ///< lists: included first, then including
  Update,   ///< maps: the including file's entries win
  Loader,   ///< told the loader what to do; not a value of the tree
};

enum class Status : std::uint8_t {
  Done,      ///< does what docs/treefile.md says
  Legacy,    ///< accepted, does nothing any more, warned about
  Refused,   ///< known, not done by this version: an error unless set to nothing (false, empty)
  HostOnly,  ///< belongs into a host's origin, never into a treefile
};

struct KeySpec {
  std::string_view name;
  Shape shape;
  Merge merge;
  Status status = Status::Done;
  std::string_view accepted;  ///< Choice, Bool: "a|b"; for Bool empty means both
  std::string_view refused;   ///< Choice, Bool: known values that this version does not do, "a|b"
  std::string_view reason;    ///< Refused, Legacy and `refused` values: why, and what to do instead
};

/// Every key of a treefile, in one place; packages-ARCH is a pattern and not in it.
[[nodiscard]] const std::vector<KeySpec>& all_keys();
/// The key of this name, or nullptr.
[[nodiscard]] const KeySpec* find_key(std::string_view name);

/// Warn when @p arch is no architecture there is: a typo would drop what stands under it.
void warn_unknown_arch(const Where& where, const std::string& what, const std::string& arch,
                       std::vector<std::string>& warnings);

/// Bring the keys of one parsed file into their present form and check each against the table:
/// old spellings are renamed, keys set to nothing removed, values checked for their shape.
/// @param strict  Unknown keys are problems (YAML) or only warnings (JSON, where comments are
/// keys).
/// @return  The keys that count.
[[nodiscard]] Value check_keys(Value document, bool strict, Problems& problems,
                               std::vector<std::string>& warnings);

}  // namespace atomichost::treefile
