// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rpm/header.h>
#include <rpm/rpmfiles.h>
#include <rpm/rpmio.h>
#include <rpm/rpmkeyring.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmlog.h>
#include <rpm/rpmtd.h>
#include <rpm/rpmts.h>
#include <rpm/rpmver.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rpm/library.hpp"
#include "rpm/package.hpp"

/// Private to this module: librpm's handles with owners, and its messages.
namespace atomichost::rpm {

template <auto Free>
struct Release {
  template <typename T>
  void operator()(T* p) const noexcept {
    static_cast<void>(Free(p));
  }
};
using HeaderPtr = std::unique_ptr<std::remove_pointer_t<Header>, Release<headerFree>>;
using TransactionPtr = std::unique_ptr<std::remove_pointer_t<rpmts>, Release<rpmtsFree>>;
using FilesPtr = std::unique_ptr<std::remove_pointer_t<rpmfiles>, Release<rpmfilesFree>>;
using KeyringPtr = std::unique_ptr<std::remove_pointer_t<rpmKeyring>, Release<rpmKeyringFree>>;
using PubkeyPtr = std::unique_ptr<std::remove_pointer_t<rpmPubkey>, Release<rpmPubkeyFree>>;
using FdPtr = std::unique_ptr<std::remove_pointer_t<FD_t>, Release<Fclose>>;
template <typename T>
using MallocPtr = std::unique_ptr<T, Release<std::free>>;

int log_callback(rpmlogRec record, rpmlogCallbackData data);

/// Collects librpm's messages of this thread (warnings and errors) while it lives.
class Messages {
 public:
  Messages();
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;
  ~Messages();
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  /// All of them on one line, or @p otherwise when there are none.
  [[nodiscard]] std::string text(const std::string& otherwise) const;

 private:
  friend int log_callback(rpmlogRec record, rpmlogCallbackData data);
  std::string text_;
  Messages* outer_;
};

/// "" when the header has no such tag.
[[nodiscard]] std::string get_string(Header h, rpmTagVal tag);
[[nodiscard]] std::vector<std::string> get_strings(Header h, rpmTagVal tag);
[[nodiscard]] std::vector<std::uint64_t> get_numbers(Header h, rpmTagVal tag);
[[nodiscard]] Nevra get_nevra(Header h);
/// A header from its serialised form, which is copied.
[[nodiscard]] HeaderPtr import_header(std::string_view serialised, const std::string& what);
/// A transaction without database and keys.
[[nodiscard]] TransactionPtr new_transaction();

struct Keyring::Impl {
  KeyringPtr keyring;
  std::vector<std::string> key_ids;
  std::map<std::string, std::string> main_key;    ///< of each key id; itself for a main key
  std::map<std::string, std::string> distrusted;  ///< main key id -> why
};

struct Package::Data {
  Nevra nevra;
  std::filesystem::path path;
  std::vector<File> files;
  std::vector<Script> scripts;
  std::vector<FileTrigger> file_triggers;
  std::vector<std::string> other_triggers;
  std::string header_digest;
  std::string payload_digest;
  std::string payload_compressor;
  off_t payload_offset = 0;
  std::uint64_t unpacked_size = 0;
  std::int64_t build_time = 0;
  std::string signing_key;
  std::string header;  ///< serialised, with the signature tags a database wants
};

}  // namespace atomichost::rpm
