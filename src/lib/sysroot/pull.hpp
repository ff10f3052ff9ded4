// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "sysroot/cancellation.hpp"
#include "sysroot/reporter.hpp"

namespace atomichost::sysroot {

struct PullRequest {
  std::filesystem::path sysroot;
  std::string remote;
  std::string branch;          ///< "" when only @ref commit is wanted
  std::string commit;          ///< pull exactly this one; "" pulls the newest of the branch
  std::string not_older_than;  ///< refuse a commit older than this one; "" takes any
  std::string version;         ///< search the branch's history for this version
  std::vector<std::string>
      only;                  ///< just these folders of the tree; with "" in it, just the commit
  bool check_branch = true;  ///< the commit must say that it belongs to the branch
};

struct PullResult {
  std::string commit;
  std::uint64_t bytes = 0;  ///< fetched over the network
};

/// How pulls are run: in a process of their own, so that cancelling works at once whatever the
/// server does, so that what the server sent is taken apart outside the daemon, and so that the
/// memory for applying a delta goes back to the system.
struct PullWorker {
  std::vector<std::string> argv;           ///< the program that calls run_pull_worker()
  std::chrono::seconds silence_limit{60};  ///< give up on a server that sends nothing for so long
};

/// Pull, with a static delta where one fits, and report. What an interrupted pull fetched is kept
/// and not fetched again. The branch's ref moves only when all is there and verified.
/// @throws Error  Unreachable: server or network. NotFound: no such remote, branch, commit,
///   version. Untrusted: signature, or older than allowed. Corrupt: an object or delta does not
///   match its checksum. NoSpace: names the bytes needed and free. Cancelled.
[[nodiscard]] PullResult pull(const PullRequest& request, const PullWorker& worker,
                              Reporter& reporter, const Cancellation& cancel);

/// The other side: serve one request from @p in, write to @p out. @return the exit status.
int run_pull_worker(int in, int out);

}  // namespace atomichost::sysroot
