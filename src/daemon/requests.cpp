// SPDX-License-Identifier: LGPL-2.1-or-later
// The methods of the OS objects: what a call asks for, as a plan for the worker.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "api/names.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"
#include "daemon.hpp"
#include "log.hpp"
#include "sysroot/etc.hpp"
#include "variants.hpp"

namespace atomichost::daemon {

using sysroot::Operation;
using sysroot::UpdateRequest;

// --- Transactions ----------------------------------------------------------------------------

std::string Daemon::describe(const Call& call) const {
  const auto known = clients_.find(call.sender());
  std::string text = "client(";
  if (known != clients_.end() && !known->second.empty()) text += "id:" + known->second + " ";
  text += "dbus:" + call.sender();
  if (const pid_t pid = call.sender_pid(); pid > 0) text += fmt::format(" pid:{}", pid);
  return text + fmt::format(" uid:{})", call.sender_uid());
}

void Daemon::check_reboot(bool wanted) const {
  if (wanted && options_.sysroot != "/")
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{} is not the running system's sysroot: there is nothing to reboot",
                            options_.sysroot.string()));
  if (wanted && !sysroot_->is_booted())
    throw Error(ErrorCode::InvalidInput,
                "The running system was not booted from this sysroot: a reboot would not help");
}

void Daemon::transact(const Call& call, const std::string& stateroot, Plan plan,
                      std::function<void(const Call&, const std::string&)> answer) {
  check_reboot(plan.reboot);
  const auto actions = plan.actions;
  authority_.require(call, actions,
                     [this, call, stateroot, plan = std::move(plan), answer = std::move(answer)] {
                       const auto address = begin(call, stateroot, plan);
                       if (answer)
                         answer(call, address);
                       else
                         call.reply_text(address);
                     });
}

std::string Daemon::begin(const Call& call, const std::string& stateroot, Plan plan) {
  const auto text = adopt(g_variant_print(call.arguments(), TRUE));
  TransactionRequest request{.method = call.member(),
                             .arguments = stateroot + " " + text.get(),
                             .title = plan.title,
                             .sender = call.sender(),
                             .sender_uid = call.sender_uid(),
                             .client = describe(call)};
  if (is_leaving_) throw Error(ErrorCode::Busy, "The daemon is about to exit; try again");
  if (active_) {
    const auto& running = active_->request();
    if (running.method == request.method && running.arguments == request.arguments) {
      active_->join(request.sender, request.sender_uid);
      return active_->address();
    }
    throw Error(ErrorCode::Busy, fmt::format("Transaction in progress: {}, started by {}",
                                             running.title, running.client));
  }
  const sysroot::PullWorker worker{.argv = {options_.program, "pull-worker"},
                                   .silence_limit = config_.network_timeout};
  auto work = [path = options_.sysroot, worker, work = std::move(plan.work)](
                  sysroot::Reporter& reporter, const sysroot::Cancellation& cancel) {
    auto opened = sysroot::Sysroot::open(path);
    opened.lock(cancel, [&] {
      reporter.message("Waiting for another program that has locked the sysroot");
    });
    Operation operation{opened, worker, reporter, cancel};
    work(operation);
  };
  make_directories(options_.runtime_directory);
  const auto socket =
      options_.runtime_directory / fmt::format("transaction-{}-{}.sock", getpid(), ++transactions_);
  const bool reboot = plan.reboot;
  active_ = Transaction::create(
      loop_, socket, std::move(request), std::move(work),
      {.on_started = [] {},
       .on_ended = [this, reboot](const std::string& error) { ended(error, reboot); },
       .after_told =
           [this] {
             if (is_leaving_) loop_.stop(0);
           },
       .on_over =
           [this](const Transaction* over) {
             std::erase_if(ended_, [&](const auto& t) { return t.get() == over; });
             consider_leaving();
           }});
  sysroot_object_->signal_changes();
  return active_->address();
}

void Daemon::ended(const std::string& error, bool reboot) {
  ended_.push_back(std::exchange(active_, nullptr));
  refresh();
  if (!error.empty() || !reboot || is_leaving_) return;
  try {
    log_info("Rebooting");
    const auto result = run_command({.argv = {"systemctl", "reboot"}});
    if (!result.ok()) log_error("systemctl reboot: {}", result.error_output);
  } catch (const std::exception& e) {
    log_error("Rebooting: {}", e.what());
  }
}

