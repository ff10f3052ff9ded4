// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

namespace atomichost::treefile {

/// The version that follows @p last_version ("": there is none). Pure.
/// Every "<date:FORMAT>" in @p prefix is replaced by @p now_s (seconds since 1970, shown in UTC by
/// strftime in the C locale). Then, with P the resulting prefix and S the suffix character:
/// last is P + S + number...: that number plus one; last is P: P S 1; else P, or P S 0 with a date.
/// @throws Error  InvalidInput: unfinished or empty date tag, number out of range.
[[nodiscard]] std::string next_version(const std::string& prefix, char suffix,
                                       const std::string& last_version, std::int64_t now_s);

}  // namespace atomichost::treefile
