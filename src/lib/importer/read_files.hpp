// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <set>
#include <string>

#include "rpm/package.hpp"

namespace atomichost::importer {

/// The contents of a few small files of a package, straight from its payload, which is checked
/// against the header's digest. @param files  indices into the header's file list; names of one
/// inode together are not supported
/// @throws Error naming the package: as import_all().
[[nodiscard]] std::map<int, std::string> read_files(const rpm::Package& package,
                                                    const std::set<int>& files);

}  // namespace atomichost::importer