// --- Updates ---------------------------------------------------------------------------------

void Daemon::update_with(const Call& call, const std::string& stateroot, UpdateRequest request,
                         std::string title, std::vector<std::string> actions, bool reboot) {
  request.stateroot = stateroot;
  transact(call, stateroot,
           {.title = std::move(title),
            .actions = std::move(actions),
            .reboot = reboot,
            .work = [request = std::move(request)](Operation& op) {
              (void)sysroot::update(op, request);
            }});
}

void Daemon::fetch_with(const Call& call, const std::string& stateroot, UpdateRequest request,
                        std::string title, sysroot::Fetch what) {
  request.stateroot = stateroot;
  transact(call, stateroot,
           {.title = std::move(title),
            .actions = {"repo-refresh"},
            .work = [request = std::move(request), what](Operation& op) {
              (void)sysroot::fetch_details(op, request, what);
            }});
}

namespace {

void refuse_packages(const std::vector<std::string>& packages) {
  if (!packages.empty())
    throw Error(ErrorCode::InvalidInput,
                fmt::format("Packages cannot be layered on this host: {}", join(packages, ", ")));
}

/// The options that all updates share.
void read_common(Options& options, UpdateRequest& request) {
  request.allow_downgrade = options.flag("allow-downgrade", request.allow_downgrade);
  request.skip_purge = options.flag("skip-purge");
  request.skip_branch_check = options.flag("skip-branch-check");
  request.cache_only = options.flag("cache-only") || options.flag("no-pull-base");
  request.download_only = options.flag("download-only");
  request.lock_finalization = options.flag("lock-finalization");
  request.dry_run = options.flag("dry-run");
  (void)options.text("initiating-command-line");
}

}  // namespace

void Daemon::upgrade(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  UpdateRequest request;
  read_common(options, request);
  const bool reboot = options.flag("reboot");
  options.finish();
  update_with(call, stateroot, request, "upgrade", {"upgrade"}, reboot);
}

void Daemon::deploy(const Call& call, const std::string& stateroot) {
  Options options(call.value(1));
  UpdateRequest request{.revision = call.text(0), .allow_downgrade = true};
  read_common(options, request);
  const bool reboot = options.flag("reboot");
  options.finish();
  if (request.revision.empty()) throw Error(ErrorCode::InvalidInput, "The revision is empty");
  update_with(call, stateroot, request, "deploy " + request.revision, {"deploy"}, reboot);
}

void Daemon::rebase(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  UpdateRequest request{.refspec = call.text(1), .allow_downgrade = true};
  read_common(options, request);
  request.revision = options.text("revision").value_or("");
  request.custom_origin = options.pair("custom-origin");
  const bool reboot = options.flag("reboot");
  options.finish();
  refuse_packages(call.list(2));
  update_with(call, stateroot, request, "rebase " + request.refspec, {"rebase"}, reboot);
}

void Daemon::update_deployment(const Call& call, const std::string& stateroot) {
  Options modifiers(call.value(0)), options(call.value(1));
  UpdateRequest request;
  request.refspec = modifiers.text("set-refspec").value_or("");
  request.revision = modifiers.text("set-revision").value_or("");
  request.custom_origin = modifiers.pair("custom-origin");
  for (const char* key :
       {"install-packages", "override-remove-packages", "override-replace-packages"})
    refuse_packages(modifiers.list(key));
  // There are none here, so there is none to take away.
  for (const char* key : {"uninstall-packages", "override-reset-packages"})
    (void)modifiers.list(key);
  modifiers.finish();
  request.allow_downgrade = !request.refspec.empty() || !request.revision.empty();
  read_common(options, request);
  for (const char* key : {"no-layering", "no-overrides", "no-initramfs", "idempotent-layering",
                          "allow-inactive", "allow-inactive-requests"})
    (void)options.flag(key);
  const bool reboot = options.flag("reboot");
  options.finish();
  std::vector<std::string> actions;
  std::string title = "update deployment";
  if (!request.refspec.empty()) {
    actions.emplace_back("rebase");
    title = "rebase " + request.refspec;
  }
  if (!request.revision.empty()) {
    actions.emplace_back("deploy");
    if (request.refspec.empty()) title = "deploy " + request.revision;
  }
  const bool is_upgrade = actions.empty() && !request.cache_only;
  if (actions.empty()) actions.emplace_back(is_upgrade ? "upgrade" : "override");
  update_with(call, stateroot, request, title, actions, reboot);
}

