// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "command.hpp"

namespace atomichost::client {

// Each adds its commands, in the order of the help. Each is in the file named for it: cmd_<group>.
void add_status_commands(CommandTable& table);
void add_update_commands(CommandTable& table);
void add_change_commands(CommandTable& table);
void add_kargs_commands(CommandTable& table);
void add_config_commands(CommandTable& table);
void add_db_commands(CommandTable& table);

}  // namespace atomichost::client
