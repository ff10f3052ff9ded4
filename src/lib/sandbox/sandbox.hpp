// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.hpp"
#include "base/unique_fd.hpp"
#include "sandbox/change.hpp"
#include "tree/tree.hpp"

/// Runs untrusted programs (package scripts, dracut, depmod, semodule) in a tree that exists only
/// in memory, and says what they changed. Owns: the FUSE server that shows the tree, the overlay on
/// it, the bubblewrap call, and the memory of what each program looked at. May use base/ and tree/.
///
/// A command sees the tree as root file system, writable, and nothing of the build host: no
/// network, no /sys, no devices but null, zero, full, random, urandom and a private tty, empty
/// /run, /tmp and /var/tmp, its own processes only in /proc. It is root without the capabilities
/// that reach outside (no mknod, mount, module loading, raw I/O). All its processes end with it.
///
/// All mounts are made by the child process in a mount namespace of its own, so the calling process
/// needs no preparation and leaves no mount behind, however it dies.
namespace atomichost::sandbox {

/// Gives a readable, seekable descriptor of a regular node's content. Called from another thread
/// than the one in run(); with several sandboxes at once, from several.
using ContentOpener = std::function<UniqueFd(const tree::Node& node)>;

/// A file or directory of the build host that a job shall see, read-only.
struct Bind {
  std::string source;    ///< absolute path on the build host
  std::string dest;      ///< absolute path in the tree; its directory must exist there (or be /run)
  std::string identity;  ///< what stands for its content in the memo; "": the job is not memoised
};

/// A read-only file with given content, put over what the tree has at its place; never a change.
struct ExtraFile {
  std::string path;  ///< absolute; its directory must exist in the tree (or be /run/...)
  std::string content;
  std::uint32_t mode = 0755;
};

struct Job {
  std::string name;               ///< for messages: "bash-5.2-1.x86_64 %post"
  std::vector<std::string> argv;  ///< program (absolute path in the tree) and its arguments
  std::string script;             ///< if set: text that argv runs as interpreter (default /bin/sh)
  bool is_lua = false;            ///< the script is Lua as rpm runs it; argv is not used
  std::vector<std::string> script_args;    ///< arguments of the script, such as the instance count
  std::string input;                       ///< standard input; "" is /dev/null
  std::map<std::string, std::string> env;  ///< beside or instead of the fixed environment
  std::chrono::milliseconds timeout{0};    ///< 0: the default of Options
  bool memoise = true;         ///< false: depends on the clock or chance, run it each time
  bool read_only_usr = false;  ///< writes below /usr fail
  std::vector<Bind> binds;
  std::vector<ExtraFile> files;
  std::function<void(std::string_view)> on_output;  ///< each piece of output as it comes
};

struct Result {
  int exit_status = 0;     ///< as a shell shows it: 128+N for signal N, 127 not found
  bool timed_out = false;  ///< killed because of the timeout
  std::string output;      ///< the last 256 KiB of what it printed (stdout and stderr)
  std::vector<Change>
      changes;            ///< bytewise order of paths; also after a failure: the caller decides
  bool replayed = false;  ///< from the memo: nothing was run
  double seconds = 0;     ///< wall time of this call
  [[nodiscard]] bool ok() const noexcept { return exit_status == 0 && !timed_out; }

  std::shared_ptr<const void> keep_contents;  ///< the files behind changes[].content
};

struct Options {
  std::filesystem::path work_dir;  ///< exists; on a file system that overlayfs can write to
                                   ///< (ext4, xfs, btrfs, tmpfs; no overlayfs, no NFS)
  std::filesystem::path memo_dir;  ///< made when needed; "": nothing is remembered
  std::uint64_t memo_limit_bytes = std::uint64_t{4} << 30;
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
};

class Memo;

class Sandbox {
 public:
  /// @p tree must not change while run() is running and must outlive the sandbox. Its regular nodes
  /// have size and content set.
  Sandbox(const tree::Tree& tree, ContentOpener open_content, Options options);

  /// Run @p job to its end, or replay it when all that it looked at last time is as it was.
  /// A program that fails is a Result, not an error. Any number of sandboxes may run at once, in
  /// different threads.
  /// @throws Error NoSpace: the work directory (or memory behind /tmp) filled up, whatever the
  /// program made of it. Failed, Denied, NotFound: the sandbox could not be set up, or a content
  /// could not be read. Cancelled.
  [[nodiscard]] Result run(const Job& job, const CancelToken* cancel = nullptr);

 private:
  const tree::Tree& tree_;
  ContentOpener open_content_;
  Options options_;
  std::shared_ptr<Memo> memo_;
};

/// Find out whether sandboxes work here, by running one.
/// @throws Error naming what is missing and what to do: bubblewrap, /dev/fuse, privileges, a
/// work directory that overlayfs accepts.
void self_test(const std::filesystem::path& work_dir);

}  // namespace atomichost::sandbox
