// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cmd_compose.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/error.hpp"
#include "program_paths.hpp"

namespace atomichost::client {

ComposeCommand::ComposeCommand()
    : Command({.name = "compose",
               .summary = "Make an OSTree commit from a treefile and package repositories",
               .description = "Runs atomic-compose(1) with all arguments unchanged. "
                              "See 'atomic compose --help'.",
               .arguments = {{.name = "ARGUMENT", .is_required = false, .is_repeated = true}},
               .is_passed_through = true}) {}

int ComposeCommand::run(const Context&, const std::vector<std::string>& arguments) {
  const std::string program = find_program("atomic-compose", "compose");
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(program.c_str(), argv.data());
  if (errno == ENOENT)
    throw Error(ErrorCode::NotFound, "The program atomic-compose is not installed on this machine");
  throw_errno("Running " + program);
}

}  // namespace atomichost::client
