// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/operations.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.hpp"
#include "base/strings.hpp"
#include "format/names.hpp"
#include "sysroot/deploy.hpp"

namespace atomichost::sysroot {
namespace fs = std::filesystem;
namespace {

/// What an update starts from.
struct Start {
  std::vector<Deployment> all;
  Roles roles;
  const Deployment* newest = nullptr;
  Origin old_origin, origin;
};

/// "remote:" keeps the branch, "branch" keeps the remote.
std::string complete_refspec(const std::string& given, const Origin& old) {
  if (is_checksum(given)) return given;
  if (given.ends_with(':')) return given + old.branch();
  if (given.find(':') == given.npos && !old.remote().empty() && !old.is_checksum())
    return old.remote() + ":" + given;
  return given;
}

Start start_of(Operation& op, const UpdateRequest& request) {
  Start s;
  const auto names = op.sysroot.stateroots();
  if (std::ranges::find(names, request.stateroot) == names.end())
    throw Error(ErrorCode::NotFound, fmt::format("There is no stateroot '{}'{}", request.stateroot,
                                                 did_you_mean(request.stateroot, names)));
  s.all = op.sysroot.deployments();
  s.roles = roles_of(s.all, request.stateroot);
  if (s.roles.newest) s.newest = &s.all[*s.roles.newest];
  if (s.newest) s.old_origin = s.newest->origin;
  s.origin = s.old_origin;
  s.origin.override_commit.clear();
  if (!request.refspec.empty()) {
    s.origin = origin_for(complete_refspec(request.refspec, s.old_origin));
  } else if (!s.origin.container_reference.empty()) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{} was deployed from the container image {}, which is not followed "
                            "here; rebase to an OSTree branch",
                            request.stateroot, s.origin.container_reference));
  } else if (s.origin.refspec.empty()) {
    throw Error(ErrorCode::InvalidInput,
                s.newest ? fmt::format("The newest deployment of {} has no origin to follow; "
                                       "rebase to REMOTE:BRANCH",
                                       request.stateroot)
                         : fmt::format("{} has no deployment yet; rebase to REMOTE:BRANCH makes "
                                       "the first",
                                       request.stateroot));
  }
  if (request.custom_origin)
    std::tie(s.origin.custom_url, s.origin.custom_description) = *request.custom_origin;
  return s;
}

struct Revision {
  std::string checksum, version;
};

Revision parse_revision(const std::string& text) {
  if (text.starts_with("revision=")) {
    const auto checksum = text.substr(9);
    if (!is_checksum(checksum))
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("'{}' is no commit checksum: 64 hex digits are needed", checksum));
    return {checksum, ""};
  }
  if (text.starts_with("version=")) return {"", text.substr(8)};
  if (is_checksum(text)) return {text, ""};
  return {"", text};
}

void refuse_older(Operation& op, const std::string& commit, const std::string& than) {
  const auto a = op.sysroot.commit_info(commit, ""), b = op.sysroot.commit_info(than, "");
  if (a.timestamp_s < b.timestamp_s)
    throw Error(ErrorCode::Untrusted,
                fmt::format("Commit {} is chronologically older than {}, which is deployed "
                            "(option --allow-downgrade)",
                            commit, than));
}

bool is_complete(Operation& op, const std::string& commit) {
  OstreeRepoCommitState state{};
  return ostree_repo_load_commit(op.sysroot.repo(), commit.c_str(), nullptr, &state, nullptr) &&
         !(state & OSTREE_REPO_COMMIT_STATE_PARTIAL);
}

