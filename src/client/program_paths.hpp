// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace atomichost::client {

/// Where a program of ours is: beside this one in the build tree (../<build_folder>/<name>), else
/// where it is installed, else just @p name, for a look-up in PATH.
[[nodiscard]] std::string find_program(const std::string& name, const std::string& build_folder);

}  // namespace atomichost::client
