// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/launch.hpp"

#include <fcntl.h>
#include <linux/keyctl.h>
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
#include <cstdlib>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"

namespace atomichost::sandbox {
namespace {

// Code of a child that shares our memory until it executes something, while this thread waits: only
// system calls, on a stack that the sanitizer does not know.
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))
constexpr std::size_t kStack = 64 << 10;

// What the child is told, and what it answers when it fails.
struct Start {
  const char* work_dir = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const int* fds = nullptr;
  int fd_count = 0;
  int mount_namespace = -1;
  const char* step = "";
  int error = 0;
};

// In the child: a terminal's Ctrl-C is for the parent; the death of the parent is the child's.
IN_CHILD void become_child() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);
  for (int sig = 1; sig < 32; ++sig) signal(sig, SIG_DFL);
  umask(022);
}

// In the child: the descriptors become 0, 1, 2, ...; all others are closed, as another sandbox's
// server must not be kept alive by this process.
IN_CHILD bool take_descriptors(const Start& start) {
  constexpr int kAbove = 512;
  for (int i = 0; i < start.fd_count; ++i)  // first above all targets: no dup2 hits a source
    if (dup2(start.fds[i], kAbove + i) < 0) return false;
  for (int i = 0; i < start.fd_count; ++i)
    if (dup2(kAbove + i, i) < 0) return false;
  return syscall(SYS_close_range, start.fd_count, ~0U, 0) == 0;
}

IN_CHILD void unblock_and_execute(const Start& start) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(start.argv[0], start.argv, start.env);
}

// Descriptors here: 3 is the FUSE device, 4 takes the byte.
IN_CHILD int hold(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  become_child();
  signal(SIGCHLD, SIG_IGN);  // what programs leave behind is reaped by the kernel
  start.step = "private";
  bool ok = take_descriptors(start) && !chdir(start.work_dir) &&
            !mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (ok) {
    start.step = "lower";
    ok = !mount("tree", "lower", "fuse.tree", MS_RDONLY | MS_NODEV,
                "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
                "max_read=131072") &&
         write(4, "x", 1) == 1 && !syscall(SYS_close_range, 3, 4, 0);
  }
  if (ok) {
    start.step = "overlay";
    // Relative paths: they are shown in /proc/self/mountinfo.
    ok = !mount("overlay", "root", "overlay", 0,
                "lowerdir=lower,upperdir=upper,workdir=work,index=off,metacopy=off,"
                "redirect_dir=off,xino=off,volatile");
  }
  if (ok) {
    start.step = "proc";
    // What depends on the machine (cpuinfo, cmdline, sys) is not shown: nothing records it.
    ok = (!mkdir("root/proc", 0555) || errno == EEXIST) &&
         !mount("proc", "root/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, "subset=pid");
  }
  if (ok) {
    start.step = "execute";
    unblock_and_execute(start);
  }
  start.error = errno;
  _exit(127);
}

IN_CHILD int enter(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  become_child();
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);  // not the caller's keys
  start.step = "enter";
  if (!setns(start.mount_namespace, CLONE_NEWNS) && !chdir(start.work_dir) &&
      take_descriptors(start)) {
    start.step = "execute";
    unblock_and_execute(start);
  }
  start.error = errno;
  _exit(127);
}

// As posix_spawn() does it, for a process with threads and much memory: nothing is copied, this
// thread waits until the child has executed its program or failed.
pid_t spawn(int flags, int (*body)(void*), Start& start) {
  std::vector<char> stack(kStack);
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const pid_t pid =
      clone(body, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD | flags, &start);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return pid;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void throw_failure(const Start& start) {
  const std::string step = start.step, where = start.work_dir;
  if (step == "lower") throw errno_error(start.error, "Mounting the tree by FUSE in " + where);
  if (step == "overlay")
    throw errno_error(start.error, "Mounting an overlay in " + where +
                                       " (the work directory must be on a local file system such "
                                       "as ext4, xfs, btrfs or tmpfs)");
  if (step == "proc") throw errno_error(start.error, "Mounting /proc in the sandbox");
  if (step == "execute") throw errno_error(start.error, std::string("Starting ") + start.argv[0]);
  throw errno_error(start.error, "Setting up the sandbox's namespaces");
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

Child start_holder(const std::filesystem::path& work_dir, int fuse_device, int mounted) {
  // Any program that waits for ever and takes no room.
  const std::vector<std::string> argv{find_program("sleep", "install coreutils"), "infinity"};
  const auto arguments = pointers(argv), environment = pointers({});
  const UniqueFd null = open_at(AT_FDCWD, "/dev/null", O_RDWR);
  const std::array fds{null.get(), null.get(), null.get(), fuse_device, mounted};
  Start start{.work_dir = work_dir.c_str(),
              .argv = arguments.data(),
              .env = environment.data(),
              .fds = fds.data(),
              .fd_count = static_cast<int>(fds.size())};
  const pid_t pid = spawn(CLONE_NEWNS | CLONE_NEWPID, hold, start);
  if (pid < 0)
    throw_errno(std::string("Creating a namespace for the sandbox") +
                (errno == EPERM ? " (run as root, in a container with CAP_SYS_ADMIN)" : ""));
  Child holder(pid);
  if (start.error) throw_failure(start);
  return holder;
}

UniqueFd pid_namespace(const Child& holder) {
  return open_at(AT_FDCWD, "/proc/" + std::to_string(holder.pid()) + "/ns/pid", O_RDONLY);
}

Child start_in(const Child& holder, const std::filesystem::path& work_dir,
               const std::vector<std::string>& argv, const std::vector<std::string>& env,
               const std::vector<int>& fds) {
  const auto arguments = pointers(argv), environment = pointers(env);
  const UniqueFd mounts =
      open_at(AT_FDCWD, "/proc/" + std::to_string(holder.pid()) + "/ns/mnt", O_RDONLY);
  Start start{.work_dir = work_dir.c_str(),
              .argv = arguments.data(),
              .env = environment.data(),
              .fds = fds.data(),
              .fd_count = static_cast<int>(fds.size()),
              .mount_namespace = mounts.get()};
  const pid_t pid = spawn(0, enter, start);
  if (pid < 0) throw_errno("Starting " + argv.at(0));
  Child child(pid);
  if (start.error) throw_failure(start);
  return child;
}

std::string find_program(const std::string& name, const std::string& what_to_do) {
  const char* path = getenv("PATH");
  for (const auto& dir : split(path ? path : "/usr/bin:/bin", ':')) {
    const std::string candidate = dir + "/" + name;
    if (dir.starts_with('/') && !access(candidate.c_str(), X_OK)) return candidate;
  }
  throw Error(ErrorCode::NotFound,
              name + " is not in PATH: scripts cannot be run (" + what_to_do + ")");
}

}  // namespace atomichost::sandbox
