// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "rpmmd/rpmmd.hpp"

namespace atomichost::rpmmd {

/// One file to bring here by librepo. What leaves librepo is checked again by nobody: give the
/// checksum when there is one.
struct Transfer {
  const RepoConfig* config = nullptr;  ///< options of the connection; outlives the transfer
  std::vector<std::string> mirrors;    ///< base URLs, tried in this order; unused with base_url
  std::string base_url;
  std::string path;                     ///< relative and URL-escaped, or a whole URL
  std::filesystem::path dest;           ///< written in place: give a name nobody else reads
  std::string checksum_type, checksum;  ///< "" unknown
  std::uint64_t size = 0;               ///< 0 unknown
  bool is_resumable = false;            ///< continue what an earlier attempt left in dest
  bool is_fresh = false;                ///< ask proxies not to answer from their caches
  std::string title;                    ///< for progress

  enum class State : std::uint8_t {
    Waiting,
    Done,
    Missing,       ///< 404 and the like: the server answers, but has no such file
    WrongContent,  ///< checksum or size
    NoSpace,
    Unreachable,
  };
  State state = State::Waiting;
  std::string reason;          ///< what the last server or the network said, with the URL
  std::string mirror;          ///< base URL that had it
  std::size_t attempts = 0;    ///< that failed
  bool was_continued = false;  ///< the last attempt built on what was there
  std::uint64_t received = 0;
};

/// Run @p transfers, several at a time. Each mirror is asked in turn; after that passing troubles
/// (no answer, 5xx, broken connections) are tried again up to config.retries times. Look at each
/// transfer's state for the outcome.
/// @throws Cancelled; Error Failed when librepo itself cannot work.
void run_transfers(std::vector<Transfer>& transfers, const FetchOptions& options);

/// The error for a transfer that is not Done: "<doing>: <reason>; <advice>".
[[nodiscard]] Error transfer_error(const Transfer& transfer, const std::string& doing,
                                   const std::string& advice);

/// @p path escaped for the path part of a URL; slashes stay.
[[nodiscard]] std::string escape_path(const std::string& path);

/// The directory or file that a file: URL names, "" for other URLs.
[[nodiscard]] std::filesystem::path local_path(const std::string& url);

}  // namespace atomichost::rpmmd
