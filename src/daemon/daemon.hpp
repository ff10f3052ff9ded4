// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "authority.hpp"
#include "bus_object.hpp"
#include "config.hpp"
#include "event_loop.hpp"
#include "rpm/nevra.hpp"
#include "sysroot/operations.hpp"
#include "transaction.hpp"

namespace atomichost::daemon {

struct DaemonOptions {
  std::filesystem::path sysroot = "/";
  std::filesystem::path runtime_directory = "/run/atomic";
  std::filesystem::path config_file = "/etc/rpm-ostreed.conf";
  std::string program;  ///< this program, to be started again as pull process
};

/// The objects on the bus, what they show of the sysroot, and the one transaction that may change
/// it. Everything here runs on the event loop's thread.
class Daemon {
 public:
  Daemon(DaemonOptions options, EventLoop& loop, sdbus::IConnection& connection);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Read the sysroot and put its objects on the bus. What is wrong with the sysroot is told to
  /// every caller, it does not end the daemon.
  void start();
  /// Cancel what runs, and end the loop once it has stopped.
  void shut_down();

 private:
  using Work = std::function<void(sysroot::Operation&)>;
  struct Plan {
    std::string title;
    std::vector<std::string> actions;  ///< polkit actions that all must be granted
    bool reboot = false;
    Work work;
  };
  using PackageList = std::shared_ptr<const std::vector<rpm::Nevra>>;
  using OsMethod = void (Daemon::*)(const Call&, const std::string& stateroot);

  // What is shown.
  void refresh();
  void read_sysroot();
  void update_objects();
  void signal_changes();
  void add_os(const std::string& stateroot);
  void watch_sysroot();
  void name_lost(const std::string& name);
  void touch();
  void consider_leaving();
  void require_sysroot();

  // Sysroot's methods.
  void register_client(const Call& call);
  void unregister_client(const Call& call);
  void reload(const Call& call);
  void get_os(const Call& call);

  // The OS objects' methods that answer at once.
  void get_boot_config(const Call& call, const std::string& stateroot);
  void get_deployments_diff(const Call& call, const std::string& stateroot);
  void get_cached_update_diff(const Call& call, const std::string& stateroot);
  void get_cached_deploy_diff(const Call& call, const std::string& stateroot);
  void get_cached_rebase_diff(const Call& call, const std::string& stateroot);
  void get_config_diff(const Call& call, const std::string& stateroot);
  void get_config_preview(const Call& call, const std::string& stateroot);

  // Those that make a transaction.
  void automatic_update(const Call& call, const std::string& stateroot);
  void deploy(const Call& call, const std::string& stateroot);
  void upgrade(const Call& call, const std::string& stateroot);
  void rebase(const Call& call, const std::string& stateroot);
  void rollback(const Call& call, const std::string& stateroot);
  void update_deployment(const Call& call, const std::string& stateroot);
  void finalize_deployment(const Call& call, const std::string& stateroot);
  void kernel_args(const Call& call, const std::string& stateroot);
  void cleanup(const Call& call, const std::string& stateroot);
  void refresh_md(const Call& call, const std::string& stateroot);
  void clear_rollback(const Call& call, const std::string& stateroot);
  void download_update_diff(const Call& call, const std::string& stateroot);
  void download_deploy_diff(const Call& call, const std::string& stateroot);
  void download_rebase_diff(const Call& call, const std::string& stateroot);
  void pin_deployment(const Call& call, const std::string& stateroot);
  void download_config_preview(const Call& call, const std::string& stateroot);

  /// Authorize, then start or join a transaction, then answer with its address.
  void transact(const Call& call, const std::string& stateroot, Plan plan,
                std::function<void(const Call&, const std::string& address)> answer = {});
  [[nodiscard]] std::string begin(const Call& call, const std::string& stateroot, Plan plan);
  void ended(const std::string& error, bool reboot);
  void update_with(const Call& call, const std::string& stateroot, sysroot::UpdateRequest request,
                   std::string title, std::vector<std::string> actions, bool reboot);
  void fetch_with(const Call& call, const std::string& stateroot, sysroot::UpdateRequest request,
                  std::string title, sysroot::Fetch what);
  [[nodiscard]] std::string describe(const Call& call) const;
  void check_reboot(bool wanted) const;

  // Values of properties.
  [[nodiscard]] const sysroot::Deployment* by_role(const std::string& stateroot,
                                                   std::optional<std::size_t> role) const;
  [[nodiscard]] const sysroot::Deployment* newest_of(const std::string& stateroot) const;
  [[nodiscard]] GPtr<GVariant> cached_update(const std::string& stateroot);
  [[nodiscard]] std::string commit_for(const std::string& text, const std::string& stateroot);
  [[nodiscard]] PackageList packages(const std::string& commit);
  [[nodiscard]] GVariant* package_diff(const std::string& from, const std::string& to);
  void reply_cached_diff(const Call& call, const std::string& stateroot, const std::string& from,
                         const std::string& commit, const std::string& refspec);

  DaemonOptions options_;
  EventLoop& loop_;
  sdbus::IConnection& connection_;
  Config config_;
  Authority authority_;

  std::optional<sysroot::Sysroot> sysroot_;
  std::string sysroot_error_;
  std::vector<sysroot::Deployment> deployments_;
  std::map<std::string, PackageList> packages_;  // by commit; few, see packages()

  std::unique_ptr<sdbus::IObject> root_object_;
  std::unique_ptr<BusObject> sysroot_object_;
  std::map<std::string, std::unique_ptr<BusObject>> os_objects_;  // by stateroot

  std::shared_ptr<Transaction> active_;
  std::vector<std::shared_ptr<Transaction>> ended_;
  unsigned transactions_ = 0;
  std::map<std::string, std::string> clients_;  // sender -> id it gave
  std::unique_ptr<sdbus::IProxy> bus_;
  UniqueFd inotify_;
  Source inotify_source_, refresh_timer_, idle_timer_;
  bool is_leaving_ = false;
};

}  // namespace atomichost::daemon
