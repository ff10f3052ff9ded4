// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cmd_compose.hpp"
#include "command.hpp"

namespace atomichost::client {

CommandTable make_commands() {
  CommandTable table;
  table.push_back(std::make_unique<ComposeCommand>());
  return table;
}

std::vector<Option> CommonOptions::options() {
  return {
      {.long_name = "help", .short_name = 'h', .help = "Show this help", .target = &show_help},
      {.long_name = "version", .help = "Show the version", .target = &show_version},
      {.long_name = "quiet",
       .short_name = 'q',
       .help = "Print only results and errors",
       .target = &is_quiet},
  };
}

}  // namespace atomichost::client
