// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <ostree.h>

#include <filesystem>
#include <string>
#include <vector>

namespace atomichost::sysroot {

/// What an administrator changed in /etc, seen against the defaults in /usr/etc of the same
/// deployment, as libostree's merge will see it: content, type, mode, owner; not labels.
/// Paths are relative to /etc, sorted, and may be any bytes.
struct EtcChanges {
  std::vector<std::string> modified, removed, added;
  std::vector<std::string> files;  ///< of modified and added, what is no directory
};

/// @param deployment  The root of the deployment. Without /usr/etc: no changes.
/// @throws Error  Denied, ...: something in /etc cannot be read.
[[nodiscard]] EtcChanges etc_changes(const std::filesystem::path& deployment);

/// Local files where @p commit has a directory: the merge would fail on them.
[[nodiscard]] std::vector<std::string> etc_conflicts(const EtcChanges& changes, OstreeRepo* repo,
                                                     const std::string& commit);

/// Local files whose default differs between the two commits: the local one stays, and whatever
/// is new in the default is not seen. A default that is gone counts as well.
[[nodiscard]] std::vector<std::string> etc_shadowed(const EtcChanges& changes, OstreeRepo* repo,
                                                    const std::string& old_commit,
                                                    const std::string& new_commit);

}  // namespace atomichost::sysroot
