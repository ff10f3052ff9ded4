// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <string>

#include "base/cancel.hpp"

namespace atomichost::rpmmd {

/// "sha" and "SHA1" -> "sha1", and so on.
/// @throws Error InvalidInput for md5 and anything that is not SHA-1 or SHA-2; names @p what.
[[nodiscard]] std::string normalize_checksum_type(const std::string& type, const std::string& what);

/// Lower-case hex digest of all of @p fd from its current offset.
/// @param type  As normalize_checksum_type() returns it.
/// @throws Error for a read error, Cancelled.
[[nodiscard]] std::string checksum_fd(const std::string& type, int fd, const std::string& name,
                                      const CancelToken* cancel = nullptr);

/// @throws Error Corrupt "<path>: ..." unless it has this checksum; NotFound.
void require_checksum(const std::filesystem::path& path, const std::string& type,
                      const std::string& checksum, const CancelToken* cancel = nullptr);

}  // namespace atomichost::rpmmd
