// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "assemble/files.hpp"

/// The steps that finish a tree after the packages' scripts, each a function of its own, in the
/// order in which the compose calls them. All work in the natural layout (/etc is /etc) but
/// finish_layout(), which is last.
namespace atomichost::assemble {

/// Point default.target at @p target ("multi-user.target"). @throws Error NotFound: no such unit in
/// the tree.
void set_default_target(Files& files, const std::string& target);

/// An empty /etc/machine-id (the host makes its own at first boot) or, with @p compat false, none
/// at all.
void set_machine_id(Files& files, bool compat);

/// Put @p version into VERSION and PRETTY_NAME of os-release where they contain @p base ("30" ->
/// "30.20261127"), and add OSTREE_VERSION. @throws Error NotFound: no os-release, or @p base is
/// nowhere in it.
void mutate_os_release(Files& files, const std::string& base, const std::string& version);

/// Remove each of @p paths with all below. @return those that were not there.
std::vector<std::string> remove_files(Files& files, const std::vector<std::string>& paths);

/// Copy @p source, a file, link or directory of the build host, to @p destination in the tree;
/// owner root:root, modes kept. @throws Error
void add_file(Files& files, const std::filesystem::path& source, const std::string& destination);

/// Names of the rpm database's places: the database itself, the macro that tells rpm, links from
/// the old places.
void place_rpmdb(Files& files, const std::filesystem::path& database_dir);

/// useradd puts new homes where they are on such a host.
void set_useradd_home(Files& files);

/// Move the SELinux module store from /var/lib/selinux into /etc/selinux and tell semanage, so that
/// it is part of the commit and merged like other configuration. Nothing to do without a store.
void move_selinux_store(Files& files);

/// /usr/etc in file_contexts.subs_dist and the like: the rules that label a deployment's trees by
/// their paths on the host.
void add_selinux_substitutions(Files& files);
/// The text of a file_contexts.subs_dist with the lines that such hosts need.
[[nodiscard]] std::string with_selinux_substitutions(std::string text);

struct LayoutOptions {
  bool tmp_is_dir = false;
};
/// The last step: /etc becomes /usr/etc, /opt /usr/lib/opt, the writable tops become links into
/// /var, the OSTree directories and links appear, all else at the top is refused.
/// @return one line for each package file that could not be kept.
std::vector<std::string> finish_layout(Files& files, const LayoutOptions& options);

}  // namespace atomichost::assemble
