// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/pull.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstring>

#include "base/file.hpp"
#include "base/scope_exit.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "sysroot/pull_wire.hpp"

extern char** environ;

namespace atomichost::sysroot {
namespace pull_wire {

void write_frame(int fd, const char* kind, GVariant* value) {
  const auto frame = sink(g_variant_new("(sv)", kind, value));
  const auto size = static_cast<std::uint32_t>(g_variant_get_size(frame.get()));
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
  bytes.append(static_cast<const char*>(g_variant_get_data(frame.get())), size);
  write_all(fd, bytes, "the pipe to the daemon");
}

GPtr<GVariant> parse(std::string_view bytes, const char* type) {
  const auto copy = adopt(g_bytes_new(bytes.data(), bytes.size()));
  auto value = sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), copy.get(), /*trusted=*/FALSE));
  if (!g_variant_is_normal_form(value.get()))
    throw Error(ErrorCode::Failed, "A message between daemon and pull process is damaged");
  return value;
}

GPtr<GVariant> value_of(GVariant* frame, const char* type) {
  GVariant* value = nullptr;
  g_variant_get(frame, "(sv)", nullptr, &value);
  auto held = adopt(value);
  if (!g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
    throw Error(ErrorCode::Failed, "A message from the pull process has an unexpected type");
  return held;
}

}  // namespace pull_wire

namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) throw_errno("Creating a pipe");
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
};

pid_t start(const std::vector<std::string>& argv, int in, int out) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const ScopeExit clean([&] { posix_spawn_file_actions_destroy(&actions); });
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const ScopeExit clean_attributes([&] { posix_spawnattr_destroy(&attributes); });
  sigset_t none;  // the daemon blocks the signals that its event loop reads
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  if (const int e = posix_spawnp(&pid, words[0], &actions, &attributes, words.data(), environ))
    throw errno_error(e, "Starting the pull process " + argv[0]);
  return pid;
}

GPtr<GVariant> strings(const std::vector<std::string>& list) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE_STRING_ARRAY));
  for (const auto& text : list) g_variant_builder_add(builder.get(), "s", text.c_str());
  return sink(g_variant_builder_end(builder.get()));
}

TransferProgress progress_from(GVariant* value) {
  TransferProgress p;
  g_variant_get(value, pull_wire::kProgressType, &p.start_time_us, &p.elapsed_s,
                &p.outstanding_fetches, &p.outstanding_writes, &p.scanned_metadata,
                &p.fetched_metadata, &p.outstanding_metadata, &p.delta_parts,
                &p.fetched_delta_parts, &p.delta_superblocks, &p.delta_bytes, &p.fetched,
                &p.requested, &p.bytes, &p.bytes_per_s);
  return p;
}

/// Notices when the network is silent: waiting for bytes, none coming, nothing else to do.
class SilenceWatch {
 public:
  explicit SilenceWatch(std::chrono::seconds limit) : limit_(limit), since_(Clock::now()) {}
  void seen(TransferProgress p) {
    const bool is_busy_here = p.outstanding_writes > 0 || p.outstanding_fetches == 0;
    p.elapsed_s = p.bytes_per_s = 0;  // these move on their own
    if (p != last_ || is_busy_here) since_ = Clock::now();
    last_ = p;
  }
  void seen() { since_ = Clock::now(); }
  [[nodiscard]] bool is_over() const { return Clock::now() - since_ > limit_; }

 private:
  std::chrono::seconds limit_;
  Clock::time_point since_;
  TransferProgress last_;
};

}  // namespace

