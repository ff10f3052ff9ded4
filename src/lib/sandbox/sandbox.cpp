// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "sandbox/launch.hpp"
#include "sandbox/lua.hpp"
#include "sandbox/memo.hpp"
#include "sandbox/tree_server.hpp"
#include "sandbox/upper.hpp"

namespace atomichost::sandbox {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

// Part of every key: raise it when a command could see or leave something else than before.
constexpr int kVersion = 1;
constexpr std::size_t kOutputLimit = 256 << 10;
constexpr auto kTick = std::chrono::milliseconds(50);
constexpr std::uint64_t kFull = 64 << 10;  // bytes left that count as none
const char* const kScriptPath = "/run/atomic/script";

// What a command finds there is made for it and goes with it.
const std::set<std::string> kRuntime{"dev", "proc", "sys", "run", "tmp", "var/tmp"};

// Root without what reaches beyond its tree. No mknod (no commit can hold devices), no
// dac_read_search (open_by_handle_at finds the build host's files), no sys_ptrace.
constexpr std::array kCapabilities{"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                   "CAP_FSETID", "CAP_KILL",         "CAP_SETGID",
                                   "CAP_SETUID", "CAP_SETFCAP",      "CAP_SYS_CHROOT"};

std::map<std::string, std::string> environment(const Job& job) {
  std::map<std::string, std::string> env{
      {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
      {"HOME", "/root"},
      {"USER", "root"},
      {"LOGNAME", "root"},
      {"SHELL", "/bin/sh"},
      {"TERM", "dumb"},
      {"LANG", "C.UTF-8"},
      {"TZ", "UTC"},
      // A real date (accounts get it as day of the last password change), and always the same one:
      // the time of the compose would make every memory useless.
      {"SOURCE_DATE_EPOCH", "1577836800"},
      {"SYSTEMD_OFFLINE", "1"},  // systemctl changes files and asks no running systemd
      // All files look as old as on the deployed system, so shipped byte code looks stale.
      {"PYTHONDONTWRITEBYTECODE", "1"},
  };
  if (job.is_lua) env.insert(lua_runtime().env.begin(), lua_runtime().env.end());
  for (const auto& [name, value] : job.env) env[name] = value;
  return env;
}

// Where @p path (absolute) leads in @p tree, without its "/"; parts that are not there as written.
std::string canonical(const tree::Tree& tree, const std::string& path) {
  std::string at = tree.canonical_parent(path);
  for (int links = 0; links < 40; ++links) {
    const tree::Node* node = tree.find(at);
    if (!node || !node->meta->is_symlink()) break;
    const auto slash = at.rfind('/');
    const std::string parent = slash == at.npos ? "" : at.substr(0, slash + 1);
    at =
        tree.canonical_parent(node->target.starts_with('/') ? node->target : parent + node->target);
  }
  return at;
}

struct Program {
  std::vector<std::string> argv;
  std::vector<ExtraFile> files;
  std::vector<Bind> binds;
};

Program program_of(const Job& job) {
  Program program{.argv = job.argv, .files = job.files, .binds = job.binds};
  if (job.is_lua) {
    const LuaRuntime& lua = lua_runtime();
    program.argv = lua.argv;
    program.binds.insert(program.binds.end(), lua.binds.begin(), lua.binds.end());
  }
  if (!job.script.empty()) {
    if (program.argv.empty()) program.argv = {"/bin/sh"};
    program.argv.emplace_back(kScriptPath);
    program.files.push_back({kScriptPath, job.script, 0755});
  }
  for (const auto& arg : job.script_args) program.argv.push_back(arg);
  if (program.argv.empty())
    throw Error(ErrorCode::InvalidInput, job.name + ": no program and no script to run");
  return program;
}

// All that a command is given beside the tree.
std::optional<Digest> key_of(const Job& job, const Program& program) {
  Sha256 hash;
  auto add = [&](std::string_view text) {
    hash.update(fmt::format("{}:", text.size()));
    hash.update(text);
  };
  utsname host{};
  uname(&host);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  sched_getaffinity(0, sizeof cpus, &cpus);
  add(fmt::format("{} {} {} {}", kVersion, host.release, host.machine, CPU_COUNT(&cpus)));
  add(fmt::format("{} {} {}", program.argv.size(), program.files.size(), program.binds.size()));
  for (const auto& arg : program.argv) add(arg);
  for (const auto& file : program.files) {
    add(file.path);
    add(fmt::format("{:o}", file.mode));
    add(file.content);
  }
  for (const auto& bind : program.binds) {
    if (bind.identity.empty()) return std::nullopt;
    add(bind.dest);
    add(bind.identity);
  }
  add(job.input);
  add(job.read_only_usr ? "ro" : "rw");
  for (const auto& [name, value] : environment(job)) add(name + "=" + value);
  return hash.finish();
}

UniqueFd memory_file(std::string_view content) {
  UniqueFd fd(memfd_create("sandbox", MFD_CLOEXEC));
  if (!fd) throw_errno("Creating a file in memory");
  write_all(fd.get(), content, "a file in memory");
  if (lseek(fd.get(), 0, SEEK_SET)) throw_errno("Rewinding a file in memory");
  return fd;
}

// The bubblewrap call and the descriptors that it wants.
class Call {
 public:
  Call(const std::string& bubblewrap, const tree::Tree& tree, const Job& job,
       const Program& program, UniqueFd pid_namespace, int output)
      : tree_(tree), status_(memory_file("")) {
    const UniqueFd& input =
        keep(job.input.empty() ? open_at(AT_FDCWD, "/dev/null", O_RDONLY) : memory_file(job.input));
    fds_ = {input.get(), output, output};
    argv_ = {bubblewrap,
             "--pidns",
             descriptor(keep(std::move(pid_namespace))),
             "--json-status-fd",
             descriptor(status_),
             "--unshare-net",
             "--unshare-ipc",
             "--unshare-uts",
             "--unshare-cgroup-try",
             "--hostname",
             "localhost",
             "--new-session",
             "--cap-drop",
             "ALL"};
    for (const char* capability : kCapabilities) add({"--cap-add", capability});
    add({"--bind", "root", "/", "--dev", "/dev"});
    volatile_dir("run", "0755");
    volatile_dir("tmp", "1777");
    volatile_dir("var/tmp", "1777");
    if (job.read_only_usr && tree.find("usr")) add({"--ro-bind", "root/usr", "/usr"});
    for (const auto& bind : program.binds) add({"--ro-bind", bind.source, place(bind.dest)});
    for (const auto& file : program.files) {
      const std::string at = place(file.path);
      add({"--perms", fmt::format("{:04o}", file.mode), "--ro-bind-data",
           descriptor(keep(memory_file(file.content))), at});
    }
    add({"--chdir", "/", "--"});
    argv_.insert(argv_.end(), program.argv.begin(), program.argv.end());
  }

  [[nodiscard]] const std::vector<std::string>& argv() const { return argv_; }
  [[nodiscard]] const std::vector<int>& fds() const { return fds_; }
  /// Mount points that are no changes.
  [[nodiscard]] const std::set<std::string>& places() const { return places_; }
  /// Whether bubblewrap came to the point of executing the program.
  [[nodiscard]] bool was_started() const {
    lseek(status_.get(), 0, SEEK_SET);
    return read_fd(status_.get(), "bubblewrap's status").find("exit-code") != std::string::npos;
  }

 private:
  void add(std::initializer_list<std::string> words) { argv_.insert(argv_.end(), words); }
  const UniqueFd& keep(UniqueFd fd) { return kept_.emplace_back(std::move(fd)); }
  std::string descriptor(const UniqueFd& fd) {
    fds_.push_back(fd.get());
    return std::to_string(fds_.size() - 1);
  }
  void volatile_dir(const std::string& path, const std::string& mode) {
    const auto slash = path.rfind('/');
    const tree::Node* parent = tree_.find(slash == path.npos ? "" : path.substr(0, slash));
    const tree::Node* node = tree_.find(path);
    // A link there is the tree's own idea; bubblewrap would follow it out of the tree.
    if (parent && parent->is_dir() && (!node || node->is_dir()))
      add({"--perms", mode, "--tmpfs", "/" + path});
  }
  std::string place(const std::string& path) {
    std::string at = canonical(tree_, path);
    const bool in_runtime = at.starts_with("run/") || at.starts_with("tmp/");
    const auto slash = at.rfind('/');
    const tree::Node* parent = tree_.find(slash == at.npos ? "" : at.substr(0, slash));
    if (!in_runtime && !(parent && parent->is_dir()))
      throw Error(ErrorCode::InvalidInput,
                  path + " cannot be shown in the sandbox: its directory is not in the tree");
    places_.insert(at);
    return "/" + at;
  }

  const tree::Tree& tree_;
  UniqueFd status_;
  std::vector<UniqueFd> kept_;
  std::vector<int> fds_;
  std::vector<std::string> argv_;
  std::set<std::string> places_;
};

// Collects output; reports each piece; keeps the last kOutputLimit bytes.
class Output {
 public:
  explicit Output(const Job& job) : job_(job) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) throw_errno("Creating a pipe");
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    fcntl(read_.get(), F_SETFL, O_NONBLOCK);
  }
  [[nodiscard]] int read_end() const noexcept { return read_.get(); }
  [[nodiscard]] int write_end() const noexcept { return write_.get(); }
  void close_write_end() { write_.reset(); }
  /// @return false at the end.
  bool drain() {
    char block[16384];
    for (;;) {
      const ssize_t n = read(read_.get(), block, sizeof block);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0;
      const std::string_view piece(block, static_cast<std::size_t>(n));
      if (job_.on_output) job_.on_output(piece);
      text_ += piece;
      if (text_.size() > 2 * kOutputLimit) text_.erase(0, text_.size() - kOutputLimit);
    }
  }
  std::string take() {
    if (text_.size() > kOutputLimit) text_.erase(0, text_.size() - kOutputLimit);
    return std::move(text_);
  }

