// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/package.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <rpm/rpmcrypto.h>
#include <rpm/rpmds.h>
#include <sys/capability.h>

#include <endian.h>
#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "rpm/librpm.hpp"

namespace atomichost::rpm {
namespace {

// A header in a file begins with these bytes, and digests and signatures cover them.
constexpr std::string_view kHeaderMagic{"\x8e\xad\xe8\x01\0\0\0\0", 8};
constexpr std::uint64_t kExpandMacros = 1 << 0;       // RPMSCRIPT_FLAG_EXPAND
constexpr std::uint64_t kExpandQueryFormat = 1 << 1;  // RPMSCRIPT_FLAG_QFORMAT

Error corrupt(const std::string& why) {
  return Error(ErrorCode::Corrupt, why);
}
Error untrusted(const std::string& why) {
  return Error(ErrorCode::Untrusted, why);
}

// ---- Signatures

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

using SignaturePtr =
    std::unique_ptr<std::remove_pointer_t<pgpDigParams>, Release<pgpDigParamsFree>>;

/// The signature in @p tag; nullptr when there is none.
SignaturePtr get_signature(Header h, rpmTagVal tag) {
  rpmtd_s data{};
  if (!headerGet(h, tag, &data, HEADERGET_MINMEM)) return nullptr;
  pgpDigParams signature = nullptr;
  const int rc = data.type == RPM_BIN_TYPE
                     ? pgpPrtParams(static_cast<const std::uint8_t*>(data.data), data.count,
                                    PGPTAG_SIGNATURE, &signature)
                     : -1;
  rpmtdFreeData(&data);
  SignaturePtr out(signature);
  if (rc != 0 || !out) throw untrusted("its signature cannot be read: damaged, or of a new kind");
  return out;
}

std::string signer(const SignaturePtr& signature) {
  return hex(pgpDigParamsSignID(signature.get()), sizeof(pgpKeyID_t));
}

/// @return the id of the key that signed the header. @throws Error Untrusted.
std::string verify_signature(Header with_signatures, std::string_view region,
                             const Keyring& keyring) {
  std::string key_id;
  // librpm would verify in rpmReadPackageFile(), but says through the log only which key it
  // misses, only once per process, and keeps that in an unguarded table.
  for (const rpmTagVal tag : {RPMTAG_RSAHEADER, RPMTAG_DSAHEADER}) {
    const SignaturePtr signature = get_signature(with_signatures, tag);
    if (!signature) continue;
    const auto hash = static_cast<int>(pgpDigParamsAlgo(signature.get(), PGPVAL_HASHALGO));
    const std::string id = signer(signature);
    if (hash != PGPHASHALGO_SHA256 && hash != PGPHASHALGO_SHA384 && hash != PGPHASHALGO_SHA512)
      throw untrusted("its signature by key " + id +
                      " uses a hash that is no longer safe (SHA-256 is the least)");
    const Messages messages;
    DIGEST_CTX digest = rpmDigestInit(hash, RPMDIGEST_NONE);
    rpmDigestUpdate(digest, kHeaderMagic.data(), kHeaderMagic.size());
    rpmDigestUpdate(digest, region.data(), region.size());
    const rpmRC verdict =
        rpmKeyringVerifySig(keyring.impl().keyring.get(), signature.get(), digest);
    rpmDigestFinal(digest, nullptr, nullptr, 0);
    switch (verdict) {
      case RPMRC_OK:
        if (const auto why = keyring.impl().distrusted.find(keyring.impl().main_key.at(id));
            why != keyring.impl().distrusted.end())
          throw untrusted("it is signed by key " + id + ", which " + why->second);
        key_id = id;
        break;
      case RPMRC_NOKEY:
        throw untrusted(
            "it is signed by key " + id + ", which is not among the trusted keys (" +
            (keyring.key_ids().empty() ? "there are none" : join(keyring.key_ids(), ", ")) + ")");
      case RPMRC_NOTTRUSTED:
        throw untrusted("it is signed by key " + id +
                        ", which is not to be trusted: " + messages.text("expired or revoked"));
      default:
        throw untrusted("its signature by key " + id + " does not match the package");
    }
  }
  if (!key_id.empty()) return key_id;

  for (const rpmTagVal tag : {RPMTAG_SIGPGP, RPMTAG_SIGGPG})
    if (const SignaturePtr old = get_signature(with_signatures, tag))
      throw untrusted("it only has an old-style signature (key " + signer(old) +
                      "); sign it with rpm 4.14 or newer");
  throw untrusted("it is not signed");
}

// ---- Files

/// The kernel's form of capabilities in text. @throws Error InvalidInput.
std::string vfs_capability(const std::string& text) {
  const auto owned =
      std::unique_ptr<std::remove_pointer_t<cap_t>, Release<cap_free>>(cap_from_text(text.c_str()));
  if (!owned)
    throw Error(ErrorCode::InvalidInput, "the capabilities \"" + text + "\" are not understood");
  vfs_cap_data raw{};
  std::uint32_t magic = VFS_CAP_REVISION_2;
  for (cap_value_t cap = 0; cap < 64; ++cap) {
    const auto has = [&](cap_flag_t flag) {
      cap_flag_value_t value = CAP_CLEAR;
      return cap_get_flag(owned.get(), cap, flag, &value) == 0 && value == CAP_SET;
    };
    auto& word = raw.data[cap / 32];
    const std::uint32_t bit = 1U << (cap % 32);
    if (has(CAP_PERMITTED)) word.permitted |= bit;
    if (has(CAP_INHERITABLE)) word.inheritable |= bit;
    if (has(CAP_EFFECTIVE)) magic |= VFS_CAP_FLAGS_EFFECTIVE;
  }
  raw.magic_etc = htole32(magic);
  for (auto& word : raw.data) {
    word.permitted = htole32(word.permitted);
    word.inheritable = htole32(word.inheritable);
  }
  return {reinterpret_cast<const char*>(&raw), sizeof raw};
}

std::string text_or_empty(const char* s) {
  return s ? s : "";
}

/// Absolute, without "", "." and ".." in it.
bool is_plain_path(std::string_view path) {
  if (path == "/") return true;
  if (path.empty() || path.front() != '/') return false;
  path.remove_prefix(1);
  for (const std::string& part : split(path, '/'))
    if (part.empty() || part == "." || part == "..") return false;
  return true;
}

std::vector<File> read_files(Header h) {
  const Messages messages;
  const FilesPtr list(rpmfilesNew(nullptr, h, 0,
                                  RPMFI_NOFILECLASS | RPMFI_NOFILEDEPS | RPMFI_NOFILECOLORS |
                                      RPMFI_NOFILEVERIFYFLAGS | RPMFI_NOFILESIGNATURES |
                                      RPMFI_NOVERITYSIGNATURES | RPMFI_NOFILESTATES));
  if (!list) throw corrupt("the file list is damaged: " + messages.text("fields do not agree"));
  const auto count = static_cast<int>(rpmfilesFC(list.get()));
  std::vector<File> files(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    File& file = files[static_cast<std::size_t>(i)];
    const MallocPtr<char> path(rpmfilesFN(list.get(), i));
    file.path = text_or_empty(path.get());
    if (!is_plain_path(file.path))
      throw corrupt("the file list holds \"" + file.path + "\", which is no plain absolute path");
    file.mode = rpmfilesFMode(list.get(), i);
    file.rdev = rpmfilesFRdev(list.get(), i);
    file.user = text_or_empty(rpmfilesFUser(list.get(), i));
    file.group = text_or_empty(rpmfilesFGroup(list.get(), i));
    file.langs = text_or_empty(rpmfilesFLangs(list.get(), i));
    const auto attributes = rpmfilesFFlags(list.get(), i);
    file.ghost = attributes & RPMFILE_GHOST;
    file.config = attributes & RPMFILE_CONFIG;
    file.doc = attributes & RPMFILE_DOC;
    if (S_ISLNK(file.mode)) file.target = text_or_empty(rpmfilesFLink(list.get(), i));
    if (!S_ISREG(file.mode)) continue;

    file.size = rpmfilesFSize(list.get(), i);
    int algorithm = 0;
    std::size_t length = 0;
    const unsigned char* digest = rpmfilesFDigest(list.get(), i, &algorithm, &length);
    if (digest && algorithm == PGPHASHALGO_SHA256 && length == sizeof(Digest)) {
      file.digest.emplace();
      std::memcpy(file.digest->data(), digest, length);
    }
    file.caps = text_or_empty(rpmfilesFCaps(list.get(), i));
    if (!file.caps.empty())
      file.capability = with_context(file.path, [&] { return vfs_capability(file.caps); });
    const int* links = nullptr;
    const std::uint32_t link_count = rpmfilesFLinks(list.get(), i, &links);
    if (link_count > 1 && links) file.links.assign(links, links + link_count);
  }
  return files;
}

// ---- Scripts

struct ScriptTags {
  const char* kind;
  rpmTagVal body, program, flags;
};
constexpr ScriptTags kScripts[] = {
    {"%pretrans", RPMTAG_PRETRANS, RPMTAG_PRETRANSPROG, RPMTAG_PRETRANSFLAGS},
    {"%pre", RPMTAG_PREIN, RPMTAG_PREINPROG, RPMTAG_PREINFLAGS},
    {"%post", RPMTAG_POSTIN, RPMTAG_POSTINPROG, RPMTAG_POSTINFLAGS},
    {"%preun", RPMTAG_PREUN, RPMTAG_PREUNPROG, RPMTAG_PREUNFLAGS},
    {"%postun", RPMTAG_POSTUN, RPMTAG_POSTUNPROG, RPMTAG_POSTUNFLAGS},
    {"%posttrans", RPMTAG_POSTTRANS, RPMTAG_POSTTRANSPROG, RPMTAG_POSTTRANSFLAGS},
    {"%verifyscript", RPMTAG_VERIFYSCRIPT, RPMTAG_VERIFYSCRIPTPROG, RPMTAG_VERIFYSCRIPTFLAGS},
};

Script make_script(Header h, const char* kind, std::vector<std::string> interpreter,
                   std::string body, std::uint64_t flags) {
  Script script{.kind = kind, .interpreter = std::move(interpreter), .body = std::move(body)};
  if (script.interpreter.empty()) script.interpreter = {"/bin/sh"};
  script.is_lua = script.interpreter[0] == "<lua>";
  if (flags & kExpandQueryFormat) {
    errmsg_t why = nullptr;
    const MallocPtr<char> expanded(headerFormat(h, script.body.c_str(), &why));
    if (!expanded) throw corrupt(script.kind + " has a bad query format: " + text_or_empty(why));
    script.body = expanded.get();
  }
  script.needs_macros = (flags & kExpandMacros) && script.body.find('%') != std::string::npos;
  return script;
}

std::vector<Script> read_scripts(Header h) {
  std::vector<Script> scripts;
  for (const ScriptTags& tags : kScripts) {
    if (!headerIsEntry(h, tags.body) && !headerIsEntry(h, tags.program)) continue;
    scripts.push_back(make_script(h, tags.kind, get_strings(h, tags.program),
                                  get_string(h, tags.body), headerGetNumber(h, tags.flags)));
  }
  return scripts;
}

struct TriggerTags {
  const char* prefix;
  rpmTagVal names, index, conditions, bodies, programs, script_flags, priorities;
};
constexpr TriggerTags kFileTriggers[] = {
    {"%filetrigger", RPMTAG_FILETRIGGERNAME, RPMTAG_FILETRIGGERINDEX, RPMTAG_FILETRIGGERFLAGS,
     RPMTAG_FILETRIGGERSCRIPTS, RPMTAG_FILETRIGGERSCRIPTPROG, RPMTAG_FILETRIGGERSCRIPTFLAGS,
     RPMTAG_FILETRIGGERPRIORITIES},
    {"%transfiletrigger", RPMTAG_TRANSFILETRIGGERNAME, RPMTAG_TRANSFILETRIGGERINDEX,
     RPMTAG_TRANSFILETRIGGERFLAGS, RPMTAG_TRANSFILETRIGGERSCRIPTS,
     RPMTAG_TRANSFILETRIGGERSCRIPTPROG, RPMTAG_TRANSFILETRIGGERSCRIPTFLAGS,
     RPMTAG_TRANSFILETRIGGERPRIORITIES},
};

const char* trigger_suffix(std::uint64_t condition) {
  if (condition & RPMSENSE_TRIGGERPREIN) return "prein";
  if (condition & RPMSENSE_TRIGGERIN) return "in";
  if (condition & RPMSENSE_TRIGGERUN) return "un";
  return "postun";
}

void read_file_triggers(Header h, const TriggerTags& tags, std::vector<FileTrigger>& out) {
  const auto names = get_strings(h, tags.names);
  if (names.empty()) return;
  const auto index = get_numbers(h, tags.index);
  const auto conditions = get_numbers(h, tags.conditions);
  const auto bodies = get_strings(h, tags.bodies);
  const auto programs = get_strings(h, tags.programs);
  const auto script_flags = get_numbers(h, tags.script_flags);
  const auto priorities = get_numbers(h, tags.priorities);
  if (index.size() != names.size() || conditions.size() != names.size() ||
      programs.size() != bodies.size())
    throw corrupt(std::string(tags.prefix) + "in: fields do not agree");
  for (std::size_t script = 0; script < bodies.size(); ++script) {
    FileTrigger trigger;
    trigger.priority =
        script < priorities.size() ? static_cast<unsigned>(priorities[script]) : 1000000;
    std::uint64_t condition = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (index[i] != script) continue;
      condition = conditions[i];
      trigger.prefixes.push_back(names[i]);
    }
    if (trigger.prefixes.empty()) continue;
    trigger.kind = std::string(tags.prefix) + trigger_suffix(condition);
    trigger.script = make_script(h, trigger.kind.c_str(), {programs[script]}, bodies[script],
                                 script < script_flags.size() ? script_flags[script] : 0);
    out.push_back(std::move(trigger));
  }
}

std::vector<std::string> read_other_triggers(Header h) {
  std::vector<std::string> kinds;
  for (const std::uint64_t condition : get_numbers(h, RPMTAG_TRIGGERFLAGS))
    kinds.push_back(std::string("%trigger") + trigger_suffix(condition));
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  return kinds;
}

// ---- The whole

/// The header with the signature tags librpm adds to it, structure checked; then the position is
/// that of the payload.
HeaderPtr read_header(int fd, const std::string& name, off_t& payload_offset) {
  const Messages messages;
  const TransactionPtr ts = new_transaction();
  // Digests and signatures are our job: librpm's verdicts do not tell one failure from another.
  rpmtsSetVSFlags(ts.get(), RPMVSF_MASK_NODIGESTS | RPMVSF_MASK_NOSIGNATURES | RPMVSF_NEEDPAYLOAD);
  const FdPtr file(fdDup(fd));
  if (!file) throw_errno("duplicating the file descriptor");
  Header raw = nullptr;
  const rpmRC rc = rpmReadPackageFile(ts.get(), file.get(), name.c_str(), &raw);
  HeaderPtr h(raw);
  if (rc == RPMRC_NOTFOUND) throw corrupt("not an RPM package");
  if (rc != RPMRC_OK || !h) {
    std::string why = messages.text("the header is damaged");
    why = replace_all(why, name + ": ", "");
    throw corrupt("truncated or damaged: " + why);
  }
  payload_offset = static_cast<off_t>(Ftell(file.get()));
  return h;
}

/// The bytes that digest and signature cover.
std::string immutable_region(Header h) {
  rpmtd_s data{};
  if (!headerGet(h, RPMTAG_HEADERIMMUTABLE, &data, HEADERGET_DEFAULT))
    throw corrupt("the header has no immutable region");
  std::string region(static_cast<const char*>(data.data), data.count);
  rpmtdFreeData(&data);
  return region;
}

void check_is_ours(Header region) {
  // What a database adds may not come from the package, where it would shadow the real thing.
  for (const rpmTagVal tag :
       {RPMTAG_SHA256HEADER, RPMTAG_RSAHEADER, RPMTAG_DSAHEADER, RPMTAG_SIGPGP, RPMTAG_SIGGPG,
        RPMTAG_INSTALLTIME, RPMTAG_INSTALLTID, RPMTAG_INSTALLCOLOR, RPMTAG_FILESTATES})
    if (headerIsEntry(region, tag))
      throw corrupt(std::string("the header holds the tag ") + rpmTagGetName(tag) +
                    ", which no package may carry");
  if (!headerIsEntry(region, RPMTAG_SOURCERPM) || headerIsEntry(region, RPMTAG_SOURCEPACKAGE))
    throw Error(ErrorCode::InvalidInput, "a source package; only binary packages are installed");
  const std::string format = get_string(region, RPMTAG_PAYLOADFORMAT);
  if (!format.empty() && format != "cpio")
    throw Error(ErrorCode::InvalidInput, "its payload format \"" + format + "\" is not supported");
}

}  // namespace

