// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "api/names.hpp"
#include "base/strings.hpp"
#include "daemon.hpp"
#include "log.hpp"
#include "query.hpp"
#include "sysroot/pull.hpp"

namespace atomichost::daemon {
namespace {

constexpr char kUsage[] =
    "Usage:\n"
    "  atomicd [OPTION...]\n\n"
    "Serves org.projectatomic.rpmostree1 on the system bus. Started by the bus when needed.\n\n"
    "Options:\n"
    "  --sysroot=FOLDER         The sysroot to serve (default: /)\n"
    "  --config=FILE            Settings (default: /etc/rpm-ostreed.conf)\n"
    "  --runtime-directory=DIR  Where transactions listen (default: /run/atomic)\n"
    "  --quiet                  Log errors only\n"
    "  --version                Show the version\n";

/// /sysroot and /boot are mounted read-only on a booted host; we write in a mount namespace of our
/// own. Must be done before there is a second thread.
void leave_mount_namespace(const DaemonOptions& options) {
  if (options.sysroot != "/" || access("/run/ostree-booted", F_OK)) return;
  if (unshare(CLONE_NEWNS) || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr))
    log_error("Making a mount namespace: {}", strerror(errno));
}

int serve(DaemonOptions options) {
  leave_mount_namespace(options);
  // One that nobody can watch is not fit for the daemon's files.
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  EventLoop loop;
  const auto connection = sdbus::createSystemBusConnection();
  int status = 0;
  {
    Daemon daemon(std::move(options), loop, *connection);
    loop.on_stop_signal([&] { daemon.shut_down(); });
    daemon.start();
    connection->requestName(api::kBusName);
    loop.attach(*connection, [&] {
      status = 1;
      daemon.shut_down();
    });
    sd_notify(0, "READY=1");
    loop.run();
    try {
      connection->releaseName(api::kBusName);
      while (connection->processPendingRequest()) {  // what came before the name was given up
      }
    } catch (const std::exception&) {  // the bus is gone
    }
  }
  return status;
}

int run(const std::vector<std::string>& words) {
  DaemonOptions options;
  std::error_code ignored;
  options.program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (words.size() == 1 && words[0] == "pull-worker")
    return sysroot::run_pull_worker(STDIN_FILENO, STDOUT_FILENO);
  if (!words.empty() && words[0] == "query") return run_query({words.begin() + 1, words.end()});
  for (const auto& word : words) {
    auto value = [&](std::string_view name) -> std::optional<std::string> {
      const std::string prefix = fmt::format("--{}=", name);
      if (!word.starts_with(prefix)) return std::nullopt;
      return word.substr(prefix.size());
    };
    if (word == "--help" || word == "-h") return fmt::print("{}", kUsage), 0;
    if (word == "--quiet") {
      is_logging_info = false;
      continue;
    }
    if (word == "--version") return fmt::print("atomicd {}\n", ATOMIC_VERSION), 0;
    if (const auto v = value("sysroot"))
      options.sysroot = std::filesystem::absolute(*v).lexically_normal();
    else if (const auto c = value("config"))
      options.config_file = *c;
    else if (const auto r = value("runtime-directory"))
      options.runtime_directory = *r;
    else
      throw Error(ErrorCode::InvalidInput, fmt::format("Unknown argument {}", shell_quote(word)));
  }
  return serve(std::move(options));
}

}  // namespace
}  // namespace atomichost::daemon

int main(int argc, char** argv) {
  try {
    return atomichost::daemon::run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
