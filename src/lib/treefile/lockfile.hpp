// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "treefile/value.hpp"

namespace atomichost::treefile {

struct LockedPackage {
  std::string evr;       ///< "[EPOCH:]VERSION-RELEASE"
  std::string arch;      ///< "": any
  std::string digest;    ///< "sha256:HEX" of the package file, "": not checked
  std::string metadata;  ///< opaque JSON object on one line, "": none
  Where where;           ///< where it was read
  [[nodiscard]] std::string evra() const { return arch.empty() ? evr : evr + "." + arch; }
};

/// Exact versions for a compose: one entry per package name.
struct Lockfile {
  std::map<std::string, LockedPackage> packages;
  std::string generated;                           ///< RFC 3339, "": not said
  std::map<std::string, std::string> rpmmd_repos;  ///< repository id -> when generated, RFC 3339
};

/// Read @p paths (JSON or YAML by name) in order; a later file's entry replaces an earlier one's.
/// @throws Error  InvalidInput "FILE:LINE:COL: ...", unknown fields included; NotFound, Denied.
[[nodiscard]] Lockfile load_lockfiles(const std::vector<std::filesystem::path>& paths);

/// As JSON, sorted, byte-stable, with a final newline.
[[nodiscard]] std::string to_json(const Lockfile& lockfile);

}  // namespace atomichost::treefile
