// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

extern char** environ;

namespace atomichost {
namespace {

using Clock = std::chrono::steady_clock;

std::array<UniqueFd, 2> make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC)) throw_errno("Creating a pipe");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void set_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void keep_tail(std::string& text, std::size_t limit) {
  if (text.size() > 2 * limit) text.erase(0, text.size() - limit);
}

// After fork in a process that may have threads: async-signal-safe calls only.
[[noreturn]] void become(const std::vector<char*>& argv, char* const* env, const char* directory,
                         int in, int out, int err, const std::vector<std::pair<int, int>>& extra) {
  setpgid(0, 0);
  // First above everything that is a target, so that no dup2 overwrites a source.
  int highest = 2;
  for (const auto& [to, from] : extra) highest = std::max(highest, to);
  auto lift = [&](int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, highest + 1); };
  const int lifted[3] = {lift(in), lift(out), lift(err)};
  int sources[16];
  std::size_t count = 0;
  for (const auto& [to, from] : extra)
    if (count < 16) sources[count++] = lift(from);
  for (int i = 0; i < 3; ++i)
    if (dup2(lifted[i], i) < 0) _exit(126);
  count = 0;
  for (const auto& [to, from] : extra)
    if (count < 16 && dup2(sources[count++], to) < 0) _exit(126);
  if (*directory && chdir(directory)) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int sig : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) signal(sig, SIG_DFL);
  // Descriptors that are not close-on-exec (a library's) must not leak into untrusted programs.
  int from = 3;
  for (const auto& [to, ignored] : extra) {
    if (to > from) syscall(SYS_close_range, from, to - 1, 4 /* CLOSE_RANGE_CLOEXEC */);
    from = std::max(from, to + 1);
  }
  syscall(SYS_close_range, from, ~0U, 4);
  environ = const_cast<char**>(env);
  execvp(argv[0], argv.data());
  _exit(errno == ENOENT ? 127 : 126);
}

}  // namespace

CommandResult run_command(const Command& command, const CancelToken* cancel) {
  std::vector<std::string> env_text;
  std::vector<char*> argv, env;
  for (const auto& arg : command.argv) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  if (command.env)
    for (const auto& [key, value] : *command.env) env_text.push_back(key + "=" + value);
  for (auto& text : env_text) env.push_back(text.data());
  env.push_back(nullptr);
  const std::vector<std::pair<int, int>> extra(command.inherit_fds.begin(),
                                               command.inherit_fds.end());

  auto out = make_pipe(), err = make_pipe();
  std::array<UniqueFd, 2> in;
  UniqueFd null;
  if (command.input.empty()) {
    null = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  } else {
    in = make_pipe();
  }
  const int child_in = command.input.empty() ? null.get() : in[0].get();
  char* const* child_env = command.env ? env.data() : environ;
  const pid_t pid = fork();
  if (pid < 0) throw_errno("Starting " + command.argv.at(0));
  if (pid == 0)
    become(argv, child_env, command.working_directory.c_str(), child_in, out[1].get(), err[1].get(),
           extra);
  setpgid(pid, pid);
  out[1].reset();
  err[1].reset();
  in[0].reset();
  for (const int fd : {out[0].get(), err[0].get(), in[1].get()})
    if (fd >= 0) set_nonblocking(fd);

  CommandResult result;
  std::string_view input = command.input;
  const auto deadline = Clock::now() + command.timeout;
  bool cancelled = false, reaped = false;
  int status = 0;
  auto drain = [&](UniqueFd& fd, std::string& into) {
    char block[16384];
    for (;;) {
      const ssize_t n = read(fd.get(), block, sizeof block);
      if (n > 0) {
        into.append(block, static_cast<std::size_t>(n));
        keep_tail(into, command.output_limit);
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        return fd.reset();
      } else if (errno == EAGAIN) {
        return;
      }
    }
  };
  while (!reaped || out[0] || err[0]) {
    // Once the child itself is gone, only what is already in the pipes is read: a daemon it left
    // behind may hold them open for ever.
    std::array<pollfd, 3> fds{
        {{out[0].get(), POLLIN, 0}, {err[0].get(), POLLIN, 0}, {in[1].get(), POLLOUT, 0}}};
    poll(fds.data(), fds.size(), reaped ? 0 : 20);
    if (out[0]) drain(out[0], result.output);
    if (err[0]) drain(err[0], result.error_output);
    if (in[1] && (fds[2].revents & (POLLOUT | POLLERR | POLLHUP))) {
      const ssize_t n = write(in[1].get(), input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) in[1].reset();
    }
    if (reaped) break;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      reaped = true;
      continue;
    }
    if (!cancelled && !result.timed_out) {
      cancelled = cancel && cancel->is_cancelled();
      result.timed_out = command.timeout.count() > 0 && Clock::now() > deadline;
      if (cancelled || result.timed_out) kill(-pid, SIGKILL);
    }
  }
  kill(-pid, SIGKILL);  // what it left behind in its group
  if (cancelled) throw Cancelled();
  for (auto* text : {&result.output, &result.error_output})
    if (text->size() > command.output_limit) text->erase(0, text->size() - command.output_limit);
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace atomichost