/// In the history that is here already.
std::string find_version_here(Operation& op, const Origin& origin, const std::string& version) {
  auto next = op.sysroot.resolve(origin.refspec);
  std::vector<std::string> seen;
  while (next) {
    const auto info = op.sysroot.commit_info(*next, "");
    if (info.version == version) return *next;
    seen.push_back(info.version);
    GVariant* loaded = nullptr;
    if (!ostree_repo_load_commit(op.sysroot.repo(), next->c_str(), &loaded, nullptr, nullptr))
      break;
    const auto commit = adopt(loaded);
    const auto parent = adopt(ostree_commit_get_parent(commit.get()));
    next = parent ? std::optional<std::string>(parent.get()) : std::nullopt;
  }
  for (const auto& d : op.sysroot.deployments())
    if (d.commit.version == version && d.origin.refspec == origin.refspec) return d.checksum;
  throw Error(ErrorCode::NotFound,
              fmt::format("{} has no version '{}' on this host{}", origin.refspec, version,
                          did_you_mean(version, seen)));
}

/// The commit that the request means, fetched as far as @p only says.
std::string obtain(Operation& op, const UpdateRequest& request, const Start& s,
                   const std::vector<std::string>& only) {
  const auto revision = parse_revision(request.revision);
  const bool check_age = !request.allow_downgrade && s.newest;
  if (s.origin.is_checksum()) {
    if (!request.revision.empty())
      throw Error(ErrorCode::InvalidInput,
                  "This host follows a single commit; rebase to a branch to choose a revision");
    if (!is_complete(op, s.origin.refspec))
      throw Error(ErrorCode::NotFound,
                  fmt::format("Commit {} is not in this host's repository", s.origin.refspec));
    return s.origin.refspec;
  }
  const bool is_local = s.origin.remote().empty();
  if (is_local || request.cache_only) {
    std::string commit = revision.checksum;
    if (!revision.version.empty()) commit = find_version_here(op, s.origin, revision.version);
    if (commit.empty()) commit = op.sysroot.resolve(s.origin.refspec).value_or("");
    if (commit.empty() || (only.empty() && !is_complete(op, commit)))
      throw Error(ErrorCode::NotFound,
                  fmt::format("{} is not (or not completely) in this host's repository{}",
                              commit.empty() ? s.origin.refspec : "Commit " + commit,
                              is_local ? "" : "; without --cache-only it is fetched"));
    if (check_age) refuse_older(op, commit, s.newest->checksum);
    return commit;
  }
  PullRequest pulled;
  pulled.sysroot = op.sysroot.path();
  pulled.remote = s.origin.remote();
  pulled.branch = s.origin.branch();
  pulled.commit = revision.checksum;
  pulled.version = revision.version;
  pulled.only = only;
  pulled.check_branch = !request.skip_branch_check;
  if (check_age) pulled.not_older_than = s.newest->checksum;
  return pull(pulled, op.worker, op.reporter, op.cancel).commit;
}

void purge_old_ref(Operation& op, const Start& s) {
  const auto& old = s.old_origin;
  if (old.refspec == s.origin.refspec || old.remote().empty()) return;
  for (const auto& d : s.all)
    if (d.stateroot != s.newest->stateroot && d.origin.refspec == old.refspec) return;
  GErrorSink error;  // it only keeps objects from being removed; not worth failing for
  ostree_repo_set_ref_immediate(op.sysroot.repo(), old.remote().c_str(), old.branch().c_str(),
                                nullptr, nullptr, error);
}

}  // namespace

UpdateResult update(Operation& op, const UpdateRequest& request) {
  const auto s = start_of(op, request);
  UpdateResult result;
  const std::vector<std::string> only =
      request.dry_run ? std::vector<std::string>{""} : std::vector<std::string>{};
  result.commit = obtain(op, request, s, only);
  auto origin = s.origin;
  if (!request.revision.empty()) origin.override_commit = result.commit;
  result.is_changed = !s.newest || s.newest->checksum != result.commit ||
                      (!request.refspec.empty() && !(s.old_origin == origin)) ||
                      s.old_origin.override_commit != origin.override_commit;
  if (!result.is_changed || request.download_only || request.dry_run) {
    if (!result.is_changed) op.reporter.message("No upgrade available.");
    return result;
  }
  GPtr<OstreeDeployment> merge;
  if (s.roles.newest) merge = handle_of(op.sysroot, *s.roles.newest);
  const auto key_file =
      origin_to(origin, merge ? ostree_deployment_get_origin(merge.get()) : nullptr);
  deploy(op, {.stateroot = request.stateroot,
              .commit = result.commit,
              .origin = key_file.get(),
              .merge = merge.get(),
              .merge_commit = s.newest ? s.newest->checksum : "",
              .lock_finalization = request.lock_finalization});
  if (!request.skip_purge && !request.refspec.empty() && s.newest) purge_old_ref(op, s);
  return result;
}

