// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/inotify.h>
#include <systemd/sd-daemon.h>

#include <algorithm>

#include "api/names.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"
#include "format/names.hpp"
#include "log.hpp"
#include "sysroot/packages.hpp"
#include "variants.hpp"
#include "wire/message.hpp"

namespace atomichost::daemon {
namespace fs = std::filesystem;
using sysroot::Deployment;

namespace {
constexpr std::chrono::milliseconds kSettle{50};  // several writes are one change
constexpr std::size_t kPackageListsKept = 6;
}  // namespace

Daemon::Daemon(DaemonOptions options, EventLoop& loop, sdbus::IConnection& connection)
    : options_(std::move(options)),
      loop_(loop),
      connection_(connection),
      config_(Config::read(options_.config_file)),
      authority_(connection) {}

Daemon::~Daemon() {
  if (active_) active_->cancel();
}

void Daemon::start() {
  root_object_ = sdbus::createObject(connection_, api::kRootPath);
  root_object_->addObjectManager();
  root_object_->finishRegistration();

  bus_ = sdbus::createProxy(connection_, "org.freedesktop.DBus", "/org/freedesktop/DBus");
  bus_->registerSignalHandler("org.freedesktop.DBus", "NameOwnerChanged", [this](sdbus::Signal& s) {
    try {
      const auto arguments = wire::read_arguments(s);
      const char *name, *before, *after;
      g_variant_get(arguments.get(), "(&s&s&s)", &name, &before, &after);
      if (!*after) name_lost(name);
    } catch (const std::exception& e) {
      log_error("NameOwnerChanged: {}", e.what());
    }
  });
  bus_->finishRegistration();

  read_sysroot();
  std::map<std::string, BusObject::Method> methods{
      {"RegisterClient", [this](const Call& c) { register_client(c); }},
      {"UnregisterClient", [this](const Call& c) { unregister_client(c); }},
      {"Reload", [this](const Call& c) { reload(c); }},
      {"ReloadConfig", [this](const Call& c) { reload(c); }},
      {"GetOS", [this](const Call& c) { get_os(c); }}};
  for (auto& [name, method] : methods)
    method = [this, inner = std::move(method)](const Call& c) {
      touch();
      inner(c);
    };
  std::map<std::string, BusObject::Property> properties{
      {"Path", [this] { return sink(g_variant_new_string(options_.sysroot.c_str())); }},
      {"AutomaticUpdatePolicy",
       [this] { return sink(g_variant_new_string(config_.automatic_update_policy.c_str())); }},
      {"Booted",
       [this] {
         std::string path = "/";
         for (const auto& d : deployments_)
           if (d.is_booted && os_objects_.contains(d.stateroot))
             path = os_objects_.at(d.stateroot)->path();
         return sink(g_variant_new_object_path(path.c_str()));
       }},
      {"ActiveTransaction",
       [this] {
         if (!active_) return sink(g_variant_new("(sss)", "", "", ""));
         return sink(g_variant_new("(sss)", active_->request().method.c_str(),
                                   active_->request().sender.c_str(), options_.sysroot.c_str()));
       }},
      {"ActiveTransactionPath",
       [this] { return sink(g_variant_new_string(active_ ? active_->address().c_str() : "")); }},
      {"Deployments", [this] {
         const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("aa{sv}")));
         for (const auto& d : deployments_)
           g_variant_builder_add_value(builder.get(), deployment_dict(d).get());
         return sink(g_variant_builder_end(builder.get()));
       }}};
  for (auto& [name, property] : properties)
    property = [this, inner = std::move(property)] {
      touch();
      return inner();
    };
  sysroot_object_ =
      std::make_unique<BusObject>(connection_, api::kSysrootPath, api::kSysrootInterface,
                                  std::move(methods), std::move(properties));
  update_objects();
  sysroot_object_->signal_all();  // a client of an earlier daemon sees what is new
  watch_sysroot();
  touch();
}

void Daemon::shut_down() {
  is_leaving_ = true;
  sd_notify(0, "STOPPING=1");
  if (active_) {
    active_->cancel();  // ended() stops the loop
    if (active_) return;
  }
  loop_.stop(0);
}

// --- What is shown ---------------------------------------------------------------------------

void Daemon::read_sysroot() {
  try {
    if (!sysroot_) {
      sysroot_.emplace(sysroot::Sysroot::open(options_.sysroot));
    } else {
      sysroot_->reload();
    }
    deployments_ = sysroot_->deployments();
    sysroot_error_.clear();
  } catch (const Error& e) {
    if (sysroot_error_ != e.what()) log_error("{}", e.what());
    sysroot_error_ = e.what();
    sysroot_.reset();
    deployments_.clear();
  }
}

void Daemon::require_sysroot() {
  if (!sysroot_error_.empty()) refresh();  // somebody may have mended it
  if (!sysroot_error_.empty()) throw Error(ErrorCode::InvalidInput, sysroot_error_);
}

