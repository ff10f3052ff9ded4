// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/lua.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"

namespace atomichost::sandbox {
namespace {

const std::string kDir = "/run/atomic/lua";

Bind bind_of(const std::string& source, const std::string& dest) {
  struct stat st {};
  if (stat(source.c_str(), &st)) throw_errno("Looking at " + source);
  return {.source = source,
          .dest = kDir + dest,
          .identity = fmt::format("{} {} {}.{}", source, st.st_size, st.st_mtim.tv_sec,
                                  st.st_mtim.tv_nsec)};
}

LuaRuntime find() {
  LuaRuntime runtime;
  const std::string program = "/usr/bin/rpmlua", config = "/usr/lib/rpm";
  if (access(program.c_str(), X_OK))
    throw Error(ErrorCode::NotFound,
                program + " is not there: Lua scripts cannot be run (install rpm)");
  // The dynamic loader itself lists what it would load: "libm.so.6 => /lib/.../libm.so.6 (0x...)",
  // and itself as "/lib64/ld-linux-x86-64.so.2 (0x...)".
  const CommandResult listing =
      run_command({.argv = {program},
                   .env = std::map<std::string, std::string>{{"LD_TRACE_LOADED_OBJECTS", "1"}}});
  std::string loader;
  for (const auto& line : split(listing.output, '\n')) {
    const auto words = split_whitespace(line);
    if (words.size() >= 3 && words[1] == "=>" && words[2].starts_with('/'))
      runtime.binds.push_back(bind_of(words[2], "/lib/" + words[0]));
    else if (!words.empty() && words[0].starts_with('/'))
      loader = words[0];
  }
  if (loader.empty())
    throw Error(ErrorCode::Failed,
                "The libraries of " + program + " cannot be listed: " + listing.error_output);
  runtime.binds.push_back(bind_of(loader, "/ld.so"));
  runtime.binds.push_back(bind_of(program, "/rpmlua"));
  runtime.binds.push_back(bind_of(config, "/rpm"));
  runtime.argv = {kDir + "/ld.so", "--library-path", kDir + "/lib", kDir + "/rpmlua"};
  runtime.env = {{"RPM_CONFIGDIR", kDir + "/rpm"}};
  return runtime;
}

}  // namespace

const LuaRuntime& lua_runtime() {
  static const LuaRuntime runtime = find();
  return runtime;
}

}  // namespace atomichost::sandbox
