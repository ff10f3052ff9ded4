// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/gptr.hpp"

namespace atomichost::sysroot {

/// A GVariant that several values may hold; never changed.
using SharedVariant = std::shared_ptr<GVariant>;
[[nodiscard]] inline SharedVariant share_variant(GPtr<GVariant> v) {
  return {v.release(), [](GVariant* p) {
            if (p) g_variant_unref(p);
          }};
}

/// What a deployment follows, from its origin file.
struct Origin {
  std::string refspec;          ///< "remote:branch", "branch" or a checksum; "" when there is none
  std::string override_commit;  ///< stays on this commit of the branch; "" follows the newest
  std::string container_reference;  ///< an image another tool deployed; shown, never followed
  std::string custom_url, custom_description;

  /// The part before the last ':', "" for a local branch or a checksum.
  [[nodiscard]] std::string remote() const;
  /// The part after it.
  [[nodiscard]] std::string branch() const;
  [[nodiscard]] bool is_checksum() const;
  bool operator==(const Origin&) const = default;
};

/// What a commit says of itself, and who signed it.
struct CommitInfo {
  std::string checksum;
  std::string version;  ///< "" when it has none
  std::uint64_t timestamp_s = 0;
  std::string end_of_life;                ///< what the vendor says of the end of this branch, or ""
  bool is_gpg_enabled = false;            ///< the remote asks for GPG signatures
  std::vector<SharedVariant> signatures;  ///< each (bbbbbsxxsssssxx) as libostree gives it
  SharedVariant metadata;  ///< a{sv} without the package list; nullptr: commit not readable
  std::string error;       ///< why it could not be read, or ""
};

/// One entry of the boot order.
struct Deployment {
  int index = 0;
  std::string stateroot;
  std::string checksum;
  int serial = 0;
  std::string boot_checksum;  ///< over kernel and initramfs
  std::string kernel_arguments;
  Origin origin;
  bool is_booted = false;
  bool is_staged = false;  ///< becomes real at the next shutdown
  bool is_finalization_locked = false;
  bool is_pinned = false;
  std::string unlocked = "none";  ///< none, development, hotfix, transient
  std::string path;               ///< relative to the sysroot
  CommitInfo commit;

  /// "stateroot-checksum.serial".
  [[nodiscard]] std::string id() const;
};

}  // namespace atomichost::sysroot
