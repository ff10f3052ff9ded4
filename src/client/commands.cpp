// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cmd_compose.hpp"
#include "command.hpp"
#include "command_groups.hpp"

namespace atomichost::client {

CommandTable make_commands() {
  CommandTable table;
  for (auto* add : {add_status_commands, add_update_commands, add_change_commands,
                    add_kargs_commands, add_config_commands, add_db_commands})
    add(table);
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
      {.long_name = "sysroot",
       .value_name = "FOLDER",
       .help = "Act on the sysroot in this folder instead of the running system's",
       .target = &sysroot},
  };
}

}  // namespace atomichost::client
