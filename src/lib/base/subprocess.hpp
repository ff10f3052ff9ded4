// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.hpp"

namespace atomichost {

struct Command {
  std::vector<std::string> argv;                          ///< argv[0] is looked up in PATH
  std::optional<std::map<std::string, std::string>> env;  ///< nullopt: inherit
  std::string working_directory;                          ///< "": inherit
  std::string input;                     ///< fed to standard input; "" is /dev/null
  std::chrono::milliseconds timeout{0};  ///< 0: none
  std::size_t output_limit = 1 << 20;    ///< only the last bytes of output are kept
  std::map<int, int> inherit_fds;        ///< child's fd number -> our fd
};

struct CommandResult {
  int exit_status = 0;       ///< as a shell shows it: 128+N for signal N, 127 not found
  bool timed_out = false;    ///< killed because of the timeout
  std::string output;        ///< standard output
  std::string error_output;  ///< standard error
  [[nodiscard]] bool ok() const noexcept { return exit_status == 0 && !timed_out; }
};

/// Run @p command to its end and collect what it prints. A set @p cancel or the timeout kills its
/// whole process group. Nothing but 0, 1, 2 and inherit_fds is open in the child.
/// @throws Error when it cannot be started for another reason than "not found"; Cancelled.
[[nodiscard]] CommandResult run_command(const Command& command,
                                        const CancelToken* cancel = nullptr);

}  // namespace atomichost
