// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "users/accounts.hpp"

/// What a compose does with accounts: ids stay what they were, most entries move to /usr/lib, and
/// nothing disappears or changes its number unseen.
namespace atomichost::users {

/// All accounts of a commit that keeps them in two places: an entry in /etc hides one of the same
/// name in /usr/lib.
[[nodiscard]] Accounts combine(const Accounts& etc, const Accounts& usr_lib);

/// What inject() did, for the report; names.
struct Injection {
  std::vector<std::string> users;       ///< added
  std::vector<std::string> groups;      ///< added
  std::vector<std::string> renumbered;  ///< "user bin: 2 -> 1": got its earlier id back
  /// "user foo (42): its number now belongs to bar": not added.
  std::vector<std::string> dropped;
};

/// Before any script runs, put the accounts of @p earlier (the previous commit, or the treefile's
/// check file) into the @p tree that the packages brought, so that whoever asks for a user finds
/// the one it had. An entry that is in both gets its earlier ids and keeps the tree's other fields.
/// Missing shadow lines are made (the earlier ones where there are any; else locked).
Injection inject(Accounts& tree, const Accounts& earlier);

/// After the last script: the order of lines and the dates in shadow must not tell when and on top
/// of what the tree was composed. Sorts by id (entries of one id stay in their order, for the first
/// one names files), shadow like passwd, and empties shadow's date of last change.
void normalise(Accounts& tree);

/// Where accounts go in an image that has nss-altfiles.
struct Split {
  Accounts etc;      ///< uid 0, gid 0 and the groups asked for; all of shadow and gshadow
  Accounts usr_lib;  ///< every other user and group; no shadow
  std::vector<std::string> unknown_members;  ///< of etc_group_members: no such group
};
/// @param etc_group_members  groups that administrators add people to: in /etc and in /usr/lib, so
///   that a host whose own /etc/group lacks one still knows its number.
[[nodiscard]] Split split_accounts(const Accounts& tree,
                                   const std::vector<std::string>& etc_group_members);

/// nsswitch.conf with "altfiles" behind "files" for passwd and group (and a copy of the action
/// that follows "files"). Comments, spacing and all other lines stay; a missing line is added; a
/// line that has it is left alone.
[[nodiscard]] std::string add_altfiles(std::string_view nsswitch_conf);

/// One account that must be what it was.
struct Expected {
  std::string name;
  std::uint32_t id = 0;   ///< uid of a user, gid of a group
  std::uint32_t gid = 0;  ///< users: primary group
};
[[nodiscard]] std::vector<Expected> expected_of(const std::vector<User>& users);
[[nodiscard]] std::vector<Expected> expected_of(const std::vector<Group>& groups);

/// Result of a check; each list sorted by name.
struct Checked {
  std::vector<std::string> added;
  std::vector<Expected> removed;     ///< gone, and nobody said that this is fine
  std::vector<std::string> ignored;  ///< gone, as ignore_removed allows
};

/// Hold the users of a new tree against what they must be.
/// @param source  what they are held against: "the previous commit", "passwd.txt", ...
/// @param ignore_removed  names, or "*" for any.
/// @throws Error InvalidInput: ids changed; names each account with both values.
[[nodiscard]] Checked check_users(const std::vector<User>& now,
                                  const std::vector<Expected>& expected, const std::string& source,
                                  const std::vector<std::string>& ignore_removed);
[[nodiscard]] Checked check_groups(const std::vector<Group>& now,
                                   const std::vector<Expected>& expected, const std::string& source,
                                   const std::vector<std::string>& ignore_removed);

}  // namespace atomichost::users
