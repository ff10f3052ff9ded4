// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atomichost {

[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
/// Split on runs of blanks, tabs and newlines; no empty parts.
[[nodiscard]] std::vector<std::string> split_whitespace(std::string_view text);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;
[[nodiscard]] std::string replace_all(std::string text, std::string_view from, std::string_view to);
/// Up to @p most of @p candidates that look like a mistyped @p word, nearest first (edit distance
/// with transpositions, at most a third of the word's length, at least 1 edit).
[[nodiscard]] std::vector<std::string> nearest(std::string_view word,
                                               const std::vector<std::string>& candidates,
                                               std::size_t most = 3);
/// " (did you mean a, b or c?)", or "" when nothing is near.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string>& candidates);
/// As a shell would need it to read one word.
[[nodiscard]] std::string shell_quote(std::string_view word);
/// "1.5 MB", decimal units, for people.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// "2026-11-27T23:39:14Z": @p seconds since 1970, in UTC; "in no known year" where four digits do
/// not suffice.
[[nodiscard]] std::string rfc3339(std::int64_t seconds);

}  // namespace atomichost
