// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace atomichost::daemon {

/// The [Daemon] section of /etc/rpm-ostreed.conf.
struct Config {
  std::string automatic_update_policy = "none";  ///< none, check, stage or apply
  std::chrono::seconds idle_exit{60};            ///< 0: never
  std::chrono::seconds network_timeout{60};      ///< give up on a server that is silent so long
  bool is_layering_locked = false;

  /// @throws Error InvalidInput "<file>: [Daemon] <key>: ...". No file: the defaults.
  [[nodiscard]] static Config read(const std::filesystem::path& file);
};

}  // namespace atomichost::daemon
