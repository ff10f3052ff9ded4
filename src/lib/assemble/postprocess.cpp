// SPDX-License-Identifier: LGPL-2.1-or-later
#include "assemble/postprocess.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"

namespace atomichost::assemble {
namespace fs = std::filesystem;

void set_default_target(Files& files, const std::string& target) {
  for (const char* dir : {"usr/lib/systemd/system/", "etc/systemd/system/"}) {
    if (!files.tree().resolve(dir + target)) continue;
    files.directory("etc/systemd/system");
    files.symlink("etc/systemd/system/default.target", "/" + (dir + target));
    return;
  }
  throw Error(ErrorCode::NotFound, "default-target: no package of this tree has the unit " +
                                       target + " in /usr/lib/systemd/system");
}

void set_machine_id(Files& files, bool compat) {
  if (compat) {
    files.tree().remove("etc/machine-id");
    files.write("etc/machine-id", "");
  } else {
    files.tree().remove("etc/machine-id");
  }
  files.tree().remove("var/lib/dbus/machine-id");
}

namespace {

std::string unquote(std::string_view value) {
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
      value.back() == value.front())
    return std::string(value.substr(1, value.size() - 2));
  return std::string(value);
}

}  // namespace

void mutate_os_release(Files& files, const std::string& base, const std::string& version) {
  const char* path = "usr/lib/os-release";
  auto text = files.read(path);
  if (!text) text = files.read(path = "etc/os-release");
  if (!text)
    throw Error(ErrorCode::NotFound,
                "mutate-os-release: no package of this tree has /usr/lib/os-release");
  std::string out;
  bool found = false;
  auto lines = split(*text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (const auto& line : lines) {
    const auto equal = line.find('=');
    const auto key = line.substr(0, equal);
    if (key == "OSTREE_VERSION") continue;
    if (equal != std::string::npos && (key == "VERSION" || key == "PRETTY_NAME")) {
      const auto value = unquote(std::string_view(line).substr(equal + 1));
      if (value.find(base) != std::string::npos) {
        found = true;
        out += key + "=\"" + replace_all(value, base, version) + "\"\n";
        continue;
      }
    }
    out += line + "\n";
  }
  if (!found)
    throw Error(ErrorCode::NotFound,
                fmt::format("mutate-os-release: '{}' is in neither VERSION nor PRETTY_NAME of /{}",
                            base, path));
  out += "OSTREE_VERSION='" + version + "'\n";
  files.write(path, out);
}

std::vector<std::string> remove_files(Files& files, const std::vector<std::string>& paths) {
  std::vector<std::string> missing;
  for (const auto& path : paths) {
    const auto canonical = files.tree().canonical_parent(path);
    if (canonical.empty() || !files.tree().remove(canonical)) missing.push_back(path);
  }
  return missing;
}

void add_file(Files& files, const fs::path& source, const std::string& destination) {
  const auto doing = fmt::format("add-files: {} to {}", source.string(), destination);
  if (destination.find("..") != std::string::npos)
    throw Error(ErrorCode::InvalidInput, doing + ": the destination must not contain '..'");
  struct stat st;
  if (lstat(source.c_str(), &st)) throw_errno(doing);
  if (S_ISLNK(st.st_mode)) {
    files.symlink(destination, fs::read_symlink(source));
  } else if (S_ISDIR(st.st_mode)) {
    files.directory(destination).chmod(st.st_mode & 07777);
    std::vector<fs::path> children;
    for (const auto& entry : fs::directory_iterator(source)) children.push_back(entry.path());
    std::sort(children.begin(), children.end());
    for (const auto& child : children)
      add_file(files, child, destination + "/" + child.filename().string());
  } else if (S_ISREG(st.st_mode)) {
    files.tree().remove(files.tree().canonical_parent(destination));
    files.write_fd(destination, open_at(AT_FDCWD, source, O_RDONLY).get(), st.st_mode & 07777);
  } else {
    throw Error(ErrorCode::InvalidInput, doing + ": not a file, link or directory");
  }
}

void place_rpmdb(Files& files, const fs::path& database_dir) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(database_dir)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  auto& tree = files.tree();
  for (const char* old : {"usr/share/rpm", "usr/lib/sysimage/rpm",
                          "usr/lib/sysimage/rpm-ostree-base-db", "var/lib/rpm"})
    tree.remove(old);
  // The second place is where other tools of such hosts look for the packages of the base; same
  // objects.
  for (const std::string place : {"usr/share/rpm", "usr/lib/sysimage/rpm-ostree-base-db"}) {
    files.directory(place);
    for (const auto& entry : entries)
      files.write_fd(place + "/" + entry.filename().string(),
                     open_at(AT_FDCWD, entry, O_RDONLY).get());
  }
  files.symlink("usr/lib/sysimage/rpm", "../../share/rpm");
  files.directory("usr/lib/rpm/macros.d");
  files.write("usr/lib/rpm/macros.d/macros.rpm-ostree", "%_dbpath /usr/share/rpm\n");
  files.write("usr/lib/tmpfiles.d/rpm-ostree-0-rpmdb.conf",
              "L /var/lib/rpm - - - - ../../usr/share/rpm\n");
}

