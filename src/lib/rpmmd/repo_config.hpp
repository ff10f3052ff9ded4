// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace atomichost::rpmmd {

/// One section of a .repo file, variables replaced, defaults filled in.
struct RepoConfig {
  std::string id;
  std::string name;                   ///< for people; the id when the file has none
  std::vector<std::string> baseurls;  ///< http, https, ftp or file URLs, tried in this order
  std::string mirrorlist;             ///< URL of a list of mirrors, "" none
  std::string metalink;               ///< URL of a metalink document, "" none
  bool enabled = true;
  bool gpgcheck = true;              ///< packages must be signed; on unless the file turns it off
  bool repo_gpgcheck = false;        ///< repomd.xml must be signed
  std::vector<std::string> gpgkeys;  ///< file, http or https URLs, or absolute paths
  int priority = 99;                 ///< the lower number is preferred
  int cost = 1000;                   ///< among equal packages the cheaper repository wins
  std::vector<std::string> includepkgs;  ///< when not empty only these (globs) are visible
  std::vector<std::string> excludepkgs;  ///< these (globs) are not visible
  bool skip_if_unavailable = false;
  bool sslverify = true;
  std::string sslcacert, sslclientcert, sslclientkey;  ///< paths, "" none
  std::string proxy, proxy_username, proxy_password;   ///< "_none_" turns an inherited proxy off
  std::string username, password;
  std::string user_agent;
  std::string ip_resolve;               ///< "", "4" or "6"
  std::int64_t metadata_expire_s = -1;  ///< read for completeness: repomd is always revalidated
  bool module_hotfixes = false;
  int timeout_s = 30;
  int retries = 3;              ///< further attempts after a failure
  std::int64_t minrate = 1000;  ///< bytes/s; below this for timeout_s counts as stalled
  std::int64_t max_speed = 0;   ///< bytes/s, 0 unlimited (bandwidth and throttle)
  int max_parallel_downloads = 6;
  std::vector<std::string> undefined_variables;  ///< "$releasever" in a value, but nobody set it
  std::filesystem::path file;                    ///< where it was read
  int line = 0;                                  ///< of the section header
};

/// What a parse noticed that is no error: "<file>:<line>: ...".
using Warnings = std::vector<std::string>;

/// All sections of the .repo file @p path but [main].
/// @param vars  Values of $basearch, $releasever and the repovars; names without the dollar.
/// @throws Error NotFound, Denied; InvalidInput "<file>:<line>: ..." for a bad line, value or id.
[[nodiscard]] std::vector<RepoConfig> parse_repo_file(
    const std::filesystem::path& path, const std::map<std::string, std::string>& vars,
    Warnings* warnings = nullptr);

/// As parse_repo_file() for a text already read; @p file is only used in messages.
[[nodiscard]] std::vector<RepoConfig> parse_repo_text(
    const std::string& text, const std::filesystem::path& file,
    const std::map<std::string, std::string>& vars, Warnings* warnings = nullptr);

/// All *.repo files in @p directory in the order of their names.
/// @throws Error InvalidInput when two sections have the same id, naming both places.
[[nodiscard]] std::vector<RepoConfig> load_repo_directory(
    const std::filesystem::path& directory, const std::map<std::string, std::string>& vars,
    Warnings* warnings = nullptr);

/// The configurations named @p ids, in that order, whether enabled or not.
/// @throws Error NotFound naming all missing ids, where they were looked for and near names.
[[nodiscard]] std::vector<RepoConfig> select_repos(const std::vector<RepoConfig>& all,
                                                   const std::vector<std::string>& ids);

}  // namespace atomichost::rpmmd
