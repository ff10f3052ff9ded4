// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace atomichost {

/// 32 raw bytes of a SHA-256.
using Digest = std::array<unsigned char, 32>;

[[nodiscard]] std::string to_hex(const Digest& digest);
/// @throws Error InvalidInput unless @p hex is 64 hex digits.
[[nodiscard]] Digest digest_from_hex(std::string_view hex);
[[nodiscard]] inline std::string_view bytes_of(const Digest& d) noexcept {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

/// Incremental SHA-256 by OpenSSL; one context, reused after finish(). Not thread-safe per object.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256();
  void reset();
  void update(std::string_view data);
  void update(const void* data, std::size_t size);
  /// The digest of what came since construction, reset() or the last finish(); then resets.
  [[nodiscard]] Digest finish();

 private:
  EVP_MD_CTX* ctx_;
};

[[nodiscard]] Digest sha256(std::string_view data);
/// Digest of all of @p fd from its current offset. @throws Error for a read error.
[[nodiscard]] Digest sha256_fd(int fd, const std::string& name_for_errors);

}  // namespace atomichost
