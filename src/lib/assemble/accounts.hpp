// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "assemble/files.hpp"
#include "assemble/plan.hpp"
#include "assemble/runner.hpp"
#include "ostree/repo.hpp"
#include "treefile/treefile.hpp"
#include "users/accounts.hpp"

/// Users and groups through a compose: numbers known before the first object is written, stable
/// from commit to commit, checked at the end. The rules are in users/; here is where the texts come
/// from and go to.
namespace atomichost::assemble {

/// Contents of the few package files that decide how all others are written, by path in the tree:
/// account files, sysusers.d, the SELinux policy's contexts.
using EarlyFiles = std::map<std::string, std::string>;
[[nodiscard]] EarlyFiles read_early_files(const std::vector<const rpm::Package*>& packages,
                                          const Plan& plan, bool with_selinux);

/// All accounts of a commit, wherever it keeps them.
[[nodiscard]] users::Accounts previous_accounts(const ostree::Repo& repo,
                                                const std::string& commit);

/// Numbers by name, as far as they are known before any script runs: those of the previous commit,
/// of the packages' account files and the fixed ones of sysusers.d.
[[nodiscard]] Accounts early_accounts(const EarlyFiles& early, const users::Accounts& previous);

/// The accounts in the tree's /etc now. @throws Error InvalidInput: a line that is no account.
[[nodiscard]] users::Accounts read_accounts(const Files& files);

/// Write the policy's context files, substitutions for such hosts included, to @p directory.
/// @return that directory; nullopt: no package has a policy.
[[nodiscard]] std::optional<std::filesystem::path> early_contexts(
    const EarlyFiles& early, const std::filesystem::path& directory);
/// The same from the finished tree. @throws Error NotFound
[[nodiscard]] std::filesystem::path tree_contexts(Files& files,
                                                  const std::filesystem::path& directory);

/// Give users and groups of the previous commit their numbers in the tree's account files before
/// scripts could choose others. @return one line for each that could not have its number.
std::vector<std::string> inject_accounts(Files& files, const users::Accounts& previous);

/// Create the users of sysusers.d with the tree's own systemd-sysusers, if it has one.
void run_sysusers(Runner& runner);

/// Bring the account files into an order that does not tell when and on top of what they were made.
void normalise_accounts(Files& files);

/// check-passwd and check-groups of the treefile. @throws Error InvalidInput: one line per
/// difference.
void check_accounts(Files& files, const treefile::Treefile& treefile,
                    const users::Accounts& previous);

/// Move all but root and @p etc_group_members from /etc/passwd and /etc/group to /usr/lib, where
/// the tree has nss-altfiles to read them there; nothing otherwise. @return whether it did.
bool split_accounts(Files& files, const std::vector<std::string>& etc_group_members);

}  // namespace atomichost::assemble
