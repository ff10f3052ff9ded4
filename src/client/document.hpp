// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "command.hpp"

namespace atomichost::client {

/// The text of `atomic --help`.
[[nodiscard]] std::string overview_help(const std::string& program, const CommandTable& commands);
/// The text of `atomic db --help`: the commands that begin with @p group.
[[nodiscard]] std::string group_help(const std::string& program, const std::string& group,
                                     const CommandTable& commands);
/// The text of `atomic VERB --help`.
[[nodiscard]] std::string command_help(const std::string& program, Command& command);
/// The man page atomic(1), as troff.
[[nodiscard]] std::string man_page(const CommandTable& commands);
/// The bash completion for @p program.
[[nodiscard]] std::string bash_completion(const CommandTable& commands);

}  // namespace atomichost::client