Package Package::read(const std::filesystem::path& rpm, const Keyring* keyring) {
  initialise();
  auto data = std::make_shared<Data>();
  data->path = rpm;
  const UniqueFd fd = open_at(AT_FDCWD, rpm.string(), O_RDONLY | O_CLOEXEC);
  return with_context("Package " + rpm.string(), [&] {
    HeaderPtr merged = read_header(fd.get(), rpm.string(), data->payload_offset);
    const std::string region = immutable_region(merged.get());
    // From here on, only what the digest covers is read.
    const HeaderPtr h = import_header(region, "the immutable region");

    Sha256 sha;
    sha.update(kHeaderMagic);
    sha.update(region);
    data->header_digest = to_hex(sha.finish());
    const std::string stated = get_string(merged.get(), RPMTAG_SHA256HEADER);
    if (stated.empty())
      throw untrusted("it has no SHA-256 of its header; build it with rpm 4.14 or newer");
    if (stated != data->header_digest)
      throw untrusted("its header does not match its digest (SHA-256 is " + data->header_digest +
                      ", should be " + stated + "): damaged or changed");
    check_is_ours(h.get());
    if (keyring) data->signing_key = verify_signature(merged.get(), region, *keyring);

    const auto payload = get_strings(h.get(), RPMTAG_PAYLOADDIGEST);
    if (payload.empty() || payload[0].size() != 64 ||
        headerGetNumber(h.get(), RPMTAG_PAYLOADDIGESTALGO) != PGPHASHALGO_SHA256)
      throw untrusted("it has no SHA-256 of its payload; build it with rpm 4.14 or newer");
    data->payload_digest = payload[0];
    data->payload_compressor = get_string(h.get(), RPMTAG_PAYLOADCOMPRESSOR);
    if (data->payload_compressor.empty()) data->payload_compressor = "gzip";

    data->nevra = get_nevra(h.get());
    if (data->nevra.name.empty() || data->nevra.version.empty() || data->nevra.release.empty() ||
        data->nevra.arch.empty())
      throw corrupt("the header has no name, version, release or architecture");
    data->unpacked_size = headerGetNumber(h.get(), RPMTAG_LONGSIZE);
    data->build_time = static_cast<std::int64_t>(headerGetNumber(h.get(), RPMTAG_BUILDTIME));
    data->files = read_files(h.get());
    data->scripts = read_scripts(h.get());
    for (const TriggerTags& tags : kFileTriggers)
      read_file_triggers(h.get(), tags, data->file_triggers);
    data->other_triggers = read_other_triggers(h.get());

    unsigned size = 0;
    const MallocPtr<char> serialised(static_cast<char*>(headerExport(merged.get(), &size)));
    data->header.assign(serialised.get(), size);
    return Package(std::move(data));
  });
}

