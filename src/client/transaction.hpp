// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "terminal.hpp"

namespace atomichost::client {

enum class Attach : std::uint8_t {
  Start,   ///< begin the work, or watch it where it has begun
  Cancel,  ///< ask it to stop
};

/// Connect to the transaction at @p address, show its progress, and return when it has ended well.
/// Ctrl-C asks it to stop; a second one leaves it alone and gives up watching.
/// @return its title.
/// @throws Error Failed: what the transaction says, or the daemon went away. Cancelled.
std::string follow_transaction(const std::string& address, Attach attach, const Terminal& terminal,
                               bool is_quiet);

}  // namespace atomichost::client
