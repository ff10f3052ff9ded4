// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keys/keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gpgme.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <type_traits>

#include "base/file.hpp"
#include "base/strings.hpp"

namespace atomichost::keys {
namespace {

using Context = std::unique_ptr<std::remove_pointer_t<gpgme_ctx_t>, decltype(&gpgme_release)>;
using Data = std::unique_ptr<std::remove_pointer_t<gpgme_data_t>, decltype(&gpgme_data_release)>;
using KeyRef = std::unique_ptr<std::remove_pointer_t<gpgme_key_t>, decltype(&gpgme_key_unref)>;

void check(gpgme_error_t error, const std::string& doing) {
  if (!error) return;
  ErrorCode code = ErrorCode::Failed;
  std::string hint;
  if (gpgme_err_code(error) == GPG_ERR_INV_ENGINE) hint = " (is gpg installed and in PATH?)";
  if (gpgme_err_code(error) == GPG_ERR_ENOSPC) code = ErrorCode::NoSpace;
  throw Error(code, fmt::format("{}: {}{}", doing, gpgme_strerror(error), hint));
}

Data borrow(std::string_view bytes) {
  gpgme_data_t data = nullptr;
  check(gpgme_data_new_from_mem(&data, bytes.data(), bytes.size(), /*copy=*/0), "Reading memory");
  return {data, &gpgme_data_release};
}

/// A gpg home with only the given keys in it.
class Home {
 public:
  Home() : ctx_(nullptr, &gpgme_release) {
    static std::once_flag once;
    std::call_once(once, [] { gpgme_check_version(nullptr); });
    // Which keys count is decided by who filled this home, not by a web of trust.
    const auto path = dir_.path() / "gpg.conf";
    const UniqueFd file = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    write_all(file.get(),
              "no-autostart\ntrust-model always\nno-auto-key-retrieve\nno-auto-check-trustdb\n",
              path);
    gpgme_ctx_t ctx = nullptr;
    check(gpgme_new(&ctx), "Starting OpenPGP");
    ctx_.reset(ctx);
    check(gpgme_set_protocol(ctx, GPGME_PROTOCOL_OpenPGP), "Starting OpenPGP");
    check(gpgme_ctx_set_engine_info(ctx, GPGME_PROTOCOL_OpenPGP, nullptr, dir_.path().c_str()),
          "Starting OpenPGP");
  }

  void import(const KeyFile& file) {
    const Data data = borrow(file.data);
    const auto error = gpgme_op_import(ctx(), data.get());
    if (gpgme_err_code(error) == GPG_ERR_NO_DATA) throw no_key(file);
    check(error, file.source + ": Reading OpenPGP keys");
    const auto result = gpgme_op_import_result(ctx());
    if (!result || result->considered == 0 || result->considered == result->no_user_id)
      throw no_key(file);
  }

  std::vector<Key> list() {
    std::vector<Key> keys;
    check(gpgme_op_keylist_start(ctx(), nullptr, 0), "Listing keys");
    for (;;) {
      gpgme_key_t raw = nullptr;
      const auto error = gpgme_op_keylist_next(ctx(), &raw);
      if (gpgme_err_code(error) == GPG_ERR_EOF) break;
      check(error, "Listing keys");
      const KeyRef key(raw, &gpgme_key_unref);
      keys.push_back(describe(*key));
    }
    return keys;
  }

  /// The key whose primary or sub key has @p fingerprint.
  std::optional<Key> find(const char* fingerprint) {
    gpgme_key_t raw = nullptr;
    if (gpgme_get_key(ctx(), fingerprint, &raw, 0) || !raw) return std::nullopt;
    const KeyRef key(raw, &gpgme_key_unref);
    return describe(*key);
  }

  [[nodiscard]] gpgme_ctx_t ctx() const { return ctx_.get(); }

 private:
  static Error no_key(const KeyFile& file) {
    return {ErrorCode::InvalidInput, file.source +
                                         ": Holds no OpenPGP public key; it must be one made by "
                                         "\"gpg --export\", armored or binary"};
  }