 private:
  const Job& job_;
  UniqueFd read_, write_;
  std::string text_;
};

bool is_full(const fs::path& dir) {
  struct statvfs st {};
  if (statvfs(dir.c_str(), &st)) return false;
  return st.f_bfree * st.f_frsize < kFull || (st.f_files > 0 && st.f_ffree == 0);
}

// One command in one fresh mount.
class Run {
 public:
  Run(const tree::Tree& tree, const ContentOpener& open_content, const Options& options,
      const Job& job, const Program& program)
      : tree_(tree),
        options_(options),
        job_(job),
        program_(program),
        dir_(std::make_shared<TempDir>(options.work_dir, "run-")),
        server_(tree, open_content) {
    for (const char* name : {"lower", "upper", "work", "root"})
      if (mkdir((dir() / name).c_str(), 0700)) throw_errno("Creating " + (dir() / name).string());
    // The root directory of an overlay looks like its upper one.
    const tree::Meta& root = *tree.root().meta;
    const std::string upper = dir() / "upper";
    if (chown(upper.c_str(), root.uid, root.gid) || chmod(upper.c_str(), root.mode & 07777))
      throw_errno("Changing " + upper);
    const std::array<timespec, 2> times{};
    utimensat(AT_FDCWD, upper.c_str(), times.data(), 0);
  }

