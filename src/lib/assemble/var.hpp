// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "assemble/files.hpp"
#include "assemble/plan.hpp"

namespace atomichost::assemble {

/// Where the lines that recreate /var and /run go, and the copies that they start from.
inline constexpr const char* kAutovarConf = "usr/lib/tmpfiles.d/rpm-ostree-autovar.conf";
inline constexpr const char* kFactoryVar = "usr/share/factory/var";

/// Empty /var and /run of the tree: a host keeps its own /var, and /run is new at each boot.
/// Directories and links become lines of tmpfiles.d (those that a package's own tmpfiles.d has
/// already are left to it); regular files move to /usr/share/factory/var and are copied from there
/// when the host has none. Caches that scripts made are dropped.
/// @return one line for each package file that could not be kept.
std::vector<std::string> convert_var(Files& files, const Accounts& accounts);

/// @p path (absolute) as a field of a tmpfiles.d line: specifiers and blanks escaped.
[[nodiscard]] std::string tmpfiles_escape(std::string_view path);
/// The paths that the lines of a tmpfiles.d file @p text create, with quotes and escapes resolved.
[[nodiscard]] std::vector<std::string> tmpfiles_paths(std::string_view text);

}  // namespace atomichost::assemble