std::string fetch_details(Operation& op, const UpdateRequest& request, Fetch what) {
  const auto s = start_of(op, request);
  auto commit = obtain(op, request, s, {""});
  std::vector<std::string> folders;
  GVariant* loaded = nullptr;
  GErrorSink error;
  error.check(ostree_repo_load_commit(op.sysroot.repo(), commit.c_str(), &loaded, nullptr, error),
              "Reading commit " + commit);
  const auto held = adopt(loaded);
  const auto metadata = adopt(g_variant_get_child_value(loaded, 0));
  const auto list =
      adopt(g_variant_lookup_value(metadata.get(), format::kCommitPackageList, nullptr));
  if (!list) folders.push_back(std::string("/") + format::kRpmDatabase);
  if (what == Fetch::EtcDefaults) folders.emplace_back("/usr/etc");
  if (folders.empty() || is_complete(op, commit) || s.origin.remote().empty() || request.cache_only)
    return commit;
  return obtain(op, request, s, folders);
}

std::string rollback(Operation& op, const std::string& stateroot) {
  const auto all = op.sysroot.deployments();
  const auto roles = roles_of(all, stateroot);
  if (std::ranges::any_of(all, &Deployment::is_staged))
    throw Error(ErrorCode::Failed, "Staged deployment (remove with cleanup -p)");
  std::size_t chosen = 0;
  if (roles.rollback) {
    chosen = *roles.rollback;
  } else if (roles.pending && roles.booted) {
    chosen = *roles.booted;
  } else {
    throw Error(ErrorCode::Failed, "No rollback deployment found");
  }
  op.reporter.message(fmt::format("Moving '{}.{}' to be first deployment", all[chosen].checksum,
                                  all[chosen].serial));
  const auto order = adopt(g_ptr_array_new_with_free_func(g_object_unref));
  g_ptr_array_add(order.get(), handle_of(op.sysroot, chosen).release());
  for (std::size_t i = 0; i < all.size(); ++i)
    if (i != chosen) g_ptr_array_add(order.get(), handle_of(op.sysroot, i).release());
  GErrorSink error;
  error.check(ostree_sysroot_write_deployments(op.sysroot.handle(), order.get(), nullptr, error),
              "Writing the boot entries");
  op.sysroot.reload();
  return all[chosen].id();
}

namespace {

/// Objects of interrupted pulls, which wait in the repository to be used by the next. A pull that
/// runs holds a lock on its folder.
std::uint64_t remove_staged_objects(const fs::path& tmp) {
  std::uint64_t freed = 0;
  std::error_code error;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(tmp, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with("staging-") && it->is_directory(error))
      folders.push_back(it->path());
  for (const auto& folder : folders) {
    const fs::path lock_path = folder.string() + "-lock";
    const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock || flock(lock.get(), LOCK_EX | LOCK_NB)) continue;
    for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error))
      if (it->is_regular_file(error) && !it->is_symlink(error)) freed += it->file_size(error);
    remove_tree(folder);
    unlink(lock_path.c_str());
  }
  return freed;
}

}  // namespace