  Result execute(const CancelToken* cancel) {
    Output output(job_);
    const std::string bubblewrap = find_program("bwrap", "install bubblewrap");
    {
      Child holder = start_holder(dir(), server_.device(), server_.mounted());
      const Call call(bubblewrap, tree_, job_, program_, pid_namespace(holder), output.write_end());
      std::vector<std::string> env;
      for (const auto& [name, value] : environment(job_)) env.push_back(name + "=" + value);
      Child child = start_in(holder, dir(), call.argv(), env, call.fds());
      output.close_write_end();
      watch(child, holder, output, cancel);
      const int status = child.wait();
      holder.kill();  // and with it all that the command has left running
      holder.wait();
      output.drain();
      result_.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      result_.output = output.take();
      server_.finish();
      if (cancelled_) throw Cancelled();
      // Also when the program made light of it: what it left would be incomplete.
      const bool says_full = result_.exit_status != 0 &&
                             result_.output.find("No space left on device") != std::string::npos;
      if (was_full_ || is_full(dir()) || says_full)
        throw Error(
            ErrorCode::NoSpace,
            fmt::format("{}: No space left on device (in {}{})", job_.name,
                        options_.work_dir.string(),
                        says_full ? ", or in the memory behind /tmp, /var/tmp and /run" : ""));
      if (!result_.timed_out && !call.was_started()) {
        if (!result_.output.starts_with("bwrap: execvp "))
          throw Error(ErrorCode::Failed,
                      fmt::format("{}: bubblewrap failed with status {}: {}", job_.name,
                                  result_.exit_status, trim(result_.output)));
        result_.exit_status = 127;
      }
      places_ = call.places();
    }
    std::set<std::string> skip = kRuntime;
    skip.insert(places_.begin(), places_.end());
    result_.changes = collect(dir() / "upper", skip);
    result_.keep_contents = dir_;
    return std::move(result_);
  }

