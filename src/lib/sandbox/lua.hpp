// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "sandbox/sandbox.hpp"

namespace atomichost::sandbox {

/// How to run a Lua script as rpm runs it (posix.*, rpm.*, arg[2] is the instance count) in a tree
/// that need not have rpm: the build host's rpmlua with all its libraries, shown below /run.
struct LuaRuntime {
  std::vector<std::string> argv;  ///< the script's path and arguments follow
  std::vector<Bind> binds;
  std::map<std::string, std::string> env;
};

/// Found once per process; thread-safe. @throws Error NotFound: rpmlua is not installed.
[[nodiscard]] const LuaRuntime& lua_runtime();

}  // namespace atomichost::sandbox
