// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace atomichost::test {

/// A package as tests/support/smallrepo.py builds it with rpmbuild.
struct SmallPackage {
  std::string name;
  std::string version = "1";
  std::string release = "1";
  std::string epoch;
  std::string arch = "noarch";
  std::vector<std::string> requires_, provides, conflicts, obsoletes, recommends, suggests,
      supplements, enhances;
  std::map<std::string, std::string> files;    ///< path -> content
  std::map<std::string, std::string> scripts;  ///< "post" -> body
  std::size_t payload_size = 0;  ///< > 0: a further file of so many incompressible bytes
};

struct SmallRepoOptions {
  std::string sign_packages;  ///< name of a key, "" unsigned
  std::string sign_repomd;
  std::string checksum = "sha256";
};

/// Make @p directory anew: the RPMs and their repodata. Built packages are kept between runs.
void make_small_repo(const std::filesystem::path& directory,
                     const std::vector<SmallPackage>& packages,
                     const SmallRepoOptions& options = {});

/// The armored public key @p name, made when first asked for. "expired..." has expired (and signed
/// before), "revoked..." is revoked.
[[nodiscard]] std::filesystem::path small_repo_key(const std::string& name);

/// Write @p file.asc, a detached armored signature by key @p name.
void sign_file(const std::string& name, const std::filesystem::path& file);

/// A folder served by a real HTTP server on the loopback, see tests/support/httpd.py. One server
/// process serves them all.
class HttpServer {
 public:
  explicit HttpServer(const std::filesystem::path& root);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();
  [[nodiscard]] std::string url() const;  ///< "http://127.0.0.1:PORT/NAME"
  /// From the next request on; JSON as httpd.py explains.
  void misbehave(const std::string& rules) const;
  [[nodiscard]] std::vector<std::string> requests() const;  ///< "GET /path [bytes=..] 200"
  void forget_requests() const;
  /// Every further request is hung up on.
  void stop();

 private:
  std::filesystem::path state_;
};

/// The URL of a port where nobody listens.
[[nodiscard]] std::string dead_url();

}  // namespace atomichost::test
