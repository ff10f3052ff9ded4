// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/library.hpp"

#include <rpm/rpmmacro.h>

#include <mutex>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "rpm/database_tuning.hpp"
#include "rpm/librpm.hpp"

namespace atomichost::rpm {
namespace {

constexpr const char* kMacros = "/usr/lib/rpm/macros";
constexpr const char* kSettings = "/usr/lib/rpm/rpmrc";

thread_local Messages* current = nullptr;

void configure() {
  rpmlogSetCallback(log_callback, nullptr);
  tune_databases();

  Messages messages;
  // A file list of our own: neither /etc/rpm nor ~/.rpmmacros nor ~/.rpmrc.
  macrofiles = kMacros;
  if (rpmReadConfigFiles(kSettings, nullptr) != 0)
    throw Error(ErrorCode::Failed,
                std::string("Reading librpm's configuration ") + kSettings + ": " +
                    messages.text("it is not there; install the rpm-common package"));
  // Databases are found by the root directory of a transaction, which is no global state.
  rpmDefineMacro(nullptr, "_dbpath /", RMIL_GLOBAL);
  rpmDefineMacro(nullptr, "_rpmlock_path /.rpm.lock", RMIL_GLOBAL);
  rpmDefineMacro(nullptr, "_db_backend sqlite", RMIL_GLOBAL);
}

}  // namespace

int log_callback(rpmlogRec record, rpmlogCallbackData /*data*/) {
  if (current && rpmlogRecPriority(record) <= RPMLOG_WARNING) {
    const std::string_view line = trim(rpmlogRecMessage(record));
    if (!current->text_.empty()) current->text_ += "; ";
    current->text_ += line;
  }
  return 0;  // nothing goes to the terminal
}

Messages::Messages() : outer_(current) {
  current = this;
}
Messages::~Messages() {
  current = outer_;
}

std::string Messages::text(const std::string& otherwise) const {
  return text_.empty() ? otherwise : replace_all(text_, "\n", "; ");
}

void initialise() {
  static std::once_flag once;
  std::call_once(once, configure);
}

namespace {

/// Owns what headerGet() fills in.
class TagData {
 public:
  TagData(Header h, rpmTagVal tag) { found_ = headerGet(h, tag, &td_, HEADERGET_MINMEM) != 0; }
  TagData(const TagData&) = delete;
  TagData& operator=(const TagData&) = delete;
  ~TagData() { rpmtdFreeData(&td_); }
  explicit operator bool() const noexcept { return found_; }
  rpmtd get() noexcept { return &td_; }

 private:
  rpmtd_s td_{};
  bool found_;
};

}  // namespace

std::string get_string(Header h, rpmTagVal tag) {
  const char* s = headerGetString(h, tag);
  return s ? s : "";
}

std::vector<std::string> get_strings(Header h, rpmTagVal tag) {
  std::vector<std::string> out;
  TagData data(h, tag);
  if (!data) return out;
  out.reserve(rpmtdCount(data.get()));
  while (const char* s = rpmtdNextString(data.get())) out.emplace_back(s);
  return out;
}

std::vector<std::uint64_t> get_numbers(Header h, rpmTagVal tag) {
  std::vector<std::uint64_t> out;
  TagData data(h, tag);
  if (!data || rpmtdClass(data.get()) != RPM_NUMERIC_CLASS) return out;
  out.reserve(rpmtdCount(data.get()));
  while (rpmtdNext(data.get()) >= 0) out.push_back(rpmtdGetNumber(data.get()));
  return out;
}

Nevra get_nevra(Header h) {
  Nevra nevra;
  nevra.name = get_string(h, RPMTAG_NAME);
  nevra.epoch = std::to_string(headerGetNumber(h, RPMTAG_EPOCH));
  nevra.version = get_string(h, RPMTAG_VERSION);
  nevra.release = get_string(h, RPMTAG_RELEASE);
  nevra.arch = get_string(h, RPMTAG_ARCH);
  return nevra;
}

HeaderPtr import_header(std::string_view serialised, const std::string& what) {
  Messages messages;
  HeaderPtr h(headerImport(const_cast<char*>(serialised.data()),
                           static_cast<unsigned>(serialised.size()), HEADERIMPORT_COPY));
  if (!h)
    throw Error(ErrorCode::Corrupt, what + ": the header is damaged" +
                                        (messages.empty() ? "" : " (" + messages.text("") + ")"));
  return h;
}

TransactionPtr new_transaction() {
  initialise();
  TransactionPtr ts(rpmtsCreate());
  KeyringPtr none(rpmKeyringNew());
  rpmtsSetKeyring(ts.get(), none.get());  // else librpm goes and reads the host's database
  rpmtsSetDBMode(ts.get(), -1);
  return ts;
}

}  // namespace atomichost::rpm