PullResult pull(const PullRequest& request, const PullWorker& worker, Reporter& reporter,
                const Cancellation& cancel) {
  Pipe in, out;
  const pid_t pid = start(worker.argv, in.read.get(), out.write.get());
  int status = 0;
  bool is_reaped = false;
  auto reap = [&](bool kill_it) {
    if (is_reaped) return;
    if (kill_it) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    is_reaped = true;
  };
  const ScopeExit end([&] { reap(/*kill_it=*/true); });
  in.read.reset();
  out.write.reset();
  const auto message = sink(g_variant_new(
      "(ssssss@asb)", request.sysroot.c_str(), request.remote.c_str(), request.branch.c_str(),
      request.commit.c_str(), request.not_older_than.c_str(), request.version.c_str(),
      strings(request.only).get(), static_cast<gboolean>(request.check_branch)));
  write_all(in.write.get(),
            {static_cast<const char*>(g_variant_get_data(message.get())),
             g_variant_get_size(message.get())},
            "the pipe to the pull process");
  in.write.reset();

  std::string buffer;
  SilenceWatch watch(worker.silence_limit);
  PullResult result;
  bool is_done = false;
  auto take = [&](GVariant* frame) {
    const char* name = nullptr;
    g_variant_get(frame, "(&sv)", &name, nullptr);
    const std::string_view kind = name;
    if (kind == "progress") {
      const auto progress =
          progress_from(pull_wire::value_of(frame, pull_wire::kProgressType).get());
      watch.seen(progress);
      reporter.transfer(progress);
    } else if (kind == "message") {
      watch.seen();
      reporter.message(g_variant_get_string(pull_wire::value_of(frame, "s").get(), nullptr));
    } else if (kind == "signatures") {
      const auto value = pull_wire::value_of(frame, "(sav)");
      const char* commit = nullptr;
      GVariantIter* iter = nullptr;
      g_variant_get(value.get(), "(&sav)", &commit, &iter);
      std::vector<SharedVariant> all;
      GVariant* one = nullptr;
      while (g_variant_iter_next(iter, "v", &one)) all.push_back(share_variant(adopt(one)));
      g_variant_iter_free(iter);
      reporter.signatures(all, commit);
    } else if (kind == "done") {
      const auto value = pull_wire::value_of(frame, "(st)");
      const char* commit = nullptr;
      g_variant_get(value.get(), "(&st)", &commit, &result.bytes);
      result.commit = commit;
      is_done = true;
    } else if (kind == "error") {
      const auto value = pull_wire::value_of(frame, "(us)");
      guint32 code = 0;
      const char* text = nullptr;
      g_variant_get(value.get(), "(u&s)", &code, &text);
      throw Error(static_cast<ErrorCode>(code), text);
    }
  };
  while (!is_done) {
    cancel.check();
    if (watch.is_over())
      throw Error(ErrorCode::Unreachable,
                  fmt::format("Pulling {} from remote '{}': the server sent nothing for {} s; what "
                              "was fetched so far is kept for the next try",
                              request.branch, request.remote, worker.silence_limit.count()));
    pollfd wait[2] = {{out.read.get(), POLLIN, 0},
                      {g_cancellable_get_fd(cancel.handle()), POLLIN, 0}};
    const ScopeExit release([&] {
      if (wait[1].fd >= 0) g_cancellable_release_fd(cancel.handle());
    });
    if (poll(wait, 2, 1000) < 0 && errno != EINTR) throw_errno("Waiting for the pull process");
    if (!(wait[0].revents & (POLLIN | POLLHUP))) continue;
    char block[16384];
    const ssize_t n = read(out.read.get(), block, sizeof block);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      reap(/*kill_it=*/false);
      throw Error(ErrorCode::Failed,
                  fmt::format("Pulling {} from remote '{}': the pull process ended unexpectedly "
                              "({})",
                              request.branch, request.remote,
                              WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no reason"));
    }
    buffer.append(block, static_cast<std::size_t>(n));
    std::uint32_t size = 0;
    while (!is_done && buffer.size() >= sizeof size) {
      std::memcpy(&size, buffer.data(), sizeof size);
      if (size > pull_wire::kLargestFrame)
        throw Error(ErrorCode::Failed, "The pull process sent nonsense");
      if (buffer.size() < sizeof size + size) break;
      const auto frame =
          pull_wire::parse(std::string_view(buffer).substr(sizeof size, size), "(sv)");
      buffer.erase(0, sizeof size + size);
      take(frame.get());
    }
  }
  reap(/*kill_it=*/false);
  reporter.progress_end();
  return result;
}

}  // namespace atomichost::sysroot
