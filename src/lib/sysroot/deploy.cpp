// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/deploy.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.hpp"
#include "base/strings.hpp"
#include "format/names.hpp"
#include "sysroot/etc.hpp"

namespace atomichost {
template <>
struct GFree<GFileEnumerator> : FreeWith<g_object_unref> {};
}  // namespace atomichost

namespace atomichost::sysroot {
namespace fs = std::filesystem;
namespace {

void check_etc(Operation& op, const DeployRequest& request) {
  if (!request.merge) return;
  const fs::path root =
      op.sysroot.path() /
      adopt(ostree_sysroot_get_deployment_dirpath(op.sysroot.handle(), request.merge)).get();
  const auto changes = etc_changes(root);
  const auto conflicts = etc_conflicts(changes, op.sysroot.repo(), request.commit);
  if (!conflicts.empty()) {
    std::vector<std::string> named;
    for (const auto& path : conflicts) named.push_back("/etc/" + path);
    throw Error(ErrorCode::Failed,
                fmt::format("Merging /etc: the new version has a directory where this host has a "
                            "file: {}; move the file away and try again",
                            join(named, ", ")));
  }
  op.reporter.message(fmt::format("Copying /etc changes: {} modified, {} removed, {} added",
                                  changes.modified.size(), changes.removed.size(),
                                  changes.added.size()));
}

/// Names and sizes of what the commit puts into /boot.
struct BootFiles {
  std::set<std::string> objects;
  std::uint64_t bytes = 0;
};

void add_boot_files(GFile* directory, bool is_top, BootFiles& found, const Operation& op) {
  const auto names = adopt(
      g_file_enumerate_children(directory, "standard::name,standard::type,standard::size",
                                G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, op.cancel.handle(), nullptr));
  if (!names) return;
  GFileInfo* info = nullptr;
  GFile* child = nullptr;
  while (g_file_enumerator_iterate(names.get(), &info, &child, op.cancel.handle(), nullptr) &&
         info) {
    const std::string_view name = g_file_info_get_name(info);
    if (is_top && g_file_info_get_file_type(info) == G_FILE_TYPE_DIRECTORY)
      add_boot_files(child, false, found, op);
    if (is_top || !(name.starts_with("vmlinuz") || name.starts_with("initramfs"))) continue;
    const char* object = ostree_repo_file_get_checksum(OSTREE_REPO_FILE(child));
    if (object && found.objects.insert(object).second)
      found.bytes += static_cast<std::uint64_t>(g_file_info_get_size(info));
  }
}

BootFiles boot_files(Operation& op, const std::string& commit) {
  BootFiles found;
  GFile* root = nullptr;
  if (!ostree_repo_read_commit(op.sysroot.repo(), commit.c_str(), &root, nullptr, nullptr, nullptr))
    return found;
  const auto held = adopt(root);
  const auto modules = adopt(g_file_resolve_relative_path(root, format::kModules));
  add_boot_files(modules.get(), true, found, op);
  return found;
}

std::uint64_t size_of_tree(const fs::path& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error) && !it->is_symlink(error)) bytes += it->file_size(error);
  return bytes;
}

/// Kernel and initramfs are copied there at the very end; a full /boot must be found now.
void check_boot(Operation& op, const DeployRequest& request) {
  const auto needed = boot_files(op, request.commit);
  const auto all = op.sysroot.deployments();
  for (const auto& d : all)  // the same kernel is there already
    if (d.checksum == request.commit ||
        (d.stateroot == request.stateroot && boot_files(op, d.checksum).objects == needed.objects))
      return;
  const fs::path boot = op.sysroot.path() / "boot";
  struct statvfs fs_info;
  if (needed.bytes == 0 || statvfs(boot.c_str(), &fs_info)) return;
  const std::uint64_t free_bytes = fs_info.f_bavail * fs_info.f_frsize;
  if (needed.bytes <= free_bytes) return;
  const auto roles = roles_of(all, request.stateroot);
  std::uint64_t freed = 0;
  if (roles.rollback) {
    const auto& old = all[*roles.rollback];
    const bool is_shared = std::ranges::count_if(all, [&](const Deployment& d) {
                             return d.boot_checksum == old.boot_checksum;
                           }) > 1;
    if (!is_shared && !old.is_pinned)
      freed = size_of_tree(boot / "ostree" / (old.stateroot + "-" + old.boot_checksum));
  }
  throw Error(ErrorCode::NoSpace,
              fmt::format("Kernel and initramfs of {} need {} in {}, {} are free; 'atomic cleanup "
                          "-r' would free {}",
                          request.commit, human_bytes(needed.bytes), boot.string(),
                          human_bytes(free_bytes), human_bytes(freed)));
}

