// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "rpmmd/rpmmd.hpp"

namespace atomichost::rpmmd {

/// <cachedir>/repomd/<id>-<hash of its URLs>: another server means another folder.
[[nodiscard]] std::filesystem::path metadata_directory(const RepoConfig& config,
                                                       const std::filesystem::path& cachedir);

/// The root of a repository all of whose URLs are file:, used in place; "" when it is not one. The
/// first URL with a repomd.xml counts, else the first.
[[nodiscard]] std::filesystem::path local_root(const RepoConfig& config);

/// Base URLs: the configured ones, then those the mirror list named at the last fetch.
[[nodiscard]] std::vector<std::string> cached_mirrors(const RepoConfig& config,
                                                      const std::filesystem::path& cachedir);

/// Rename in place of what was there. @throws Error
void move_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace atomichost::rpmmd