void set_useradd_home(Files& files) {
  const auto text = files.read("etc/default/useradd");
  if (!text) return;
  std::string out;
  bool found = false;
  for (const auto& line : split(*text, '\n')) {
    if (line.starts_with("HOME=")) {
      out += "HOME=/var/home\n";
      found = true;
    } else {
      out += line + "\n";
    }
  }
  out.pop_back();
  if (!found) out += "HOME=/var/home\n";
  files.write("etc/default/useradd", out);
}

void move_selinux_store(Files& files) {
  auto& tree = files.tree();
  const auto* store = tree.find("var/lib/selinux");
  if (!store || !store->is_dir()) return;
  std::vector<std::string> policies;
  for (const auto& [name, node] : store->children)
    if (node->is_dir() && tree.find("etc/selinux/" + name)) policies.push_back(name);
  for (const auto& policy : policies) {
    const auto from = "var/lib/selinux/" + policy, to = "etc/selinux/" + policy;
    std::vector<std::string> names;
    for (const auto& [name, node] : tree.find(from)->children) names.push_back(name);
    for (const auto& name : names) {
      tree.remove(to + "/" + name);
      tree.move(from + "/" + name, to + "/" + name);
    }
    tree.remove(from);
  }
  auto conf = files.read("etc/selinux/semanage.conf").value_or("");
  std::string out;
  for (const auto& line : split(conf, '\n'))
    if (!line.starts_with("store-root")) out += line + "\n";
  while (out.ends_with("\n\n")) out.pop_back();
  files.write("etc/selinux/semanage.conf", out + "store-root=/etc/selinux\n");
}

std::string with_selinux_substitutions(std::string text) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  std::string added;
  for (const auto& [from, to] :
       std::initializer_list<std::pair<const char*, const char*>>{{"/usr/etc", "/etc"},
                                                                  {"/var/home", "/home"},
                                                                  {"/var/roothome", "/root"},
                                                                  {"/var/srv", "/srv"},
                                                                  {"/var/mnt", "/mnt"},
                                                                  {"/var/opt", "/opt"},
                                                                  {"/usr/lib/opt", "/opt"},
                                                                  {"/var/usrlocal", "/usr/local"}})
    if (("\n" + text).find(fmt::format("\n{} ", from)) == std::string::npos &&
        ("\n" + text).find(fmt::format("\n{}\t", from)) == std::string::npos)
      added += fmt::format("{} {}\n", from, to);
  return text + added;
}

void add_selinux_substitutions(Files& files) {
  auto* selinux = files.tree().find("etc/selinux");
  if (!selinux || !selinux->is_dir()) return;
  for (const auto& [policy, node] : selinux->children) {
    const auto path = "etc/selinux/" + policy + "/contexts/files/file_contexts";
    if (!files.tree().find(path)) continue;
    const auto text = files.read(path + ".subs_dist").value_or("");
    if (const auto wanted = with_selinux_substitutions(text); wanted != text)
      files.write(path + ".subs_dist", wanted);
  }
}

namespace {

// Move all below @p from into @p to, merging directories. Files that are in the way are reported.
void merge_into(tree::Tree& tree, const std::string& from, const std::string& to,
                std::vector<std::string>& lost) {
  auto* source = tree.find(from);
  if (!source || !source->is_dir()) return;
  std::vector<std::string> names;
  for (const auto& [name, node] : source->children) names.push_back(name);
  tree.make_dir(to);
  for (const auto& name : names) {
    const auto a = from + "/" + name, b = to + "/" + name;
    auto* there = tree.find(b);
    if (!there) {
      tree.move(a, b);
    } else if (there->is_dir() && tree.find(a)->is_dir()) {
      merge_into(tree, a, b, lost);
    } else {
      lost.push_back("/" + a + ": /" + b + " exists already");
    }
  }
}

// Package files below @p top, which becomes a link: none of them can be seen on a host.
void report_below(tree::Tree& tree, const std::string& top, const char* why,
                  std::vector<std::string>& lost) {
  const auto* node = tree.find(top);
  if (!node || !node->is_dir()) return;
  const auto visit = [&](const auto& self, const tree::Node& dir, const std::string& path) -> void {
    for (const auto& [name, child] : dir.children) {
      if (child->is_dir()) {
        self(self, *child, path + "/" + name);
      } else if (child->package >= 0) {
        lost.push_back(fmt::format("/{}/{}: {}", path, name, why));
      }
    }
  };
  visit(visit, *node, top);
}

}  // namespace

