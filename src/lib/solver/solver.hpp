// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "rpm/nevra.hpp"
#include "rpmmd/rpmmd.hpp"

/// solver owns libsolv: requests and repositories' metadata become one set of packages, or reasons
/// in plain words why there is none. Nothing is installed beforehand. The result depends on the
/// metadata and the request only, not on the order of repositories, threads, caches or the clock.
/// Cache: <cachedir>/solv/<repository>-<digest of repomd.xml>.solv, safe to delete.
/// Not thread-safe per cachedir.
namespace atomichost::solver {

struct ResolvedPackage {
  rpm::Nevra nevra;
  std::string repo;                     ///< id of the repository it comes from
  std::string location;                 ///< of the .rpm, relative to the repository
  std::string base_url;                 ///< when the metadata places it elsewhere, else ""
  std::string checksum_type, checksum;  ///< of the .rpm: "sha256", lower-case hex
  std::uint64_t size = 0;               ///< bytes of the .rpm
  std::uint64_t installed_size = 0;     ///< bytes unpacked
};

/// "These packages come from that repository."
struct RepoPackages {
  std::string repo;
  std::vector<std::string> packages;
};

struct LockEntry {
  std::string evra;    ///< "[epoch:]version-release[.arch]"
  std::string digest;  ///< "sha256:hex" of the .rpm, or ""
};

struct Request {
  /// name, name.arch, name-version[-release[.arch]], globs of these, anything provided
  /// ("/usr/bin/vi", "pkgconfig(x)"), with a relation ("podman >= 4.1"), rich ("(a if b)").
  std::vector<std::string> install;
  std::vector<std::string> exclude;  ///< names or globs that must not come in
  bool recommends = true;            ///< weak dependencies come in where they can
  std::string basearch;              ///< "x86_64": its compatible architectures and noarch
  std::vector<RepoPackages> repo_packages;
  std::map<std::string, LockEntry> locks;   ///< by package name
  bool strict_lock = false;                 ///< nothing but what the lock names
  std::vector<std::string> lockfile_repos;  ///< ids of repositories for locked packages only
};

/// The packages that satisfy @p request, sorted by NEVRA: highest versions, repositories by
/// priority, then cost. Lists of files are fetched only when a wanted file is not in the primary
/// metadata.
/// @throws Error NotFound: a request matches nothing; all such requests with the repositories
///   looked at and near names. Unsolvable: one line per reason, and what to do. InvalidInput: a
///   request that cannot be meant ("@group", unknown repository, bad lock). Corrupt: metadata that
///   cannot be read. What fetch_filelists() throws. Cancelled.
[[nodiscard]] std::vector<ResolvedPackage> resolve(std::vector<rpmmd::RepoMetadata>& repos,
                                                   const Request& request,
                                                   const std::filesystem::path& cachedir,
                                                   const rpmmd::FetchOptions& options);

/// What rpmmd::download_packages() needs for @p packages, in the same order; points into @p repos.
[[nodiscard]] std::vector<rpmmd::Download> downloads(const std::vector<ResolvedPackage>& packages,
                                                     const std::vector<rpmmd::RepoMetadata>& repos);

}  // namespace atomichost::solver
