// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program_paths.hpp"

#include <unistd.h>

#include <filesystem>

namespace atomichost::client {
namespace fs = std::filesystem;

std::string find_program(const std::string& name, const std::string& build_folder) {
  std::error_code ignored;
  const fs::path own = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& candidate :
       {own.parent_path() / ".." / build_folder / name, own.parent_path() / name,
        fs::path(ATOMIC_LIBEXECDIR) / name, fs::path(ATOMIC_BINDIR) / name})
    if (access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal();
  return name;
}

}  // namespace atomichost::client