void Daemon::automatic_update(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  const auto mode = options.text("mode").value_or("auto");
  (void)options.flag("output-to-self");
  options.finish();
  if (mode != "auto" && mode != "none" && mode != "check")
    throw Error(ErrorCode::InvalidInput,
                fmt::format("Mode '{}' is not one of auto, none, check", mode));
  const std::string policy = mode == "auto" ? config_.automatic_update_policy : mode;
  if (policy == "none") return call.reply(g_variant_new("(bs)", FALSE, ""));
  UpdateRequest request{.stateroot = stateroot};
  const bool is_check = policy == "check";
  transact(call, stateroot,
           {.title = "automatic (" + policy + ")",
            .actions = {"upgrade"},
            .reboot = policy == "apply",
            .work =
                [request, is_check](Operation& op) {
                  if (is_check)
                    (void)sysroot::fetch_details(op, request, sysroot::Fetch::Commit);
                  else
                    (void)sysroot::update(op, request);
                }},
           [](const Call& c, const std::string& address) {
             c.reply(g_variant_new("(bs)", TRUE, address.c_str()));
           });
}

void Daemon::download_update_diff(const Call& call, const std::string& stateroot) {
  fetch_with(call, stateroot, {}, "package-diff", sysroot::Fetch::Commit);
}

void Daemon::download_deploy_diff(const Call& call, const std::string& stateroot) {
  refuse_packages(call.list(1));
  fetch_with(call, stateroot, {.revision = call.text(0), .allow_downgrade = true},
             "package-diff " + call.text(0), sysroot::Fetch::Commit);
}

void Daemon::download_rebase_diff(const Call& call, const std::string& stateroot) {
  refuse_packages(call.list(1));
  fetch_with(call, stateroot, {.refspec = call.text(0), .allow_downgrade = true},
             "package-diff " + call.text(0), sysroot::Fetch::Commit);
}

void Daemon::download_config_preview(const Call& call, const std::string& stateroot) {
  fetch_with(call, stateroot, {}, "config-preview", sysroot::Fetch::EtcDefaults);
}

void Daemon::refresh_md(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  (void)options.flag("force");  // what is fetched is never older than the server's
  (void)options.text("initiating-command-line");
  options.finish();
  fetch_with(call, stateroot, {}, "refresh-md", sysroot::Fetch::Commit);
}

// --- Other changes ---------------------------------------------------------------------------

void Daemon::rollback(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  const bool reboot = options.flag("reboot");
  (void)options.text("initiating-command-line");
  options.finish();
  transact(call, stateroot,
           {.title = "rollback",
            .actions = {"rollback"},
            .reboot = reboot,
            .work = [stateroot](Operation& op) { (void)sysroot::rollback(op, stateroot); }});
}

void Daemon::clear_rollback(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  const bool reboot = options.flag("reboot");
  options.finish();
  transact(call, stateroot,
           {.title = "clear rollback",
            .actions = {"rollback"},
            .reboot = reboot,
            .work = [stateroot](Operation& op) {
              (void)sysroot::cleanup(op, {.stateroot = stateroot, .rollback = true});
            }});
}

void Daemon::cleanup(const Call& call, const std::string& stateroot) {
  sysroot::CleanupRequest request{.stateroot = stateroot};
  for (const auto& element : call.list(0)) {
    if (element == "base")
      request.temporary = true;
    else if (element == "pending-deploy")
      request.pending = true;
    else if (element == "rollback-deploy")
      request.rollback = true;
    else if (element != "repomd")  // no package metadata is cached: nothing to do
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("'{}' is not one of base, pending-deploy, rollback-deploy, repomd", element));
  }
  transact(call, stateroot,
           {.title = "cleanup", .actions = {"cleanup"}, .work = [request](Operation& op) {
              (void)sysroot::cleanup(op, request);
            }});
}

