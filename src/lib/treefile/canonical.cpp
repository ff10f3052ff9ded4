// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>

#include <algorithm>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "treefile/treefile.hpp"

namespace atomichost::treefile {

namespace {

using Members = std::map<std::string, std::string>;  // key -> JSON text

std::string json(const std::string& text) {
  Value v;
  v.kind = Value::Kind::String;
  v.text = text;
  return v.to_json();
}
std::string json(bool value) {
  return value ? "true" : "false";
}

std::string json(const RepoPackages& group);
std::string json(const RemoveFromPackages& remove);
std::string json(const AddFile& add);

template <typename T>
std::string json(const std::vector<T>& list) {
  std::vector<std::string> parts;
  for (const T& item : list) parts.push_back(json(item));
  return "[" + join(parts, ",") + "]";
}

std::string object(const Members& members) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : members) parts.push_back(json(key) + ":" + value);
  return "{" + join(parts, ",") + "}";
}

// A request with blanks must be quoted to be read as one again.
std::vector<std::string> requests(std::vector<std::string> packages) {
  for (std::string& package : packages)
    if (package.find_first_of(" \t\r\n") != std::string::npos) package = "'" + package + "'";
  return packages;
}

std::string json(const RepoPackages& group) {
  return object({{"repo", json(group.repo)}, {"packages", json(requests(group.packages))}});
}
std::string json(const RemoveFromPackages& remove) {
  std::vector<std::string> parts = remove.patterns;
  parts.insert(parts.begin(), remove.package);
  return json(parts);
}
std::string json(const AddFile& add) {
  return json(std::vector<std::string>{add.source.name, add.destination});
}

std::string json(const AccountCheck& check, bool is_users) {
  using Type = AccountCheck::Type;
  switch (check.type) {
    case Type::None:
      return object({{"type", json(std::string("none"))}});
    case Type::Previous:
      return object({{"type", json(std::string("previous"))}});
    case Type::File:
      return object(
          {{"type", json(std::string("file"))}, {"filename", json(check.file.value().name)}});
    case Type::Data:
      break;
  }
  Members entries;
  for (const auto& [name, ids] : check.entries)
    entries[name] = is_users ? "[" + std::to_string(ids.id) + "," + std::to_string(ids.gid) + "]"
                             : std::to_string(ids.id);
  return object({{"type", json(std::string("data"))}, {"entries", object(entries)}});
}

class Writer {
 public:
  template <typename T>
  void put(const std::string& key, const T& value, const T& preset) {
    if (!(value == preset)) members_[key] = json(value);
  }
  template <typename T>
  void put(const std::string& key, const std::optional<T>& value) {
    if (value) members_[key] = json(*value);
  }
  template <typename T>
  void put(const std::string& key, const std::vector<T>& list) {
    if (!list.empty()) members_[key] = json(list);
  }
  void put_raw(const std::string& key, std::string value) { members_[key] = std::move(value); }
  void put_map(const std::string& key, const Members& map) {
    if (!map.empty()) members_[key] = object(map);
  }
  [[nodiscard]] std::string text() const {
    return json_to_string(json_from_string(object(members_), "treefile").get(), /*pretty=*/true);
  }

 private:
  Members members_;
};

}  // namespace

std::string canonical_json(const Treefile& t) {
  const Treefile preset;
  Writer w;
  w.put_raw("basearch", json(t.basearch));
  w.put("ref", t.ref);
  w.put("releasever", t.releasever);
  w.put("edition", t.edition, preset.edition);
  w.put("packages", requests(t.packages));
  w.put("exclude-packages", requests(t.exclude_packages));
  w.put("repo-packages", t.repo_packages);
  w.put("recommends", t.recommends, preset.recommends);
  w.put("documentation", t.documentation, preset.documentation);
  w.put("install-langs", t.install_langs);
  w.put("repos", t.repos);
  w.put("lockfile-repos", t.lockfile_repos);
  Members repovars;
  for (const auto& [name, value] : t.repovars) repovars[name] = json(value);
  w.put_map("repovars", repovars);
  w.put("etc-group-members", t.etc_group_members);
  w.put("preserve-passwd", t.preserve_passwd, preset.preserve_passwd);
  if (!(t.check_passwd == preset.check_passwd))
    w.put_raw("check-passwd", json(t.check_passwd, /*is_users=*/true));
  if (!(t.check_groups == preset.check_groups))
    w.put_raw("check-groups", json(t.check_groups, /*is_users=*/false));
  w.put("ignore-removed-users", t.ignore_removed_users);
  w.put("ignore-removed-groups", t.ignore_removed_groups);
  // The presets of these two depend on the edition, so they are always said.
  w.put_raw("boot-location",
            json(std::string(t.boot_location == BootLocation::Modules ? "modules" : "new")));
  w.put_raw("tmp-is-dir", json(t.tmp_is_dir));
  w.put("readonly-executables", t.readonly_executables, preset.readonly_executables);
  w.put("machineid-compat", t.machineid_compat, preset.machineid_compat);
  w.put("units", t.units);
  w.put("default-target", t.default_target);
  w.put("initramfs-args", t.initramfs_args);
  w.put("no-initramfs", t.no_initramfs, preset.no_initramfs);
  w.put("selinux", t.selinux, preset.selinux);
  w.put("gpg-key", t.gpg_key);
  if (t.rpmdb != preset.rpmdb)
    w.put_raw("rpmdb", json(std::string(t.rpmdb == RpmdbBackend::Host ? "host" : "sqlite")));
  w.put("remove-from-packages", t.remove_from_packages);
  w.put("mutate-os-release", t.mutate_os_release);
  w.put("remove-files", t.remove_files);
  w.put("add-files", t.add_files);
  w.put("postprocess", t.postprocess);
  if (t.postprocess_script) w.put_raw("postprocess-script", json(t.postprocess_script->name));
  w.put("automatic-version-prefix", t.automatic_version_prefix);
  if (t.automatic_version_suffix != preset.automatic_version_suffix)
    w.put_raw("automatic-version-suffix", json(std::string(1, t.automatic_version_suffix)));
  w.put_map("add-commit-metadata", t.add_commit_metadata);
  w.put_map("metadata", t.metadata);
  w.put("container-cmd", t.container_cmd);
  w.put_map("variables", t.variables);
  return w.text();
}

std::vector<std::pair<std::string, Digest>> referenced_digests(const Treefile& treefile) {
  std::vector<std::pair<std::string, Digest>> digests;
  auto add = [&digests](const std::string& key, const FileRef& ref) {
    with_context(ref.where.str() + ": " + key, [&] {
      UniqueFd fd = open_at(AT_FDCWD, ref.path.string(), O_RDONLY | O_CLOEXEC);
      digests.emplace_back(key + ":" + ref.name, sha256_fd(fd.get(), ref.path.string()));
    });
  };
  if (treefile.check_passwd.file) add("check-passwd", *treefile.check_passwd.file);
  if (treefile.check_groups.file) add("check-groups", *treefile.check_groups.file);
  for (const AddFile& file : treefile.add_files) add("add-files", file.source);
  if (treefile.postprocess_script) add("postprocess-script", *treefile.postprocess_script);
  return digests;
}

}  // namespace atomichost::treefile