  static Key describe(const _gpgme_key& raw) {
    Key key;
    if (raw.fpr) key.fingerprint = raw.fpr;
    for (auto uid = raw.uids; uid; uid = uid->next)
      if (uid->uid) key.uids.emplace_back(uid->uid);
    if (raw.subkeys) {
      key.created_s = raw.subkeys->timestamp;
      if (raw.subkeys->expires) key.expires_s = raw.subkeys->expires;
    }
    key.is_expired = raw.expired;
    key.is_revoked = raw.revoked;
    return key;
  }

  TempDir dir_{"/tmp", "atomic-keys-"};
  Context ctx_;
};

std::string name_of(const Key& key) {
  return key.uids.empty() ? key.fingerprint : fmt::format("{} ({})", key.fingerprint, key.uids[0]);
}

Signature good_signature(const Key& key, const _gpgme_signature& raw) {
  Signature signature;
  signature.fingerprint = key.fingerprint;
  if (!key.uids.empty()) signature.uid = key.uids[0];
  signature.created_s = static_cast<std::int64_t>(raw.timestamp);
  signature.expires_s = key.expires_s;
  const auto end = static_cast<std::int64_t>(raw.exp_timestamp);
  if (end > 0) signature.expires_s = std::min(end, signature.expires_s.value_or(end));
  return signature;
}

std::string sources(const std::vector<KeyFile>& files) {
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.source);
  return join(names, ", ");
}

}  // namespace

std::vector<Key> list_keys(const KeyFile& file) {
  Home home;
  home.import(file);
  return home.list();
}

Signature verify_detached(std::string_view data, std::string_view signature,
                          const std::vector<KeyFile>& allowed, const std::string& what) {
  if (allowed.empty())
    throw Error(ErrorCode::Untrusted,
                what + ": No key is configured to check its signature with; set gpgkey=");
  Home home;
  for (const auto& file : allowed) home.import(file);

  const Data signed_data = borrow(data);
  const Data signature_data = borrow(signature);
  const auto error = gpgme_op_verify(home.ctx(), signature_data.get(), signed_data.get(), nullptr);
  const auto result = gpgme_op_verify_result(home.ctx());
  if (gpgme_err_code(error) == GPG_ERR_NO_DATA || (!error && (!result || !result->signatures)))
    throw Error(ErrorCode::Untrusted,
                what + ": What should be its signature is not an OpenPGP signature");
  check(error, what + ": Verifying the signature");

  std::string reason;
  for (auto sig = result->signatures; sig; sig = sig->next) {
    const auto key = home.find(sig->fpr);
    const std::string maker = key ? name_of(*key) : (sig->fpr ? sig->fpr : "unknown");
    switch (gpgme_err_code(sig->status)) {
      case GPG_ERR_NO_ERROR:
        if (key && key->is_revoked) {
          reason = fmt::format("the key {} that signed it is revoked", maker);
          break;
        }
        if (key && key->is_expired) {
          reason = fmt::format("the key {} that signed it has expired", maker);
          break;
        }
        if (!key) {
          reason = fmt::format("it is signed by an unknown key {}", maker);
          break;
        }
        return good_signature(*key, *sig);
      case GPG_ERR_BAD_SIGNATURE:
        reason = fmt::format(
            "the signature by {} does not match: the content was changed after it was signed",
            maker);
        break;
      case GPG_ERR_KEY_EXPIRED:
        reason = fmt::format("the key {} that signed it has expired; get the renewed key", maker);
        break;
      case GPG_ERR_SIG_EXPIRED:
        reason = fmt::format("the signature by {} has expired", maker);
        break;
      case GPG_ERR_CERT_REVOKED:
        reason = fmt::format("the key {} that signed it is revoked", maker);
        break;
      case GPG_ERR_NO_PUBKEY:
        reason = fmt::format(
            "it is signed by key {}, which is not among the configured ones ({}); when that key "
            "is right, add it to gpgkey=",
            maker, sources(allowed));
        break;
      default:
        reason = fmt::format("the signature by {} cannot be used: {}", maker,
                             gpgme_strerror(sig->status));
    }
  }
  throw Error(ErrorCode::Untrusted, fmt::format("{}: Not trusted: {}", what, reason));
}

}  // namespace atomichost::keys