void Daemon::update_objects() {
  auto names = sysroot_ ? sysroot_->stateroots() : std::vector<std::string>();
  for (const auto& d : deployments_)
    if (std::ranges::find(names, d.stateroot) == names.end()) names.push_back(d.stateroot);
  std::erase_if(os_objects_, [&](const auto& entry) {
    return std::ranges::find(names, entry.first) == names.end();
  });
  for (const auto& name : names)
    if (!os_objects_.contains(name)) add_os(name);
}

void Daemon::signal_changes() {
  for (const auto& [name, object] : os_objects_) object->signal_changes();
  sysroot_object_->signal_changes();
}

void Daemon::refresh() {
  read_sysroot();
  update_objects();
  signal_changes();
}

void Daemon::add_os(const std::string& stateroot) {
  const std::map<std::string, OsMethod> table{
      {"AutomaticUpdateTrigger", &Daemon::automatic_update},
      {"Deploy", &Daemon::deploy},
      {"Upgrade", &Daemon::upgrade},
      {"Rebase", &Daemon::rebase},
      {"Rollback", &Daemon::rollback},
      {"ClearRollbackTarget", &Daemon::clear_rollback},
      {"UpdateDeployment", &Daemon::update_deployment},
      {"FinalizeDeployment", &Daemon::finalize_deployment},
      {"KernelArgs", &Daemon::kernel_args},
      {"GetDeploymentBootConfig", &Daemon::get_boot_config},
      {"Cleanup", &Daemon::cleanup},
      {"RefreshMd", &Daemon::refresh_md},
      {"GetDeploymentsRpmDiff", &Daemon::get_deployments_diff},
      {"GetCachedUpdateRpmDiff", &Daemon::get_cached_update_diff},
      {"DownloadUpdateRpmDiff", &Daemon::download_update_diff},
      {"GetCachedDeployRpmDiff", &Daemon::get_cached_deploy_diff},
      {"DownloadDeployRpmDiff", &Daemon::download_deploy_diff},
      {"GetCachedRebaseRpmDiff", &Daemon::get_cached_rebase_diff},
      {"DownloadRebaseRpmDiff", &Daemon::download_rebase_diff},
      {"PinDeployment", &Daemon::pin_deployment},
      {"GetConfigDiff", &Daemon::get_config_diff},
      {"DownloadConfigPreview", &Daemon::download_config_preview},
      {"GetConfigPreview", &Daemon::get_config_preview}};
  std::map<std::string, BusObject::Method> methods;
  for (const auto& [name, method] : table)
    methods[name] = [this, stateroot, method = method](const Call& call) {
      touch();
      require_sysroot();
      (this->*method)(call, stateroot);
    };
  auto dict_of = [](const Deployment* d) { return d ? deployment_dict(*d) : Dict().end(); };
  auto roles = [this, stateroot] { return sysroot::roles_of(deployments_, stateroot); };
  std::map<std::string, BusObject::Property> properties{
      {"Name", [stateroot] { return sink(g_variant_new_string(stateroot.c_str())); }},
      {"BootedDeployment", [=, this] { return dict_of(by_role(stateroot, roles().booted)); }},
      {"DefaultDeployment", [=, this] { return dict_of(newest_of(stateroot)); }},
      {"RollbackDeployment", [=, this] { return dict_of(by_role(stateroot, roles().rollback)); }},
      {"CachedUpdate", [=, this] { return cached_update(stateroot); }},
      {"HasCachedUpdateRpmDiff", [=, this] {
         const auto cached = cached_update(stateroot);
         const auto diff = adopt(g_variant_lookup_value(cached.get(), "rpm-diff", nullptr));
         return sink(g_variant_new_boolean(diff != nullptr));
       }}};
  // '-' and '_' look the same in a path; the second of such names gets another.
  std::string element = api::path_element(stateroot);
  auto is_taken = [&](const std::string& path) {
    return path == api::kSysrootPath || std::ranges::any_of(os_objects_, [&](const auto& o) {
             return o.second->path() == path;
           });
  };
  while (is_taken(std::string(api::kRootPath) + "/" + element)) element += "_1";
  os_objects_[stateroot] =
      std::make_unique<BusObject>(connection_, std::string(api::kRootPath) + "/" + element,
                                  api::kOsInterface, std::move(methods), std::move(properties));
}

void Daemon::watch_sysroot() {
  inotify_ = UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) throw_errno("Watching the sysroot");
  // libostree touches ostree/deploy after each change, for just this purpose. A new ref in the
  // repository may be an update.
  const fs::path staged = options_.sysroot / format::kStagedDeployment;
  for (const auto& [path, mask] : std::initializer_list<std::pair<fs::path, std::uint32_t>>{
           {options_.sysroot / "ostree/deploy", IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVE},
           {staged.parent_path(), IN_CREATE | IN_DELETE | IN_MOVE}})
    inotify_add_watch(inotify_.get(), path.c_str(), mask);  // it may not be there; Reload() helps
  inotify_source_ = loop_.on_readable(inotify_.get(), [this] {
    char events[4096];
    while (read(inotify_.get(), events, sizeof events) > 0) {
    }
    if (!refresh_timer_)
      refresh_timer_ = loop_.after(kSettle, [this] {
        refresh_timer_.reset();
        refresh();
      });
  });
}

