// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/sha256.hpp"

#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/error.hpp"

namespace atomichost {

std::string to_hex(const Digest& digest) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out(64, '0');
  for (std::size_t i = 0; i < digest.size(); ++i) {
    out[2 * i] = kHex[digest[i] >> 4];
    out[2 * i + 1] = kHex[digest[i] & 15];
  }
  return out;
}

Digest digest_from_hex(std::string_view hex) {
  Digest digest{};
  auto nibble = [&](char c) -> unsigned {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    throw Error(ErrorCode::InvalidInput, "Not a SHA-256 checksum: " + std::string(hex));
  };
  if (hex.size() != 64)
    throw Error(ErrorCode::InvalidInput, "Not a SHA-256 checksum: " + std::string(hex));
  for (std::size_t i = 0; i < 32; ++i)
    digest[i] = static_cast<unsigned char>(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
  return digest;
}

Sha256::Sha256() : ctx_(EVP_MD_CTX_new()) {
  reset();
}
Sha256::~Sha256() {
  EVP_MD_CTX_free(ctx_);
}

void Sha256::reset() {
  // Fetched once: looking the algorithm up for each file costs more than hashing a small one.
  static EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_DigestInit_ex2(ctx_, kAlgorithm, nullptr);
}
void Sha256::update(const void* data, std::size_t size) {
  EVP_DigestUpdate(ctx_, data, size);
}
void Sha256::update(std::string_view data) {
  update(data.data(), data.size());
}

Digest Sha256::finish() {
  Digest digest;
  EVP_DigestFinal_ex(ctx_, digest.data(), nullptr);
  reset();
  return digest;
}

Digest sha256(std::string_view data) {
  thread_local Sha256 hash;
  hash.reset();
  hash.update(data);
  return hash.finish();
}

Digest sha256_fd(int fd, const std::string& name_for_errors) {
  constexpr std::size_t kBlock = 256 * 1024;
  thread_local const std::unique_ptr<char[]> buffer(new char[kBlock]);
  Sha256 hash;
  for (;;) {
    const ssize_t n = read(fd, buffer.get(), kBlock);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("Reading " + name_for_errors);
    if (n == 0) return hash.finish();
    hash.update(buffer.get(), static_cast<std::size_t>(n));
  }
}

}  // namespace atomichost
