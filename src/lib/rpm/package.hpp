// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.hpp"
#include "rpm/keyring.hpp"
#include "rpm/nevra.hpp"

namespace atomichost::rpm {

/// One entry of a package's file list, in header order.
struct File {
  std::string path;        ///< absolute, as packaged ("/bin/sh", not "/usr/bin/sh")
  std::uint32_t mode = 0;  ///< with file type bits
  std::uint32_t rdev = 0;  ///< device number of device files
  std::string user;        ///< owner by name
  std::string group;
  std::uint64_t size = 0;        ///< bytes of a regular file (for each name of a hard link set)
  std::optional<Digest> digest;  ///< SHA-256 of the content; nullopt: none, or another algorithm
  std::string target;            ///< symbolic link
  std::string caps;              ///< capabilities as text, "cap_net_raw=ep"; "" none
  std::string capability;        ///< the same as raw security.capability (vfs_cap_data); "" none
  bool ghost = false;            ///< %ghost: not in the payload
  bool config = false;           ///< %config of any kind
  bool doc = false;              ///< %doc
  std::string langs;             ///< %lang: names separated by '|'; "" all
  std::vector<int> links;        ///< indices of all names of this inode if it has more than one
};

/// A program that the package wants run, with query-format bodies (-q) already expanded.
struct Script {
  std::string kind;  ///< "%pre", "%post", "%preun", "%postun", "%pretrans", "%posttrans", ...
  std::vector<std::string> interpreter;  ///< program and its arguments; {"/bin/sh"} by default
  std::string body;     ///< "" when only the program is to be run ("%post -p /sbin/ldconfig")
  bool is_lua = false;  ///< "-p <lua>": runs inside RPM only
  /// Packaged with -e and has a '%': the installing side's macros belong in it. Left unexpanded,
  /// for expansion can run programs: do it with the tree's own rpm in the sandbox, or refuse.
  bool needs_macros = false;
};

/// A script that runs because files of any package lie under some directory.
struct FileTrigger {
  std::string kind;       ///< "%filetriggerin", "%transfiletriggerin", "...un", "...postun"
  unsigned priority = 0;  ///< higher runs earlier; RPM's default is 1000000
  std::vector<std::string> prefixes;  ///< "/usr/lib/": path prefixes, plain text
  Script script;
};

/// One parsed package header. Immutable; copies share the data.
class Package {
 public:
  /// Read and check the header of the package file @p rpm. Its own digests are always checked, its
  /// payload is not (payload_digest is for who reads it).
  /// @param keyring  nullptr: signatures are not looked at. Otherwise the header must carry a
  ///   signature of one of these keys over at least SHA-256; a package that only has an old
  ///   signature over header and payload, MD5 or SHA-1 is refused.
  /// @throws Error  Untrusted: unsigned, signed by a key that is not in the keyring (its id is in
  ///   the text), bad signature, digest mismatch. Corrupt: truncated, damaged, not a package, or no
  ///   SHA-256 payload digest. NotFound, Denied: the file. InvalidInput: a source package, or a
  ///   file capability text that libcap does not know. All name the file.
  [[nodiscard]] static Package read(const std::filesystem::path& rpm, const Keyring* keyring);

  [[nodiscard]] const Nevra& nevra() const noexcept;
  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  [[nodiscard]] const std::vector<File>& files() const noexcept;
  /// Every script of the header, also those that an image build does not run.
  [[nodiscard]] const std::vector<Script>& scripts() const noexcept;
  /// The script of that kind, or nullptr.
  [[nodiscard]] const Script* script(std::string_view kind) const noexcept;
  [[nodiscard]] const std::vector<FileTrigger>& file_triggers() const noexcept;
  /// Kinds of package triggers present: "%triggerprein", "%triggerin", "%triggerun",
  /// "%triggerpostun"; sorted, each once.
  [[nodiscard]] const std::vector<std::string>& other_triggers() const noexcept;
  /// Hex SHA-256 of the immutable header: the identity of the package for caches.
  [[nodiscard]] const std::string& header_digest() const noexcept;
  /// Hex SHA-256 of the compressed payload, which is everything from payload_offset on.
  [[nodiscard]] const std::string& payload_digest() const noexcept;
  /// "zstd", "xz", "lzma", "bzip2" or "gzip" (which also stands for none, as in RPM).
  [[nodiscard]] const std::string& payload_compressor() const noexcept;
  [[nodiscard]] off_t payload_offset() const noexcept;
  /// Installed bytes as the header says: each inode once, without ghosts.
  [[nodiscard]] std::uint64_t unpacked_size() const noexcept;
  [[nodiscard]] std::int64_t build_time() const noexcept;  ///< seconds since 1970
  /// 16 hex digits of the key that signed; "" when not checked.
  [[nodiscard]] const std::string& signing_key() const noexcept;

  struct Data;
  [[nodiscard]] const Data& data() const noexcept { return *data_; }  ///< for this module only

 private:
  explicit Package(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  std::shared_ptr<const Data> data_;
};

/// The order in which RPM would install these packages: dependencies first, loops broken as librpm
/// does. Depends on the set only, not on the order given. "filesystem" comes first, then "setup".
/// @return indices into @p packages.
[[nodiscard]] std::vector<std::size_t> install_order(const std::vector<const Package*>& packages);

}  // namespace atomichost::rpm
