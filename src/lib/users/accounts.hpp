// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Users and groups of a tree: the account files as values, and what a compose does with them.
/// Owns the rules only; no I/O. Uses base/. Pure functions and plain values: thread-safe as such.
namespace atomichost::users {

/// One line of passwd(5).
struct User {
  std::string name;
  std::string password = "x";
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string gecos;
  std::string home;
  std::string shell;
  bool operator==(const User&) const = default;
};

/// One line of group(5).
struct Group {
  std::string name;
  std::string password = "x";
  std::uint32_t gid = 0;
  std::vector<std::string> members;
  bool operator==(const Group&) const = default;
};

/// One line of shadow(5).
struct Shadow {
  std::string name;
  std::string password = "!*";
  std::string last_change;            ///< days since 1970, or ""
  std::string rest = "0:99999:7:::";  ///< the other six fields as written
  bool operator==(const Shadow&) const = default;
};

/// One line of gshadow(5).
struct GroupShadow {
  std::string name;
  std::string password = "!";
  std::vector<std::string> administrators;
  std::vector<std::string> members;
  bool operator==(const GroupShadow&) const = default;
};

/// The four files of one place, such as /etc.
struct Accounts {
  std::vector<User> users;
  std::vector<Group> groups;
  std::vector<Shadow> shadow;
  std::vector<GroupShadow> gshadow;
  bool operator==(const Accounts&) const = default;
};

/// Parse a file. Blank lines and lines that begin with '#' are skipped.
/// @param file  its name, for errors: "/etc/passwd:12: ...".
/// @throws Error InvalidInput: wrong number of fields, an id that is no number below 2^32-1, an
///   empty or doubled name, an NIS line ("+", "-").
[[nodiscard]] std::vector<User> parse_passwd(std::string_view text, const std::string& file);
[[nodiscard]] std::vector<Group> parse_group(std::string_view text, const std::string& file);
[[nodiscard]] std::vector<Shadow> parse_shadow(std::string_view text, const std::string& file);
[[nodiscard]] std::vector<GroupShadow> parse_gshadow(std::string_view text,
                                                     const std::string& file);

/// The file's text: what the parsers above read, line for line.
[[nodiscard]] std::string serialise(const std::vector<User>& users);
[[nodiscard]] std::string serialise(const std::vector<Group>& groups);
[[nodiscard]] std::string serialise(const std::vector<Shadow>& shadow);
[[nodiscard]] std::string serialise(const std::vector<GroupShadow>& gshadow);

/// The entry of that name, or nullptr.
[[nodiscard]] const User* find(const std::vector<User>& users, std::string_view name) noexcept;
[[nodiscard]] const Group* find(const std::vector<Group>& groups, std::string_view name) noexcept;

/// Names to numbers, for many look-ups. "root" is 0 even if no file says so.
class Ids {
 public:
  explicit Ids(const Accounts& accounts);
  [[nodiscard]] std::optional<std::uint32_t> uid(const std::string& user) const;
  [[nodiscard]] std::optional<std::uint32_t> gid(const std::string& group) const;

 private:
  std::unordered_map<std::string, std::uint32_t> users_;
  std::unordered_map<std::string, std::uint32_t> groups_;
};

}  // namespace atomichost::users
