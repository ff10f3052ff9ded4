// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

namespace atomichost {

/// What a long step tells the outside. Thread-safe implementations; called often, so cheap.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A step begins. @p total is 0 when unknown; @p unit is "packages", "bytes", "objects", ...
  virtual void begin(const std::string& /*title*/, std::uint64_t /*total*/,
                     const std::string& /*unit*/) {}
  /// @p done units of the current step are done (absolute), now working on @p item.
  virtual void update(std::uint64_t /*done*/, const std::string& /*item*/) {}
  virtual void end() {}
  /// One line for the user that is not an error: a warning, a notice.
  virtual void message(const std::string& /*line*/) {}
};

}  // namespace atomichost