void set_finalization_lock(Operation& op, bool is_locked) {
  const auto file = op.sysroot.path() / format::kStagedLocked;
  if (is_locked) {
    make_directories(file.parent_path());
    replace_file(file, "");
  } else if (unlink(file.c_str()) && errno != ENOENT && errno != ENOTDIR) {
    throw_errno("Removing " + file.string());
  }
}

}  // namespace

GPtr<OstreeDeployment> handle_of(Sysroot& sysroot, std::size_t index) {
  const auto list = adopt(ostree_sysroot_get_deployments(sysroot.handle()));
  if (index >= list->len) throw Error(ErrorCode::NotFound, "That deployment is gone");
  return share(static_cast<OstreeDeployment*>(g_ptr_array_index(list.get(), index)));
}

void deploy(Operation& op, const DeployRequest& request) {
  check_etc(op, request);
  check_boot(op, request);
  op.cancel.check();
  std::vector<std::string> words;
  std::vector<char*> kernel_arguments;
  if (request.kernel_arguments) {
    words = split_whitespace(*request.kernel_arguments);
    for (auto& word : words) kernel_arguments.push_back(word.data());
    kernel_arguments.push_back(nullptr);
  }
  OstreeSysrootDeployTreeOpts options{};
  options.override_kernel_argv = request.kernel_arguments ? kernel_arguments.data() : nullptr;
  OstreeDeployment* made = nullptr;
  const bool is_staging = op.sysroot.is_booted();
  const std::string doing = fmt::format("{} {} for {}", is_staging ? "Staging" : "Deploying",
                                        request.commit, request.stateroot);
  const std::string task = is_staging ? "Staging deployment" : "Deploying";
  op.reporter.task_begin(task);
  {
    GErrorSink error;
    if (is_staging) {
      set_finalization_lock(op, request.lock_finalization);
      error.check(ostree_sysroot_stage_tree_with_options(
                      op.sysroot.handle(), request.stateroot.c_str(), request.commit.c_str(),
                      request.origin, request.merge, &options, &made, op.cancel.handle(), error),
                  doing);
    } else {
      error.check(ostree_sysroot_deploy_tree_with_options(
                      op.sysroot.handle(), request.stateroot.c_str(), request.commit.c_str(),
                      request.origin, request.merge, &options, &made, op.cancel.handle(), error),
                  doing);
    }
  }
  const auto held = adopt(made);
  if (!is_staging) {
    GErrorSink error;
    // From here on it is not cancelled: the boot entries change in one step.
    error.check(ostree_sysroot_simple_write_deployment(
                    op.sysroot.handle(), request.stateroot.c_str(), made, request.merge,
                    OSTREE_SYSROOT_SIMPLE_WRITE_DEPLOYMENT_FLAGS_NO_CLEAN, nullptr, error),
                doing + ": Writing the boot entries");
  }
  op.reporter.task_end(task);
  const auto freed = collect_garbage(op);
  if (freed > 0) op.reporter.message("Freed: " + human_bytes(freed));
}

std::uint64_t collect_garbage(Operation& op) {
  const std::string doing = "Cleaning up " + op.sysroot.path().string();
  {
    GErrorSink error;
    error.check(ostree_sysroot_prepare_cleanup(op.sysroot.handle(), nullptr, error), doing);
  }
  const auto reachable = adopt(ostree_repo_traverse_new_reachable());
  OstreeRepoPruneOptions options{};
  options.flags = OSTREE_REPO_PRUNE_FLAGS_REFS_ONLY;
  options.reachable = reachable.get();
  gint total = 0, pruned = 0;
  guint64 freed = 0;
  GErrorSink error;
  error.check(ostree_sysroot_cleanup_prune_repo(op.sysroot.handle(), &options, &total, &pruned,
                                                &freed, nullptr, error),
              doing);
  op.sysroot.reload();
  return freed;
}

}  // namespace atomichost::sysroot
