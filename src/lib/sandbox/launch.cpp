// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/launch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::sandbox {
namespace {

// What the holder says of a step: 0, or why it failed.
struct Step {
  char name;
  int error;
};
constexpr char kPrivate = 'p', kLower = 'l', kOverlay = 'o', kProc = 'c';

// Like fork(), but for @p flags. The calling process may have threads: until it executes something,
// the child may only make system calls. Signals stay blocked in the child until it unblocks them.
pid_t clone_process(unsigned long flags) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const auto pid =
      static_cast<pid_t>(syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  const int error = errno;
  if (pid != 0) pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return pid;
}

// In the child: the process of a terminal's Ctrl-C is the parent; a killed parent takes it along.
void become_child() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);
  for (int sig = 1; sig < 32; ++sig) signal(sig, SIG_DFL);
}

// In the child: @p count descriptors become 0, 1, 2, ...; all others are closed, as another
// sandbox's server must not be kept alive by this process.
bool take_descriptors(const int* fds, int count) {
  for (int i = 0; i < count; ++i) {
    // First above everything that is a target, so that no dup2 overwrites a source.
    const int lifted = fcntl(fds[i], F_DUPFD_CLOEXEC, 512 + i);
    if (lifted != 512 + i && (lifted < 0 || dup2(lifted, 512 + i) < 0)) return false;
  }
  for (int i = 0; i < count; ++i)
    if (dup2(512 + i, i) < 0) return false;
  return syscall(SYS_close_range, count, ~0U, 0) == 0;
}

[[noreturn]] void hold(const char* work_dir, int fuse_device, int steps) {
  become_child();
  auto say = [](char step, bool ok) {
    const Step message{step, ok ? 0 : errno};
    if (write(1, &message, sizeof message) != sizeof message || !ok) _exit(1);
  };
  const std::array<int, 3> fds{open("/dev/null", O_RDWR), steps, fuse_device};
  say(kPrivate, take_descriptors(fds.data(), 3) && !chdir(work_dir) &&
                    !mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  // Other processes of the namespace share our user, so our memory must not be theirs.
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGCHLD, SIG_IGN);  // what programs leave behind is reaped by the kernel
  say(kLower, !mount("tree", "lower", "fuse.tree", MS_RDONLY | MS_NODEV,
                     "fd=2,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
                     "max_read=131072") &&
                  !close(2));
  // Relative paths: they are shown in /proc/self/mountinfo.
  say(kOverlay, !mount("overlay", "root", "overlay", 0,
                       "lowerdir=lower,upperdir=upper,workdir=work,index=off,metacopy=off,"
                       "redirect_dir=off,xino=off,volatile"));
  // What depends on the machine (cpuinfo, cmdline, sys) is not shown: nothing records it.
  say(kProc,
      (!mkdir("root/proc", 0555) || errno == EEXIST) &&
          !mount("proc", "root/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, "subset=pid"));
  close(1);
  for (;;) pause();
}

[[noreturn]] void execute(int mount_namespace, const char* work_dir, char* const* argv,
                          char* const* env, const int* fds, int count) {
  become_child();
  rlimit core{0, 0};
  setrlimit(RLIMIT_CORE, &core);
  umask(022);
  if (setns(mount_namespace, CLONE_NEWNS) || chdir(work_dir) || !take_descriptors(fds, count))
    _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(argv[0], argv, env);
  _exit(127);
}

}  // namespace

Child::Child(pid_t pid) : pid_(pid) {
  pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd_) {
    const int error = errno;
    kill();
    wait();
    throw errno_error(error, "Watching a child process");
  }
}

Child::Child(Child&& o) noexcept
    : pid_(std::exchange(o.pid_, -1)),
      pidfd_(std::move(o.pidfd_)),
      status_(o.status_),
      ended_(o.ended_) {}

Child& Child::operator=(Child&& o) noexcept {
  std::swap(pid_, o.pid_);
  std::swap(pidfd_, o.pidfd_);
  std::swap(status_, o.status_);
  std::swap(ended_, o.ended_);
  return *this;
}

Child::~Child() {
  kill();
  wait();
}

void Child::kill() noexcept {
  if (pid_ > 0 && !ended_) ::kill(pid_, SIGKILL);
}

int Child::wait() noexcept {
  if (pid_ > 0 && !ended_) {
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    ended_ = true;
  }
  return status_;
}

Holder::Holder(const std::filesystem::path& work_dir, int fuse_device) : work_dir_(work_dir) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) throw_errno("Creating a pipe");
  steps_.reset(ends[0]);
  const UniqueFd says(ends[1]);
  const pid_t pid = clone_process(CLONE_NEWNS | CLONE_NEWPID);
  if (pid < 0)
    throw Error(errno == EPERM ? ErrorCode::Denied : ErrorCode::Failed,
                std::string("Creating a namespace for the sandbox: ") + strerror(errno) +
                    (errno == EPERM ? " (run as root, in a container with CAP_SYS_ADMIN)" : ""));
  if (pid == 0) hold(work_dir.c_str(), fuse_device, says.get());
  child_ = Child(pid);
  expect(kPrivate);
  expect(kLower);
}

void Holder::wait_until_ready() {
  expect(kOverlay);
  expect(kProc);
}

void Holder::expect(char step) {
  // The pipe's other end may be held for an instant by a process that another thread has just
  // started: the holder's own end is watched too.
  Step message{};
  for (;;) {
    std::array<pollfd, 2> fds{{{steps_.get(), POLLIN, 0}, {child_.pidfd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) continue;
    if (fds[0].revents & POLLIN) break;
    if (fds[1].revents)
      throw Error(ErrorCode::Failed, "Setting up the sandbox: its first process was killed");
  }
  if (read(steps_.get(), &message, sizeof message) != sizeof message || message.name != step)
    throw Error(ErrorCode::Failed, "Setting up the sandbox: its first process was killed");
  if (!message.error) return;
  const std::string where = work_dir_.string();
  switch (step) {
    case kLower:
      throw errno_error(message.error, "Mounting the tree by FUSE in " + where);
    case kOverlay:
      throw errno_error(message.error, "Mounting an overlay in " + where +
                                           " (the work directory must be on a local file system "
                                           "such as ext4, xfs, btrfs or tmpfs)");
    case kProc:
      throw errno_error(message.error, "Mounting /proc in the sandbox");
    default:
      throw errno_error(message.error, "Preparing a mount namespace for the sandbox");
  }
}

UniqueFd pid_namespace(const Holder& holder) {
  return open_at(AT_FDCWD, "/proc/" + std::to_string(holder.pid()) + "/ns/pid", O_RDONLY);
}

Child start_in(const Holder& holder, const std::filesystem::path& work_dir,
               const std::vector<std::string>& argv, const std::vector<std::string>& env,
               const std::vector<int>& fds) {
  std::vector<char*> arguments, environment;
  for (const auto& text : argv) arguments.push_back(const_cast<char*>(text.c_str()));
  for (const auto& text : env) environment.push_back(const_cast<char*>(text.c_str()));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  const UniqueFd mounts =
      open_at(AT_FDCWD, "/proc/" + std::to_string(holder.pid()) + "/ns/mnt", O_RDONLY);
  const pid_t pid = clone_process(0);
  if (pid < 0) throw_errno("Starting " + argv.at(0));
  if (pid == 0)
    execute(mounts.get(), work_dir.c_str(), arguments.data(), environment.data(), fds.data(),
            static_cast<int>(fds.size()));
  return Child(pid);
}

}  // namespace atomichost::sandbox
