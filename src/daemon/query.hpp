// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

namespace atomichost::daemon {

/// Answer a question about a repository without the bus, for the client, which links neither
/// libostree nor librpm. Lines of fields divided by tabs:
/// "packages REPO REV": the commit's checksum; its version; for each package name, evr, arch.
/// "diff REPO A B": the two checksums; for each change its kind (upgraded, downgraded, removed,
/// added), name, evr and arch before, evr and arch after.
/// Needs no more than read access. @return the exit status. @throws Error.
int run_query(const std::vector<std::string>& words);

}  // namespace atomichost::daemon