const Nevra& Package::nevra() const noexcept {
  return data_->nevra;
}
const std::filesystem::path& Package::path() const noexcept {
  return data_->path;
}
const std::vector<File>& Package::files() const noexcept {
  return data_->files;
}
const std::vector<Script>& Package::scripts() const noexcept {
  return data_->scripts;
}
const Script* Package::script(std::string_view kind) const noexcept {
  const auto found = std::find_if(data_->scripts.begin(), data_->scripts.end(),
                                  [&](const Script& s) { return s.kind == kind; });
  return found == data_->scripts.end() ? nullptr : &*found;
}
const std::vector<FileTrigger>& Package::file_triggers() const noexcept {
  return data_->file_triggers;
}
const std::vector<std::string>& Package::other_triggers() const noexcept {
  return data_->other_triggers;
}
const std::string& Package::header_digest() const noexcept {
  return data_->header_digest;
}
const std::string& Package::payload_digest() const noexcept {
  return data_->payload_digest;
}
const std::string& Package::payload_compressor() const noexcept {
  return data_->payload_compressor;
}
off_t Package::payload_offset() const noexcept {
  return data_->payload_offset;
}
std::uint64_t Package::unpacked_size() const noexcept {
  return data_->unpacked_size;
}
std::int64_t Package::build_time() const noexcept {
  return data_->build_time;
}
const std::string& Package::signing_key() const noexcept {
  return data_->signing_key;
}

}  // namespace atomichost::rpm
