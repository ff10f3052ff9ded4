// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

/// keys owns gpgme: reading OpenPGP keys and verifying detached signatures. Every call works in a
/// home directory of its own that is gone afterwards: no key of the user or of the machine counts.
/// All functions may be called from several threads at once.
namespace atomichost::keys {

/// The content of one key file (armored or binary, one or more keys) and where it came from.
struct KeyFile {
  std::string source;  ///< path or URL, for messages
  std::string data;
};

struct Key {
  std::string fingerprint;                ///< of the primary key, 40 upper-case hex digits (or 64)
  std::vector<std::string> uids;          ///< "Name <mail>"; the first is the primary one
  std::int64_t created_s = 0;             ///< seconds since 1970
  std::optional<std::int64_t> expires_s;  ///< nullopt: never
  bool is_expired = false;
  bool is_revoked = false;
};

/// The public keys in @p file.
/// @throws Error InvalidInput "<source>: ..." when it holds no public key.
[[nodiscard]] std::vector<Key> list_keys(const KeyFile& file);

struct Signature {
  std::string fingerprint;  ///< of the primary key that made it
  std::string uid;          ///< that key's first user id
  std::int64_t created_s = 0;
  /// When it stops being good: the key's or the signature's expiry, whichever is first.
  std::optional<std::int64_t> expires_s;
};

/// Verify the detached @p signature (armored or binary) of @p data with no other keys than
/// @p allowed. One good signature by a key that is neither expired nor revoked is enough.
/// @param what  The signed object, for messages: "repomd.xml of repository x".
/// @throws Error Untrusted: no signature, bad signature, made by a key that is not in @p allowed,
///   expired or revoked; the text names the key and says what to do. InvalidInput: a key file holds
///   no key.
Signature verify_detached(std::string_view data, std::string_view signature,
                          const std::vector<KeyFile>& allowed, const std::string& what);

}  // namespace atomichost::keys
