// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.hpp"
#include "base/progress.hpp"
#include "keys/keys.hpp"
#include "rpmmd/repo_config.hpp"

/// rpmmd owns librepo: yum repositories' metadata and packages, verified before anyone sees them.
/// Cache layout below a cachedir, all of it safe to delete:
/// - repomd/ID-HASH_OF_URLS/: repomd.xml (switched last), its signature, the records by checksum,
///   mirrors, keys, and "trusted": the signature that was last found good
/// - packages/ID/: CHECKSUM-NAME.rpm, and "verified": stat stamps of files whose digest was seen
/// The caller sees to it that one process at a time works in a cachedir. Different repositories may
/// be fetched from different threads.
namespace atomichost::rpmmd {

struct FetchOptions {
  bool cache_only = false;  ///< no network: what the cache holds, or NotFound
  std::string proxy;        ///< for repositories that set none
  unsigned workers = 2;     ///< threads that compute digests
  Progress* progress = nullptr;
  const CancelToken* cancel = nullptr;
};

/// One file that repomd.xml names.
struct Record {
  std::string type;  ///< "primary", "filelists", ...
  std::string location;
  std::string checksum_type, checksum;  ///< "sha256", lower-case hex
  std::uint64_t size = 0;               ///< bytes, 0 unknown
};

struct RepoMetadata {
  RepoConfig config;
  std::filesystem::path repomd;     ///< repomd.xml, in the cache or in place
  std::filesystem::path primary;    ///< verified; compressed as the repository has it
  std::filesystem::path filelists;  ///< "" until fetch_filelists()
  std::vector<Record> records;
  std::string repomd_digest;  ///< SHA-256 of repomd.xml, hex: names this state of the repository
  std::string revision;
  std::int64_t timestamp_s = 0;      ///< the newest record's
  std::filesystem::path local_root;  ///< directory of a file: repository used in place, or ""
  [[nodiscard]] const Record* record(const std::string& type) const noexcept;
};

/// Bring the metadata of one repository up to date: repomd.xml is asked for every time, the rest
/// only when it changed. An interrupted or failed fetch leaves the cache as it was.
/// @throws Error Unreachable: no server answered, or answered with an error. Corrupt: wrong
/// checksum,
///   half-written repository. Untrusted: repo_gpgcheck and no good signature. InvalidInput: the
///   configuration cannot work. NotFound: cache_only and nothing cached. All name the repository,
///   the URL and what to do. Cancelled.
[[nodiscard]] RepoMetadata fetch_metadata(const RepoConfig& config,
                                          const std::filesystem::path& cachedir,
                                          const FetchOptions& options);

/// fetch_metadata() for all of @p configs, several at a time, result in the same order. Those with
/// skip_if_unavailable that are Unreachable are left out, with a message.
[[nodiscard]] std::vector<RepoMetadata> fetch_all(const std::vector<RepoConfig>& configs,
                                                  const std::filesystem::path& cachedir,
                                                  const FetchOptions& options);

/// Fetch (or find cached) and verify the list of all files; fills metadata.filelists.
/// A repository without one is fine: the path stays empty.
void fetch_filelists(RepoMetadata& metadata, const std::filesystem::path& cachedir,
                     const FetchOptions& options);

/// The keys that config.gpgkeys names; remote ones are cached for cache_only.
/// @throws Error NotFound, Unreachable, InvalidInput (nothing that is a key), naming repository and
///   URL.
[[nodiscard]] std::vector<keys::KeyFile> fetch_keys(const RepoConfig& config,
                                                    const std::filesystem::path& cachedir,
                                                    const FetchOptions& options);

/// One package to have on disk.
struct Download {
  const RepoConfig* config = nullptr;  ///< outlives the call
  std::string name;                    ///< for messages: the NEVRA
  std::string location;                ///< relative to the repository
  std::string base_url;                ///< replaces the repository's URLs when not empty
  std::string checksum_type, checksum;
  std::uint64_t size = 0;      ///< bytes of the file; 0 unknown
  std::filesystem::path path;  ///< out: where the verified file is
  bool was_cached = false;     ///< out: nothing was transferred
};

/// Make all of @p downloads present and digest-verified, several transfers at a time, resumed and
/// retried. Packages of file: repositories are used in place. A file counts as verified without
/// reading it again only while its stat data is what it was when its digest was seen.
/// @throws Error Unreachable, Corrupt (wrong checksum or size), NotFound (cache_only, or a file:
///   repository that lacks it), NoSpace; all failures in one text. Finished files stay cached.
///   Cancelled.
void download_packages(std::vector<Download>& downloads, const std::filesystem::path& cachedir,
                       const FetchOptions& options);

/// Bytes that download_packages() would transfer now.
[[nodiscard]] std::uint64_t bytes_to_download(const std::vector<Download>& downloads,
                                              const std::filesystem::path& cachedir);

}  // namespace atomichost::rpmmd
