// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "command.hpp"

namespace atomichost::client {

/// Becomes the compose program: `atomic compose tree ...` is `atomic-compose tree ...`.
class ComposeCommand : public Command {
 public:
  ComposeCommand();
  int run(const Context& context, const std::vector<std::string>& arguments) override;
};

}  // namespace atomichost::client
