// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sysroot/pull.hpp"
#include "sysroot/reporter.hpp"
#include "sysroot/sysroot.hpp"

/// What can be done to a sysroot. Each operation wants the sysroot locked and freshly read, checks
/// all it can before it changes anything, and leaves the sysroot as it was when it fails.
/// All throw Error (see each) and Cancelled.
namespace atomichost::sysroot {

struct Operation {
  Sysroot& sysroot;
  const PullWorker& worker;
  Reporter& reporter;
  const Cancellation& cancel;
};

struct UpdateRequest {
  std::string stateroot;
  std::string refspec;   ///< follow this from now on; "" keeps the origin
  std::string revision;  ///< stay on this one: checksum, version, "revision=...", "version=..."
  std::optional<std::pair<std::string, std::string>> custom_origin;  ///< URL, description
  bool allow_downgrade = false;
  bool skip_purge = false;         ///< after a rebase keep the old branch's ref
  bool skip_branch_check = false;  ///< the commit need not say that it belongs to the branch
  bool cache_only = false;         ///< never fetch
  bool download_only = false;      ///< fetch, do not deploy
  bool lock_finalization = false;  ///< a staged deployment waits for finalize()
  bool dry_run = false;            ///< fetch the commit's metadata and say what would be deployed
};
struct UpdateResult {
  std::string commit;
  bool is_changed = false;  ///< false: the newest deployment has that commit and origin already
};

/// Pull and deploy: upgrade, deploy and rebase in one.
/// @throws Error  NotFound, Untrusted, Corrupt, Unreachable, NoSpace from the pull; InvalidInput:
///   refspec or revision, or the stateroot follows nothing; Failed: conflicts in /etc, naming
///   them; NoSpace: /boot.
UpdateResult update(Operation& operation, const UpdateRequest& request);

enum class Fetch : std::uint8_t {
  Commit,       ///< the commit's metadata and its package list
  EtcDefaults,  ///< the same and the defaults in /usr/etc
};
/// Fetch what is needed to say what an update would bring; deploys nothing.
/// @return the commit.
std::string fetch_details(Operation& operation, const UpdateRequest& request, Fetch what);

/// Make the previous deployment the default; once more undoes it. One write of the boot loader's
/// entries, no /etc or /var touched. @return the id of the new default.
/// @throws Error Failed: a deployment is staged, or there is no other.
std::string rollback(Operation& operation, const std::string& stateroot);

struct CleanupRequest {
  std::string stateroot;
  bool temporary = false, pending = false, rollback = false;
};
/// Remove deployments and whatever nothing refers to. Pinned and booted ones stay.
/// @return bytes freed in the repository.
std::uint64_t cleanup(Operation& operation, const CleanupRequest& request);

/// @throws Error NotFound: no such deployment. InvalidInput: it is staged.
void set_pinned(Operation& operation, const std::string& id, bool is_pinned);

struct KernelArgumentsRequest {
  std::string stateroot;
  std::string base;  ///< edit these; "" edits those of the newest deployment
  std::vector<std::string> append, replace, remove, append_if_missing, delete_if_present;
  std::optional<std::string> final_arguments;  ///< these instead of any edit
  bool lock_finalization = false;
};
/// Deploy the newest deployment's commit again with other kernel arguments.
/// @return false: nothing would change, nothing was done.
/// @throws Error InvalidInput: an argument with a line break or other control character, or one to
///   remove or replace that is not there.
bool set_kernel_arguments(Operation& operation, const KernelArgumentsRequest& request);
/// The edit alone.
[[nodiscard]] std::string edit_kernel_arguments(const KernelArgumentsRequest& request,
                                                const std::string& base);

/// Let a staged deployment become real at the next shutdown, of which the caller takes care.
/// @param checksum  The commit that it must have; "" with @p any.
/// @throws Error NotFound: nothing is staged. InvalidInput: another commit, or not locked.
void unlock_finalization(Operation& operation, const std::string& stateroot,
                         const std::string& checksum, bool any, bool unlocked_is_fine);

}  // namespace atomichost::sysroot
