// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fmt/format.h>

#include <cstdio>

namespace atomichost::daemon {

inline bool is_logging_info = true;  ///< set once, before there are threads

/// One line to the journal: standard error with the priority prefix that systemd reads.
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (is_logging_info)
    fmt::print(stderr, "<6>{}\n", fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "<3>{}\n", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace atomichost::daemon