void Daemon::name_lost(const std::string& name) {
  clients_.erase(name);
  if (active_) active_->name_lost(name);
  consider_leaving();
}

void Daemon::touch() {
  if (config_.idle_exit.count() == 0 || is_leaving_) return;
  idle_timer_ = loop_.after(config_.idle_exit, [this] {
    idle_timer_.reset();
    consider_leaving();
  });
}

void Daemon::consider_leaving() {
  if (config_.idle_exit.count() == 0 || idle_timer_ || is_leaving_ || active_ || !ended_.empty() ||
      !clients_.empty())
    return;
  log_info("Idle; exiting");
  shut_down();
}

// --- Sysroot's methods -----------------------------------------------------------------------

void Daemon::register_client(const Call& call) {
  require_sysroot();
  const auto id = Options(call.value(0)).text("id").value_or("");
  if (clients_.size() < 1024) clients_[call.sender()] = id.substr(0, 64);
  call.reply(g_variant_new("()"));
}

void Daemon::unregister_client(const Call& call) {
  clients_.erase(call.sender());
  call.reply(g_variant_new("()"));
  consider_leaving();
}

void Daemon::reload(const Call& call) {
  auto granted = [this, call] {
    config_ = Config::read(options_.config_file);
    sysroot_.reset();  // origins and remotes may have been edited, which no timestamp tells
    refresh();
    require_sysroot();
    call.reply(g_variant_new("()"));
  };
  // Reading again changes nothing and is cheap; only the explicit verb is guarded.
  if (call.member() == "Reload") return authority_.require(call, {"reload-daemon"}, granted);
  granted();
}

void Daemon::get_os(const Call& call) {
  require_sysroot();
  auto name = call.text(0);
  if (name.empty())
    for (const auto& d : deployments_)
      if (d.is_booted) name = d.stateroot;
  const auto found = os_objects_.find(name);
  if (found == os_objects_.end()) {
    std::vector<std::string> known;
    for (const auto& [known_name, object] : os_objects_) known.push_back(known_name);
    throw Error(ErrorCode::NotFound,
                name.empty()
                    ? "Nothing is booted from this sysroot; name a stateroot"
                    : fmt::format("There is no stateroot '{}'{}", name, did_you_mean(name, known)));
  }
  call.reply(g_variant_new("(o)", found->second->path().c_str()));
}

// --- Values ----------------------------------------------------------------------------------

const Deployment* Daemon::by_role(const std::string&, std::optional<std::size_t> role) const {
  return role && *role < deployments_.size() ? &deployments_[*role] : nullptr;
}

const Deployment* Daemon::newest_of(const std::string& stateroot) const {
  return by_role(stateroot, sysroot::roles_of(deployments_, stateroot).newest);
}

GPtr<GVariant> Daemon::cached_update(const std::string& stateroot) {
  const auto* newest = newest_of(stateroot);
  if (!sysroot_ || !newest || newest->origin.remote().empty() ||
      !newest->origin.container_reference.empty())
    return Dict().end();
  const auto commit = sysroot_->resolve(newest->origin.refspec);
  if (!commit || *commit == newest->checksum || *commit == newest->origin.override_commit)
    return Dict().end();
  const auto info = sysroot_->commit_info(*commit, newest->origin.remote());
  // The ref may still be at an older commit than the one deployed: no update.
  if (!info.error.empty() || info.timestamp_s < newest->commit.timestamp_s) return Dict().end();
  auto dict = commit_details(stateroot, info, newest->origin.refspec);
  dict.add_flag("ref-has-new-commit", true);
  dict.add("deployment", newest->id());
  dict.add("update-sha256", *commit);
  try {
    dict.add("rpm-diff", cached_diff_variant(
                             daemon::package_diff(*packages(newest->checksum), *packages(*commit)))
                             .get());
  } catch (const Error&) {  // the list was not fetched, or there is none
  }
  return dict.end();
}

Daemon::PackageList Daemon::packages(const std::string& commit) {
  if (const auto known = packages_.find(commit); known != packages_.end()) return known->second;
  auto read =
      std::make_shared<std::vector<rpm::Nevra>>(sysroot::packages_of(sysroot_->repo(), commit));
  if (packages_.size() >= kPackageListsKept) packages_.clear();
  packages_[commit] = read;
  return read;
}

/// A deployment's id, a checksum (or a unique beginning of one), a ref, or a version.
std::string Daemon::commit_for(const std::string& text, const std::string& stateroot) {
  for (const auto& d : deployments_)
    if (d.id() == text || d.checksum == text) return d.checksum;
  for (const auto& d : deployments_)
    if (d.stateroot == stateroot && !text.empty() && d.commit.version == text) return d.checksum;
  if (const auto found = sysroot_->resolve(text)) return *found;
  if (const auto found = sysroot_->find_version(text)) return *found;
  throw Error(ErrorCode::NotFound,
              fmt::format("'{}' is no deployment, commit, branch or version on this host", text));
}

}  // namespace atomichost::daemon
