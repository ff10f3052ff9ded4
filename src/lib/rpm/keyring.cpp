// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/keyring.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "rpm/librpm.hpp"

namespace atomichost::rpm {
namespace {

constexpr std::string_view kBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
constexpr std::string_view kEnd = "-----END PGP PUBLIC KEY BLOCK-----";

Error bad_key(const std::string& source, const std::string& why) {
  return Error(ErrorCode::InvalidInput, source + ": " + why);
}

std::string hex_id(const std::uint8_t* id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int i = 0; i < 8; ++i) {
    out += kDigits[id[i] >> 4];
    out += kDigits[id[i] & 15];
  }
  return out;
}

void add_certificate(Keyring::Impl& impl, const std::uint8_t* packets, std::size_t size,
                     const std::string& source) {
  char* why = nullptr;
  const rpmRC verdict = pgpPubKeyLint(packets, size, &why);
  const MallocPtr<char> owned(why);
  if (verdict != RPMRC_OK)
    throw bad_key(source,
                  std::string("librpm refuses the key: ") + (why ? why : "no reason given"));
  const PubkeyPtr key(rpmPubkeyNew(packets, size));
  std::uint8_t id[8];
  if (!key || pgpPubkeyKeyID(packets, size, id) != 0)
    throw bad_key(source, "librpm cannot read the key: damaged, or a kind it does not know");
  const auto remember = [&](const std::string& key_id) {
    if (std::find(impl.key_ids.begin(), impl.key_ids.end(), key_id) == impl.key_ids.end())
      impl.key_ids.push_back(key_id);
    impl.main_key[key_id] = hex_id(id);
  };
  rpmKeyringAddKey(impl.keyring.get(), key.get());
  remember(hex_id(id));

  int count = 0;
  rpmPubkey* subkeys = rpmGetSubkeys(key.get(), &count);
  for (int i = 0; i < count; ++i) {
    const PubkeyPtr subkey(subkeys[i]);
    rpmKeyringAddKey(impl.keyring.get(), subkey.get());
    remember(hex_id(pgpDigParamsSignID(rpmPubkeyPgpDigParams(subkey.get()))));
  }
  std::free(subkeys);
}

void add_packets(Keyring::Impl& impl, const std::uint8_t* packets, std::size_t size,
                 const std::string& source) {
  while (size > 0) {
    std::size_t length = 0;
    if (pgpPubKeyCertLen(packets, size, &length) != 0 || length == 0 || length > size)
      throw bad_key(source, "not an OpenPGP public key, or a damaged one");
    add_certificate(impl, packets, length, source);
    packets += length;
    size -= length;
  }
}

}  // namespace

Keyring::Keyring() : impl_(std::make_unique<Impl>()) {
  initialise();
  impl_->keyring.reset(rpmKeyringNew());
}
Keyring::Keyring(Keyring&&) noexcept = default;
Keyring& Keyring::operator=(Keyring&&) noexcept = default;
Keyring::~Keyring() = default;

const std::vector<std::string>& Keyring::key_ids() const noexcept {
  return impl_->key_ids;
}

void Keyring::distrust(const std::string& fingerprint, const std::string& why) {
  std::string id =
      fingerprint.size() > 16 ? fingerprint.substr(fingerprint.size() - 16) : fingerprint;
  for (char& c : id) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  impl_->distrusted[id] = why;
}

void Keyring::add(const std::string& armored_or_binary, const std::string& source) {
  if (armored_or_binary.empty()) throw bad_key(source, "the key file is empty");
  std::size_t begin = armored_or_binary.find(kBegin);
  if (begin == std::string::npos) {
    if (static_cast<unsigned char>(armored_or_binary[0]) < 0x80)  // no OpenPGP packet starts so
      throw bad_key(source, "there is no OpenPGP public key in it");
    add_packets(*impl_, reinterpret_cast<const std::uint8_t*>(armored_or_binary.data()),
                armored_or_binary.size(), source);
    return;
  }
  for (; begin != std::string::npos; begin = armored_or_binary.find(kBegin, begin)) {
    const std::size_t end = armored_or_binary.find(kEnd, begin);
    if (end == std::string::npos) throw bad_key(source, "the key block has no end: truncated?");
    const std::string block = armored_or_binary.substr(begin, end + kEnd.size() - begin) + "\n";
    std::uint8_t* packets = nullptr;
    std::size_t size = 0;
    const pgpArmor armor = pgpParsePkts(block.c_str(), &packets, &size);
    const MallocPtr<std::uint8_t> owned(packets);
    if (armor != PGPARMOR_PUBKEY) throw bad_key(source, "the armor of the key block is damaged");
    add_packets(*impl_, packets, size, source);
    begin = end;
  }
}

}  // namespace atomichost::rpm
