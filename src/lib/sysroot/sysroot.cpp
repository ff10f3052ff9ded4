// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/sysroot.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/file.hpp"
#include "format/names.hpp"

namespace atomichost::sysroot {
namespace fs = std::filesystem;

Sysroot Sysroot::open(const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal();
  const std::string doing = "Opening the sysroot " + whole.string();
  if (!fs::is_directory(whole / "ostree/repo", ignored))
    throw Error(ErrorCode::InvalidInput,
                doing + ": there is no ostree/repo in it; 'ostree admin init-fs' makes one");
  const auto file = adopt(g_file_new_for_path(whole.c_str()));
  auto handle = adopt(ostree_sysroot_new(file.get()));
  GErrorSink error;
  if (!ostree_sysroot_load(handle.get(), nullptr, error))
    throw Error(ErrorCode::InvalidInput,
                doing + ": " + (error.get() ? error.get()->message : "unknown reason"));
  return {whole, std::move(handle)};
}

bool Sysroot::reload() {
  gboolean changed = FALSE;
  GErrorSink error;
  if (!ostree_sysroot_load_if_changed(handle_.get(), &changed, nullptr, error))
    throw Error(ErrorCode::Corrupt, fmt::format("Reading the sysroot {}: {}", path_.string(),
                                                error.get() ? error.get()->message : ""));
  return changed;
}

bool Sysroot::is_booted() const {
  return ostree_sysroot_get_booted_deployment(handle_.get()) != nullptr;
}

std::vector<std::string> Sysroot::stateroots() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path_ / "ostree/deploy", error), end; !error && it != end;
       it.increment(error))
    if (it->is_directory(error) && !it->is_symlink(error))
      names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  return names;
}

void Sysroot::read_signatures(CommitInfo& info, const std::string& remote) {
  if (remote.empty()) return;
  gboolean verify = FALSE;
  if (!ostree_repo_remote_get_gpg_verify(repo(), remote.c_str(), &verify, nullptr) || !verify)
    return;
  info.is_gpg_enabled = true;
  const auto result = adopt(ostree_repo_verify_commit_for_remote(repo(), info.checksum.c_str(),
                                                                 remote.c_str(), nullptr, nullptr));
  if (!result) return;  // not signed
  for (guint i = 0; i < ostree_gpg_verify_result_count_all(result.get()); ++i)
    info.signatures.push_back(
        share_variant(sink(ostree_gpg_verify_result_get_all(result.get(), i))));
}

CommitInfo Sysroot::commit_info(const std::string& checksum, const std::string& remote) {
  const std::string key = checksum + " " + remote;
  if (const auto known = commits_.find(key); known != commits_.end()) return known->second;
  CommitInfo info;
  info.checksum = checksum;
  GErrorSink error;
  GVariant* loaded = nullptr;
  if (!ostree_repo_load_commit(repo(), checksum.c_str(), &loaded, nullptr, error)) {
    info.error = error.get() ? error.get()->message : "the commit cannot be read";
    return info;  // not remembered: it may come back
  }
  const auto commit = adopt(loaded);
  info.timestamp_s = ostree_commit_get_timestamp(commit.get());
  const auto metadata = adopt(g_variant_get_child_value(commit.get(), 0));
  const auto kept = adopt(g_variant_builder_new(G_VARIANT_TYPE_VARDICT));
  GVariantIter iter;
  const char* name = nullptr;
  GVariant* value = nullptr;
  g_variant_iter_init(&iter, metadata.get());
  while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
    const auto held = adopt(value);
    const std::string_view view = name;
    const bool is_text = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING);
    if (view == format::kCommitVersion && is_text)
      info.version = g_variant_get_string(value, nullptr);
    if (view == format::kCommitEndOfLife && is_text)
      info.end_of_life = g_variant_get_string(value, nullptr);
    // Lists of packages and advisories are large; whoever wants them asks for them.
    if (view != format::kCommitPackageList && g_variant_get_size(value) < 4096)
      g_variant_builder_add(kept.get(), "{sv}", name, value);
  }
  info.metadata = share_variant(sink(g_variant_builder_end(kept.get())));
  read_signatures(info, remote);
  if (commits_.size() > 64) commits_.clear();
  commits_[key] = info;
  return info;
}

