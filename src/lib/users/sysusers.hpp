// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "users/accounts.hpp"

namespace atomichost::users {

/// One line of a sysusers.d(5) file. Specifiers ("%b") are not expanded.
struct SysusersLine {
  enum class Type : std::uint8_t { User, Group, Member, Range };
  Type type = Type::User;
  bool is_locked = false;            ///< "u!"
  std::string name;                  ///< user or group; Member: the user; Range: ""
  std::optional<std::uint32_t> id;   ///< fixed uid of a User, fixed gid of a Group
  std::optional<std::uint32_t> gid;  ///< User "uid:gid" with a number
  std::string group;      ///< User "uid:groupname": primary group; Member: the group joined
  std::string id_path;    ///< id is that of the owner of this path
  std::uint32_t low = 0;  ///< Range
  std::uint32_t high = 0;
  std::string gecos;
  std::string home;
  std::string shell;
};

/// @param file  for errors, "file:line: ...".
/// @throws Error InvalidInput: unknown type, missing or extra field, bad id, open quote.
[[nodiscard]] std::vector<SysusersLine> parse_sysusers(std::string_view text,
                                                       const std::string& file);

/// The accounts with fixed numbers that @p lines will create and @p accounts lacks, as
/// systemd-sysusers will write them: for mapping owners of files before it has run.
[[nodiscard]] Accounts fixed_accounts(const std::vector<SysusersLine>& lines,
                                      const Accounts& accounts);

}  // namespace atomichost::users