  [[nodiscard]] std::vector<Observation> observations() const { return server_.observations(); }

 private:
  [[nodiscard]] const fs::path& dir() const { return dir_->path(); }

  void watch(Child& child, Child& holder, Output& output, const CancelToken* cancel) {
    const auto timeout = job_.timeout.count() ? job_.timeout : options_.timeout;
    const auto start = Clock::now();
    auto next_look = start;
    bool open = true, killed = false;
    for (;;) {
      std::array<pollfd, 2> fds{
          {{child.pidfd(), POLLIN, 0}, {open ? output.read_end() : -1, POLLIN, 0}}};
      poll(fds.data(), fds.size(), static_cast<int>(kTick.count()));
      if (fds[1].revents) open = output.drain();
      if (fds[0].revents) return;
      const auto now = Clock::now();
      if (now < next_look) continue;
      next_look = now + kTick;
      was_full_ = was_full_ || is_full(dir());
      if (killed) continue;
      cancelled_ = cancel && cancel->is_cancelled();
      result_.timed_out = !cancelled_ && timeout.count() > 0 && now - start > timeout;
      if (cancelled_ || result_.timed_out) {
        // Not bubblewrap: it must collect its dead child, or the holder waits for init to do it.
        killed = true;
        holder.kill();
      }
    }
  }

  const tree::Tree& tree_;
  const Options& options_;
  const Job& job_;
  const Program& program_;
  std::shared_ptr<TempDir> dir_;
  TreeServer server_;
  Result result_;
  std::set<std::string> places_;
  bool cancelled_ = false;
  bool was_full_ = false;
};

}  // namespace

Sandbox::Sandbox(const tree::Tree& tree, ContentOpener open_content, Options options)
    : tree_(tree), open_content_(std::move(open_content)), options_(std::move(options)) {
  if (!options_.memo_dir.empty())
    memo_ = std::make_shared<Memo>(options_.memo_dir, options_.memo_limit_bytes);
}

Result Sandbox::run(const Job& job, const CancelToken* cancel) {
  const auto start = Clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  if (cancel) cancel->check();
  const Program program = program_of(job);
  std::optional<Digest> key;
  if (memo_ && job.memoise) key = key_of(job, program);
  if (key)
    if (auto memory = memo_->find(*key, tree_)) {
      if (job.on_output && !memory->output.empty()) job.on_output(memory->output);
      Result result{.output = std::move(memory->output),
                    .changes = effective(std::move(memory->writes), tree_),
                    .replayed = true};
      result.seconds = seconds();
      return result;
    }
  Run run(tree_, open_content_, options_, job, program);
  Result result = run.execute(cancel);
  if (key && result.ok()) {
    try {
      memo_->store(*key, {run.observations(), result.output, result.changes});
    } catch (const Error&) {  // it is run again next time
    }
  }
  result.changes = effective(std::move(result.changes), tree_);
  result.seconds = seconds();
  return result;
}

void self_test(const fs::path& work_dir) {
  with_context("Sandbox self-test", [&] {
    tree::Tree tree;
    for (const char* dir : {"dev", "proc", "run", "tmp"}) tree.make_dir(dir);
    Job job{.name = "self-test", .argv = {"/usr/bin/true"}, .memoise = false};
    for (const char* dir : {"/usr", "/lib", "/lib64"})
      if (fs::is_directory(dir)) {
        tree.make_dir(dir);
        job.binds.push_back({.source = dir, .dest = dir, .identity = {}});
      }
    const Result result = Sandbox(tree, nullptr, {.work_dir = work_dir}).run(job);
    if (!result.ok())
      throw Error(ErrorCode::Failed, fmt::format("a trivial program ended with status {}: {}",
                                                 result.exit_status, trim(result.output)));
  });
}

}  // namespace atomichost::sandbox
