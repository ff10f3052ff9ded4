// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <ostree.h>

#include <string>
#include <vector>

#include "rpm/nevra.hpp"

namespace atomichost::sysroot {

/// The packages of a commit: from the list in its metadata, else from the RPM database in its tree.
/// @throws Error  NotFound: the commit is not here, or has neither; Corrupt: a damaged list.
[[nodiscard]] std::vector<rpm::Nevra> packages_of(OstreeRepo* repo, const std::string& commit);

}  // namespace atomichost::sysroot