std::uint64_t cleanup(Operation& op, const CleanupRequest& request) {
  const auto all = op.sysroot.deployments();
  const auto roles = roles_of(all, request.stateroot);
  const auto kept = adopt(g_ptr_array_new_with_free_func(g_object_unref));
  std::size_t removed = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& d = all[i];
    const bool is_pending = roles.booted ? i < *roles.booted : false;
    const bool is_rollback = roles.booted ? i > *roles.booted : roles.newest && i > *roles.newest;
    const bool goes = d.stateroot == request.stateroot && !d.is_booted && !d.is_pinned &&
                      ((request.pending && is_pending) || (request.rollback && is_rollback));
    if (goes)
      ++removed;
    else
      g_ptr_array_add(kept.get(), handle_of(op.sysroot, i).release());
  }
  if (removed > 0) {
    OstreeSysrootWriteDeploymentsOpts options{};
    options.do_postclean = FALSE;
    GErrorSink error;
    error.check(ostree_sysroot_write_deployments_with_options(op.sysroot.handle(), kept.get(),
                                                              &options, nullptr, error),
                "Writing the boot entries");
    op.sysroot.reload();
  } else if (request.pending || request.rollback) {
    op.reporter.message("Deployments unchanged.");
  }
  std::uint64_t freed = 0;
  if (request.temporary) freed += remove_staged_objects(op.sysroot.repo_path() / "tmp");
  freed += collect_garbage(op);
  if (freed > 0 || request.temporary)
    op.reporter.message(fmt::format("Freed: {} (pkgcache branches: 0)", human_bytes(freed)));
  return freed;
}

void set_pinned(Operation& op, const std::string& id, bool is_pinned) {
  const auto all = op.sysroot.deployments();
  const auto found = std::ranges::find(all, id, &Deployment::id);
  if (found == all.end())
    throw Error(ErrorCode::NotFound, fmt::format("There is no deployment '{}'", id));
  if (found->is_staged)
    throw Error(ErrorCode::InvalidInput,
                "A staged deployment cannot be pinned; it becomes real at the next shutdown");
  if (found->is_pinned == is_pinned) {
    op.reporter.message(fmt::format("Deployment is already {}", is_pinned ? "pinned" : "unpinned"));
    return;
  }
  const auto handle =
      handle_of(op.sysroot, static_cast<std::size_t>(std::distance(all.begin(), found)));
  // Written here rather than by libostree, which 2022.7 lets fail where /etc/selinux/config names a
  // policy that is not installed.
  GKeyFile* origin = ostree_deployment_get_origin(handle.get());
  const auto file = adopt(g_key_file_new());
  if (origin) {
    const auto text = adopt(g_key_file_to_data(origin, nullptr, nullptr));
    g_key_file_load_from_data(file.get(), text.get(), static_cast<gsize>(-1),
                              G_KEY_FILE_KEEP_COMMENTS, nullptr);
  }
  if (is_pinned)
    g_key_file_set_boolean(file.get(), format::kOriginTransient, format::kOriginPinned, TRUE);
  else
    g_key_file_remove_key(file.get(), format::kOriginTransient, format::kOriginPinned, nullptr);
  const auto text = adopt(g_key_file_to_data(file.get(), nullptr, nullptr));
  replace_file(op.sysroot.path() / adopt(ostree_deployment_get_origin_relpath(handle.get())).get(),
               text.get());
  utimensat(AT_FDCWD, (op.sysroot.path() / "ostree/deploy").c_str(), nullptr, 0);  // "look again"
}

void unlock_finalization(Operation& op, const std::string& stateroot, const std::string& checksum,
                         bool any, bool unlocked_is_fine) {
  const auto all = op.sysroot.deployments();
  const auto staged = std::ranges::find(all, true, &Deployment::is_staged);
  if (staged == all.end() || staged->stateroot != stateroot)
    throw Error(ErrorCode::NotFound, "No staged deployment to finalize");
  if (!any && staged->checksum != checksum)
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format("Expected staged base checksum {}, but found {}", checksum, staged->checksum));
  if (!staged->is_finalization_locked && !unlocked_is_fine)
    throw Error(ErrorCode::InvalidInput,
                "The staged deployment is not locked (option --allow-unlocked)");
  const auto lock = op.sysroot.path() / format::kStagedLocked;
  if (unlink(lock.c_str()) && errno != ENOENT) throw_errno("Removing " + lock.string());
}

}  // namespace atomichost::sysroot