void Daemon::finalize_deployment(const Call& call, const std::string& stateroot) {
  Options options(call.value(0));
  const auto checksum = options.text("checksum").value_or("");
  const bool any = options.flag("allow-missing-checksum");
  const bool unlocked = options.flag("allow-unlocked");
  (void)options.text("initiating-command-line");
  options.finish();
  if (checksum.empty() && !any)
    throw Error(ErrorCode::InvalidInput,
                "Missing expected checksum (option allow-missing-checksum to go without)");
  transact(call, stateroot,
           {.title = "finalize-deployment",
            .actions = {"finalize-deployment"},
            .reboot = true,
            .work = [=](Operation& op) {
              sysroot::unlock_finalization(op, stateroot, checksum, checksum.empty(), unlocked);
            }});
}

void Daemon::kernel_args(const Call& call, const std::string& stateroot) {
  Options options(call.value(4));
  sysroot::KernelArgumentsRequest request{.stateroot = stateroot,
                                          .base = call.text(0),
                                          .append = call.list(1),
                                          .replace = call.list(2),
                                          .remove = call.list(3),
                                          .append_if_missing = options.list("append-if-missing"),
                                          .delete_if_present = options.list("delete-if-present"),
                                          .final_arguments = options.text("final-kernel-args"),
                                          .lock_finalization = options.flag("lock-finalization")};
  const bool reboot = options.flag("reboot");
  (void)options.text("initiating-command-line");
  options.finish();
  transact(
      call, stateroot,
      {.title = "kargs",
       .actions = {"bootconfig"},
       .reboot = reboot,
       .work = [request](Operation& op) { (void)sysroot::set_kernel_arguments(op, request); }});
}

void Daemon::pin_deployment(const Call& call, const std::string& stateroot) {
  transact(call, stateroot,
           {.title = call.flag(1) ? "pin" : "unpin",
            .actions = {"deploy"},
            .work = [id = call.text(0), pinned = call.flag(1)](Operation& op) {
              sysroot::set_pinned(op, id, pinned);
            }});
}

// --- Questions -------------------------------------------------------------------------------

void Daemon::get_boot_config(const Call& call, const std::string& stateroot) {
  const auto id = call.text(0);
  const auto roles = sysroot::roles_of(deployments_, stateroot);
  const sysroot::Deployment* chosen = nullptr;
  if (id.empty()) {
    chosen = call.flag(1) ? by_role(stateroot, roles.newest) : by_role(stateroot, roles.booted);
    if (!chosen) chosen = by_role(stateroot, roles.newest);
  } else {
    for (const auto& d : deployments_)
      if (d.id() == id) chosen = &d;
  }
  if (!chosen) throw Error(ErrorCode::NotFound, fmt::format("There is no deployment '{}'", id));
  Dict dict;
  dict.add("options", chosen->kernel_arguments);
  dict.add_flag("staged", chosen->is_staged);
  call.reply(g_variant_new("(@a{sv})", dict.end().get()));
}

GVariant* Daemon::package_diff(const std::string& from, const std::string& to) {
  return package_diff_variant(daemon::package_diff(*packages(from), *packages(to)));
}

void Daemon::get_deployments_diff(const Call& call, const std::string& stateroot) {
  auto from = call.text(0), to = call.text(1);
  const auto roles = sysroot::roles_of(deployments_, stateroot);
  // As this interface has it: no names mean booted against pending or rollback.
  if (from.empty())
    if (const auto* d = by_role(stateroot, roles.booted ? roles.booted : roles.newest))
      from = d->id();
  if (to.empty())
    if (const auto* d = by_role(stateroot, roles.pending ? roles.pending : roles.rollback))
      to = d->id();
  call.reply(g_variant_new("(@a(sua{sv}))",
                           package_diff(commit_for(from, stateroot), commit_for(to, stateroot))));
}

void Daemon::reply_cached_diff(const Call& call, const std::string& stateroot,
                               const std::string& from, const std::string& commit,
                               const std::string& refspec) {
  const auto info = sysroot_->commit_info(commit, sysroot::origin_for(refspec).remote());
  auto details = commit_details(stateroot, info, refspec);
  call.reply(g_variant_new("(@a(sua{sv})@a{sv})", package_diff(from, commit), details.end().get()));
}

