// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

/// Names that cross borders: what another program or an older version reads on disk.
namespace atomichost::format {

// Keys of a commit's metadata.
inline constexpr char kCommitVersion[] = "version";                      ///< s
inline constexpr char kCommitPackageList[] = "rpmostree.rpmdb.pkglist";  ///< a(sssss)
inline constexpr char kCommitEndOfLife[] = "ostree.endoflife";           ///< s

// Keys of a deployment's origin file.
inline constexpr char kOriginGroup[] = "origin";
inline constexpr char kOriginRefspec[] = "refspec";  ///< "remote:branch" or a checksum
inline constexpr char kOriginBaseRefspec[] =
    "baserefspec";  ///< the same where packages are layered
inline constexpr char kOriginOverride[] = "override-commit";  ///< stay on this commit of the branch
inline constexpr char kOriginContainer[] = "container-image-reference";
inline constexpr char kOriginTransient[] = "libostree-transient";  ///< group: not inherited
inline constexpr char kOriginPinned[] = "pinned";                  ///< in that group
inline constexpr char kOriginCustomUrl[] = "custom-url";
inline constexpr char kOriginCustomDescription[] = "custom-description";

// Places, relative to the root of a deployment or of the running system.
inline constexpr char kRpmDatabase[] = "usr/share/rpm";
inline constexpr char kModules[] = "usr/lib/modules";
inline constexpr char kStagedDeployment[] = "run/ostree/staged-deployment";
inline constexpr char kStagedLocked[] = "run/ostree/staged-deployment-locked";

}  // namespace atomichost::format
