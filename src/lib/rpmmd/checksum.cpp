// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpmmd/checksum.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.hpp"

namespace atomichost::rpmmd {

std::string normalize_checksum_type(const std::string& type, const std::string& what) {
  std::string name = type;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name == "sha") return "sha1";
  for (const char* known : {"sha1", "sha224", "sha256", "sha384", "sha512"})
    if (name == known) return name;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{}: Checksum type \"{}\" is not usable; the repository must be made "
                          "with sha256 or sha512 (createrepo_c --checksum sha256)",
                          what, type));
}

std::string checksum_fd(const std::string& type, int fd, const std::string& name,
                        const CancelToken* cancel) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> ctx(EVP_MD_CTX_new(),
                                                                    &EVP_MD_CTX_free);
  const EVP_MD* md = EVP_get_digestbyname(type.c_str());
  if (!ctx || !md || EVP_DigestInit_ex(ctx.get(), md, nullptr) != 1)
    throw Error(ErrorCode::Failed, "OpenSSL offers no " + type);
  std::vector<char> buffer(1 << 18);
  for (;;) {
    if (cancel) cancel->check();
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("Reading " + name);
    if (got == 0) break;
    EVP_DigestUpdate(ctx.get(), buffer.data(), static_cast<std::size_t>(got));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(ctx.get(), digest.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

void require_checksum(const std::filesystem::path& path, const std::string& type,
                      const std::string& checksum, const CancelToken* cancel) {
  const UniqueFd fd = open_at(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  const std::string actual = checksum_fd(type, fd.get(), path, cancel);
  if (actual != checksum)
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: Wrong {} checksum: the repository's metadata says {}, the file "
                            "has {}",
                            path.string(), type, checksum, actual));
}

}  // namespace atomichost::rpmmd