void Daemon::get_cached_update_diff(const Call& call, const std::string& stateroot) {
  const auto* newest = newest_of(stateroot);
  if (!newest) throw Error(ErrorCode::NotFound, stateroot + " has no deployment yet");
  const auto from = call.text(0).empty() ? newest->checksum : commit_for(call.text(0), stateroot);
  const auto commit = sysroot_->resolve(newest->origin.refspec);
  if (!commit)
    throw Error(ErrorCode::NotFound, "No update of " + newest->origin.refspec + " is known");
  reply_cached_diff(call, stateroot, from, *commit, newest->origin.refspec);
}

void Daemon::get_cached_deploy_diff(const Call& call, const std::string& stateroot) {
  refuse_packages(call.list(1));
  const auto* newest = newest_of(stateroot);
  if (!newest) throw Error(ErrorCode::NotFound, stateroot + " has no deployment yet");
  auto revision = call.text(0);
  for (const char* prefix : {"revision=", "version="})
    if (revision.starts_with(prefix)) revision.erase(0, std::string_view(prefix).size());
  reply_cached_diff(call, stateroot, newest->checksum, commit_for(revision, stateroot),
                    newest->origin.refspec);
}

void Daemon::get_cached_rebase_diff(const Call& call, const std::string& stateroot) {
  refuse_packages(call.list(1));
  const auto* newest = newest_of(stateroot);
  if (!newest) throw Error(ErrorCode::NotFound, stateroot + " has no deployment yet");
  const auto origin = sysroot::origin_for(call.text(0));
  const auto commit = sysroot_->resolve(origin.refspec);
  if (!commit) throw Error(ErrorCode::NotFound, origin.refspec + " was not fetched yet");
  reply_cached_diff(call, stateroot, newest->checksum, *commit, origin.refspec);
}

namespace {

GVariant* change_list(const std::vector<std::pair<std::string, std::string>>& changes) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("a(ss)")));
  for (const auto& [kind, path] : changes)
    g_variant_builder_add(builder.get(), "(ss)", kind.c_str(),
                          adopt(g_utf8_make_valid(path.c_str(), -1)).get());
  return g_variant_builder_end(builder.get());
}

}  // namespace

void Daemon::get_config_diff(const Call& call, const std::string& stateroot) {
  // What administrators changed is theirs to see.
  authority_.require(call, {"deploy"}, [this, call, stateroot] {
    const auto roles = sysroot::roles_of(deployments_, stateroot);
    const auto* chosen = by_role(stateroot, roles.booted ? roles.booted : roles.newest);
    if (!call.text(0).empty()) {
      chosen = nullptr;
      for (const auto& d : deployments_)
        if (d.id() == call.text(0)) chosen = &d;
    }
    if (!chosen)
      throw Error(ErrorCode::NotFound, fmt::format("There is no deployment '{}'", call.text(0)));
    const auto changes = sysroot::etc_changes(options_.sysroot / chosen->path);
    std::vector<std::pair<std::string, std::string>> all;
    for (const auto& path : changes.modified) all.emplace_back("M", path);
    for (const auto& path : changes.removed) all.emplace_back("D", path);
    for (const auto& path : changes.added) all.emplace_back("A", path);
    call.reply(g_variant_new("(@a(ss))", change_list(all)));
  });
}

void Daemon::get_config_preview(const Call& call, const std::string& stateroot) {
  authority_.require(call, {"deploy"}, [this, call, stateroot] {
    const auto* newest = newest_of(stateroot);
    if (!newest) throw Error(ErrorCode::NotFound, stateroot + " has no deployment yet");
    std::vector<std::pair<std::string, std::string>> all;
    const auto commit = sysroot_->resolve(newest->origin.refspec);
    if (commit && *commit != newest->checksum) {
      const auto changes = sysroot::etc_changes(options_.sysroot / newest->path);
      for (const auto& path : sysroot::etc_conflicts(changes, sysroot_->repo(), *commit))
        all.emplace_back("conflict", path);
      for (const auto& path :
           sysroot::etc_shadowed(changes, sysroot_->repo(), newest->checksum, *commit))
        all.emplace_back("shadowed", path);
    }
    call.reply(g_variant_new("(@a(ss))", change_list(all)));
  });
}

}  // namespace atomichost::daemon