std::vector<Deployment> Sysroot::deployments() {
  std::vector<Deployment> all;
  const auto list = adopt(ostree_sysroot_get_deployments(handle_.get()));
  const OstreeDeployment* booted = ostree_sysroot_get_booted_deployment(handle_.get());
  struct stat ignored;
  const bool is_locked = stat((path_ / format::kStagedLocked).c_str(), &ignored) == 0;
  for (guint i = 0; i < list->len; ++i) {
    auto* const from = static_cast<OstreeDeployment*>(g_ptr_array_index(list.get(), i));
    Deployment d;
    d.index = static_cast<int>(i);
    d.stateroot = ostree_deployment_get_osname(from);
    d.checksum = ostree_deployment_get_csum(from);
    d.serial = ostree_deployment_get_deployserial(from);
    const char* boot_checksum = ostree_deployment_get_bootcsum(from);
    d.boot_checksum = boot_checksum ? boot_checksum : "";
    if (OstreeBootconfigParser* config = ostree_deployment_get_bootconfig(from)) {
      const char* options = ostree_bootconfig_parser_get(config, "options");
      d.kernel_arguments = options ? options : "";
    }
    d.origin = origin_from(ostree_deployment_get_origin(from));
    d.is_booted = from == booted;
    d.is_staged = ostree_deployment_is_staged(from);
    d.is_finalization_locked = d.is_staged && is_locked;
    d.is_pinned = ostree_deployment_is_pinned(from);
    d.unlocked = ostree_deployment_unlocked_state_to_string(ostree_deployment_get_unlocked(from));
    d.path = adopt(ostree_sysroot_get_deployment_dirpath(handle_.get(), from)).get();
    d.commit = commit_info(d.checksum, d.origin.remote());
    all.push_back(std::move(d));
  }
  return all;
}

std::optional<std::string> Sysroot::resolve(const std::string& refspec) const {
  char* found = nullptr;
  GErrorSink error;
  if (!ostree_repo_resolve_rev_ext(repo(), refspec.c_str(), /*allow_noent=*/TRUE,
                                   OSTREE_REPO_RESOLVE_REV_EXT_NONE, &found, error))
    return std::nullopt;
  const auto held = adopt(found);
  return found ? std::optional<std::string>(found) : std::nullopt;
}

std::optional<std::string> Sysroot::find_version(const std::string& version) {
  GHashTable* found = nullptr;
  GErrorSink error;
  if (version.empty() ||
      !ostree_repo_list_commit_objects_starting_with(repo(), "", &found, nullptr, error))
    return std::nullopt;
  const auto commits = adopt(found);
  GHashTableIter iter;
  gpointer key = nullptr;
  g_hash_table_iter_init(&iter, found);
  std::optional<CommitInfo> newest;
  while (g_hash_table_iter_next(&iter, &key, nullptr)) {
    const char* checksum = nullptr;
    OstreeObjectType type{};
    ostree_object_name_deserialize(static_cast<GVariant*>(key), &checksum, &type);
    if (type != OSTREE_OBJECT_TYPE_COMMIT) continue;
    auto info = commit_info(checksum, "");
    if (info.version == version && (!newest || info.timestamp_s > newest->timestamp_s))
      newest = std::move(info);
  }
  return newest ? std::optional(newest->checksum) : std::nullopt;
}

void Sysroot::lock(const Cancellation& cancel, const std::function<void()>& on_wait) {
  using namespace std::chrono_literals;
  const std::string doing = "Locking the sysroot " + path_.string();
  for (bool told = false;;) {
    cancel.check();
    gboolean acquired = FALSE;
    GErrorSink error;
    error.check(ostree_sysroot_try_lock(handle_.get(), &acquired, error), doing);
    if (acquired) break;
    if (!told) on_wait();
    told = true;
    // libostree's own waiting call cannot be cancelled, and flock has nothing to poll.
    std::this_thread::sleep_for(50ms);
  }
  reload();
}

}  // namespace atomichost::sysroot
