// SPDX-License-Identifier: LGPL-2.1-or-later
#include "private_bus.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "api/names.hpp"
#include "base/strings.hpp"
#include "program_paths.hpp"

namespace atomichost::client {
namespace {

constexpr char kConfiguration[] = R"(<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={0}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{0}</servicedir>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
)";

/// As the Exec line of a D-Bus service file wants a word.
std::string exec_quote(const std::string& word) {
  return "\"" + replace_all(replace_all(word, "\\", "\\\\"), "\"", "\\\"") + "\"";
}

}  // namespace

PrivateBus::PrivateBus(const std::string& sysroot) : folder_("/tmp", "atomic-") {
  const std::string folder = folder_.path();
  replace_file(folder_.path() / "bus.conf", fmt::format(kConfiguration, folder));
  replace_file(
      folder_.path() / (std::string(api::kBusName) + ".service"),
      fmt::format("[D-BUS Service]\nName={}\nExec={} --quiet {} {}\n", api::kBusName,
                  exec_quote(find_program("atomicd", "daemon")), exec_quote("--sysroot=" + sysroot),
                  exec_quote("--runtime-directory=" + folder)));
  int fds[2];
  if (pipe2(fds, O_CLOEXEC)) throw_errno("Creating a pipe");
  const UniqueFd from(fds[0]);
  UniqueFd to(fds[1]);
  const std::string config = "--config-file=" + folder + "/bus.conf";
  const std::string environment = "unix:path=" + folder + "/bus";
  setenv("DBUS_SYSTEM_BUS_ADDRESS", environment.c_str(), 1);  // the daemon inherits it
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw_errno("Starting dbus-daemon");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    setpgid(0, 0);  // Ctrl-C is for the client, which cancels first
    dup2(to.get(), STDOUT_FILENO);
    // The bus and the daemon log each start and end; errors of a call come back as its answer.
    if (!getenv("ATOMIC_DEBUG")) dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--print-address",
           config.c_str(), nullptr);
    _exit(127);
  }
  to.reset();
  char line[1024];
  const ssize_t n = read(from.get(), line, sizeof line);
  if (n <= 0)
    throw Error(ErrorCode::NotFound,
                "The program dbus-daemon, which --sysroot needs, could not be started");
  address_ = std::string(trim({line, static_cast<std::size_t>(n)}));
}

PrivateBus::~PrivateBus() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace atomichost::client
