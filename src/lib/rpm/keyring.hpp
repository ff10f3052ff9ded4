// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace atomichost::rpm {

/// The OpenPGP keys that package signatures are checked against; never the build host's. Fill it
/// in one thread, then use it from as many as you like.
class Keyring {
 public:
  Keyring();
  Keyring(Keyring&&) noexcept;
  Keyring& operator=(Keyring&&) noexcept;
  ~Keyring();

  /// Add all certificates of a key file: one or several armored blocks (text around them is
  /// ignored), or binary packets. A key that is there already is fine.
  /// @param source_for_errors  where it came from, such as a path or URL.
  /// @throws Error InvalidInput: no key in it, or a key that librpm cannot use; names the source.
  void add(const std::string& armored_or_binary, const std::string& source_for_errors);
  /// Refuse packages signed by the certificate with the fingerprint @p fingerprint (40 hex digits,
  /// any case) or one of its subkeys. librpm looks neither at expiry nor at revocation:
  /// keys::list_keys() knows. @param why  completes "signed by key ..., which ": "is revoked",
  /// "expired on 2020-01-31".
  void distrust(const std::string& fingerprint, const std::string& why);
  /// 16 lower-case hex digits of each main key and subkey, in the order they were added.
  [[nodiscard]] const std::vector<std::string>& key_ids() const noexcept;

  struct Impl;
  [[nodiscard]] const Impl& impl() const noexcept { return *impl_; }  ///< for this module only

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace atomichost::rpm