std::vector<std::string> finish_layout(Files& files, const LayoutOptions& options) {
  auto& tree = files.tree();
  std::vector<std::string> lost;
  std::string tmpfiles =
      "# The writable places of a host whose /usr is read-only.\n"
      "d /var/log 0755 root root -\n"
      "d /var/lib 0755 root root -\n"
      "d /var/tmp 1777 root root -\n"
      "d /var/home 0755 root root -\n"
      "d /var/opt 0755 root root -\n"
      "d /var/srv 0755 root root -\n"
      "d /var/roothome 0700 root root -\n"
      "d /var/mnt 0755 root root -\n"
      "d /run/media 0755 root root -\n";

  // What packages have in /opt is code, not state: it belongs to the image, and the host's /opt
  // shows it.
  if (const auto* opt = tree.find("opt"); opt && opt->is_dir()) {
    for (const auto& [name, node] : opt->children)
      tmpfiles += fmt::format("L /var/opt/{} - - - - ../../usr/lib/opt/{}\n", name, name);
    merge_into(tree, "opt", "usr/lib/opt", lost);
    files.label(*tree.find("usr/lib/opt"), "usr/lib/opt");
  }
  const auto usrlocal_note =
      "/usr/local is the administrator's and lives in /var; put the file elsewhere";
  report_below(tree, "usr/local", usrlocal_note, lost);
  for (const char* dir : {"bin", "etc", "games", "include", "lib", "man", "sbin", "share", "src"})
    tmpfiles += fmt::format("d /var/usrlocal/{} 0755 root root -\n", dir);
  for (const char* top : {"home", "root", "srv", "mnt", "media", "tmp"})
    report_below(tree, top, "this directory is the host's own", lost);

  if (tree.find("usr/etc"))
    throw Error(ErrorCode::InvalidInput,
                "The tree has both /etc and /usr/etc: packages and scripts must write to /etc, "
                "which becomes /usr/etc");
  if (tree.find("etc")) {
    files.label(*tree.find("etc"), "etc");
    tree.move("etc", "usr/etc");
  }
  // What is left of /boot once the kernel is in its place; a host's /boot is written by its boot
  // loader code.
  if (const auto* boot = tree.find("boot"); boot && !boot->children.empty())
    merge_into(tree, "boot", "usr/lib/ostree-boot", lost);

  static constexpr std::string_view kKept[] = {"usr", "bin", "sbin", "boot", "var",
                                               "run", "dev", "proc", "sys"};
  static constexpr std::string_view kReplaced[] = {"home", "root", "srv",    "mnt",    "media",
                                                   "opt",  "tmp",  "ostree", "sysroot"};
  std::vector<std::string> tops;
  for (const auto& [name, node] : tree.root().children) tops.push_back(name);
  for (const auto& name : tops) {
    if (std::find(std::begin(kKept), std::end(kKept), name) != std::end(kKept)) continue;
    if (name.starts_with("lib") && tree.find(name)->meta->is_symlink()) continue;
    if (std::find(std::begin(kReplaced), std::end(kReplaced), name) == std::end(kReplaced)) {
      report_below(tree, name, "a commit has no such top-level directory", lost);
      if (!tree.find(name)->is_dir() && tree.find(name)->package >= 0)
        lost.push_back("/" + name + ": a commit has no such top-level file");
    }
    tree.remove(name);
  }
  for (const char* dir : {"boot", "dev", "proc", "run", "sys", "var", "sysroot"}) {
    tree.remove(dir);
    files.directory(dir);
  }
  for (const auto& [name, target] :
       std::initializer_list<std::pair<const char*, const char*>>{{"home", "var/home"},
                                                                  {"root", "var/roothome"},
                                                                  {"srv", "var/srv"},
                                                                  {"mnt", "var/mnt"},
                                                                  {"media", "run/media"},
                                                                  {"opt", "var/opt"},
                                                                  {"ostree", "sysroot/ostree"}})
    files.symlink(name, target);
  tree.remove("usr/local");
  files.symlink("usr/local", "../var/usrlocal");
  if (options.tmp_is_dir) {
    files.directory("tmp").chmod(01777);
  } else {
    files.symlink("tmp", "sysroot/tmp");
  }
  files.write("usr/lib/tmpfiles.d/rpm-ostree-0-integration.conf", tmpfiles);
  return lost;
}

}  // namespace atomichost::assemble
