// SPDX-License-Identifier: LGPL-2.1-or-later
// Merged values into a Treefile. Shapes are already checked (keys.cpp); here is what values mean.
#include <glib.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "treefile/merged.hpp"
#include "treefile/version.hpp"

namespace atomichost::treefile {

namespace {

using Kind = Value::Kind;

bool truth(const Value& v) {
  return v.text[0] == 't' || v.text[0] == 'T';
}

class Converter {
 public:
  Converter(Merged merged, const LoadOptions& options)
      : merged_(std::move(merged)), variables_(variables_of(merged_, options.basearch, problems_)) {
    tree_.basearch = options.basearch;
  }

  Treefile run() {
    versions();
    packages();
    accounts();
    layout();
    changes();
    commit();
    problems_.throw_if_any();
    tree_.sources = std::move(merged_.sources);
    tree_.warnings = std::move(merged_.warnings);
    return std::move(tree_);
  }

 private:
  [[nodiscard]] const Value* find(const std::string& key) const {
    auto it = merged_.keys.find(key);
    return it == merged_.keys.end() ? nullptr : &it->second;
  }

  // --- single values
  void set(bool& target, const std::string& key) {
    if (const Value* v = find(key)) target = truth(*v);
  }
  void set(std::optional<std::string>& target, const std::string& key) {
    const Value* v = find(key);
    if (v == nullptr) return;
    if (v->text.empty()) problems_.add(v->where, key + " is empty; remove it or give a value");
    target = v->text;
  }
  void set_substituted(std::optional<std::string>& target, const std::string& key) {
    set(target, key);
    if (const Value* v = find(key)) target = substituted(*v, key);
  }
  std::string substituted(const Value& v, const std::string& what) {
    try {
      return substitute(v.text, variables_);
    } catch (const Error& e) {
      problems_.add(v.where, what + ": " + e.what());
      return v.text;
    }
  }

  // --- lists
  std::vector<std::string> texts(const std::string& key) {
    std::vector<std::string> list;
    const Value* v = find(key);
    if (v == nullptr) return list;
    for (const Value& item : v->items) list.push_back(not_empty(item, key));
    return list;
  }
  void set(std::optional<std::vector<std::string>>& target, const std::string& key) {
    if (find(key) != nullptr) target = texts(key);
  }
  std::string not_empty(const Value& item, const std::string& key) {
    if (trim(item.text).empty()) problems_.add(item.where, "an entry of " + key + " is empty");
    return item.text;
  }
  static void make_set(std::vector<std::string>& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }

  // One entry may name several packages, separated by blanks; what stands in single quotes is one.
  void split_packages(const Value& entry, const std::string& key, std::vector<std::string>& into) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::string& text = entry.text;
    std::size_t at = text.find_first_not_of(kBlank);
    if (at == std::string::npos) problems_.add(entry.where, "an entry of " + key + " is empty");
    while (at != std::string::npos) {
      std::size_t end = 0;
      if (text[at] == '\'') {
        end = text.find('\'', at + 1);
        const bool is_closed = end != std::string::npos;
        const std::string inside(is_closed ? trim(text.substr(at + 1, end - at - 1)) : "");
        if (!is_closed || inside.empty() ||
            (end + 1 < text.size() && kBlank.find(text[end + 1]) == std::string_view::npos)) {
          problems_.add(entry.where, "single quotes in " + key + " must enclose a whole request: " +
                                         "\"'podman >= 4.1' skopeo\"");
          return;
        }
        into.push_back(inside);
        ++end;
      } else {
        end = std::min(text.find_first_of(kBlank, at), text.size());
        into.push_back(text.substr(at, end - at));
        if (is_comparison(into.back())) {
          problems_.add(entry.where, "\"" + text + "\" in " + key +
                                         " is read as several packages; "
                                         "to ask for a version, enclose it in single quotes: \"'" +
                                         text + "'\"");
          return;
        }
      }
      at = text.find_first_not_of(kBlank, end);
    }
  }
  static bool is_comparison(const std::string& word) {
    return word == "<" || word == "<=" || word == "=" || word == "==" || word == ">=" ||
           word == ">";
  }
  void add_packages(const std::string& key, std::vector<std::string>& into) {
    if (const Value* v = find(key))
      for (const Value& entry : v->items) split_packages(entry, key, into);
  }

  // --- files
  FileRef file(const Value& name, const std::string& key) {
    FileRef ref{name.text, beside(name.where, name.text), name.where};
    struct stat st {};
    const int error_number = stat(ref.path.c_str(), &st) == 0 ? 0 : errno;
    if (name.text.empty())
      problems_.add(name.where, key + ": the name of a file is empty");
    else if (error_number != 0)
      problems_.add(name.where, key + ": cannot find " + ref.path.string() + ": " +
                                    g_strerror(error_number) +
                                    "; files are looked for beside the treefile that names them");
    else if (!S_ISREG(st.st_mode))
      problems_.add(name.where, key + ": " + ref.path.string() + " is not a regular file");
    return ref;
  }
  // "" and a problem unless @p path stays inside the tree; "usr//x/" becomes "usr/x".
  std::string inside_tree(const Value& path, const std::string& key) {
    std::vector<std::string> parts;
    for (const std::string& part : split(path.text, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == "..") {
        problems_.add(path.where, key + ": \"..\" in the path " + path.text +
                                      "; write the path from the root of the tree");
        return "";
      }
      parts.push_back(part);
    }
    if (parts.empty())
      problems_.add(path.where, key + ": \"" + path.text + "\" is not a path in the tree");
    return join(parts, "/");
  }

  void versions() {
    if (const Value* v = find("edition")) tree_.edition = v->text;
    if (const Value* v = find("releasever")) tree_.releasever = v->text;
    set_substituted(tree_.automatic_version_prefix, "automatic-version-prefix");
    if (const Value* v = find("automatic-version-suffix")) {
      const auto c = v->text.size() == 1 ? static_cast<unsigned char>(v->text[0]) : '\0';
      if (c <= ' ' || c >= 0x7f || (c >= '0' && c <= '9'))
        problems_.add(v->where,
                      "automatic-version-suffix must be one ASCII character that is no "
                      "digit and no blank, such as \".\"");
      else
        tree_.automatic_version_suffix = static_cast<char>(c);
    }
    if (tree_.automatic_version_prefix) {
      try {
        (void)next_version(*tree_.automatic_version_prefix, '.', "", 0);
      } catch (const Error& e) {
        problems_.add(find("automatic-version-prefix")->where,
                      std::string("automatic-version-prefix: ") + e.what());
      }
    }
    set_substituted(tree_.mutate_os_release, "mutate-os-release");
    for (const auto& [name, value] : variables_)
      if (name != "basearch" && name != "releasever") tree_.variables[name] = value.to_json();
  }

  void packages() {
    for (const char* key : {"packages", "bootstrap-packages", "packages-ARCH"})
      add_packages(key, tree_.packages);
    make_set(tree_.packages);
    add_packages("exclude-packages", tree_.exclude_packages);
    make_set(tree_.exclude_packages);
    if (const Value* v = find("repo-packages"))
      for (const Value& entry : v->items) {
        RepoPackages group;
        group.repo = not_empty(*entry.find("repo"), "repo-packages");
        for (const Value& item : entry.find("packages")->items)
          split_packages(item, "repo-packages", group.packages);
        make_set(group.packages);
        tree_.repo_packages.push_back(std::move(group));
      }
    set(tree_.recommends, "recommends");
    set(tree_.documentation, "documentation");
    set(tree_.install_langs, "install-langs");
    set(tree_.repos, "repos");
    tree_.lockfile_repos = texts("lockfile-repos");
    if (const Value* v = find("repovars"))
      for (std::size_t i = 0; i < v->keys.size(); ++i)
        tree_.repovars[v->keys[i]] = v->items[i].text;
  }

  static std::uint32_t id(const Value& v) {
    std::uint32_t n = 0;
    std::from_chars(v.text.data(), v.text.data() + v.text.size(), n);
    return n;
  }
  void check(AccountCheck& target, const std::string& key) {
    const Value* v = find(key);
    if (v == nullptr) return;
    const std::string& type = v->find("type")->text;
    target.type = type == "none"       ? AccountCheck::Type::None
                  : type == "previous" ? AccountCheck::Type::Previous
                  : type == "file"     ? AccountCheck::Type::File
                                       : AccountCheck::Type::Data;
    if (target.type == AccountCheck::Type::File) target.file = file(*v->find("filename"), key);
    if (target.type != AccountCheck::Type::Data) return;
    const Value& entries = *v->find("entries");
    for (std::size_t i = 0; i < entries.keys.size(); ++i) {
      const Value& ids = entries.items[i];
      const Value& first = ids.kind == Kind::Sequence ? ids.items.front() : ids;
      const Value& last = ids.kind == Kind::Sequence ? ids.items.back() : ids;
      target.entries[entries.keys[i]] = {id(first), id(last)};
    }
  }
  void accounts() {
    tree_.etc_group_members = texts("etc-group-members");
    set(tree_.preserve_passwd, "preserve-passwd");
    check(tree_.check_passwd, "check-passwd");
    check(tree_.check_groups, "check-groups");
    tree_.ignore_removed_users = texts("ignore-removed-users");
    make_set(tree_.ignore_removed_users);
    tree_.ignore_removed_groups = texts("ignore-removed-groups");
    make_set(tree_.ignore_removed_groups);
  }

  void unit_name(const Value& v, const std::string& key) {
    if (v.text.empty() || v.text.find_first_of("/ \t\n") != std::string::npos)
      problems_.add(v.where, key + ": \"" + v.text +
                                 "\" is not the name of a unit, such as \"sshd.service\"");
  }
  void layout() {
    if (tree_.edition == "2024") {
      tree_.boot_location = BootLocation::Modules;
      tree_.tmp_is_dir = true;
    }
    if (const Value* v = find("boot-location"))
      tree_.boot_location = v->text == "modules" ? BootLocation::Modules : BootLocation::New;
    set(tree_.tmp_is_dir, "tmp-is-dir");
    set(tree_.readonly_executables, "readonly-executables");
    set(tree_.machineid_compat, "machineid-compat");
    if (const Value* v = find("units")) {
      for (const Value& unit : v->items) unit_name(unit, "units");
      tree_.units = texts("units");
      if (!tree_.machineid_compat && !tree_.units.empty())
        problems_.add(v->where,
                      "units cannot be enabled when machineid-compat is false: the first "
                      "boot applies the presets; ship a preset file instead");
    }
    set(tree_.default_target, "default-target");
    if (const Value* v = find("default-target")) unit_name(*v, "default-target");
    tree_.initramfs_args = texts("initramfs-args");
    set(tree_.no_initramfs, "no-initramfs");
    if (tree_.no_initramfs && !tree_.initramfs_args.empty())
      problems_.add(find("initramfs-args")->where,
                    "initramfs-args and no-initramfs are both given; remove one of them");
    set(tree_.selinux, "selinux");
    set(tree_.gpg_key, "gpg-key");
    if (const Value* v = find("rpmdb"))
      tree_.rpmdb = v->text == "host"     ? RpmdbBackend::Host
                    : v->text == "sqlite" ? RpmdbBackend::Sqlite
                                          : RpmdbBackend::Target;
  }

  void add_file(const Value& entry) {
    AddFile add;
    add.source = file(entry.items[0], "add-files");
    const Value& to = entry.items[1];
    const std::string path = inside_tree(to, "add-files");
    if (path.empty()) return;
    // What else is not part of the tree: it is made at the first boot, or belongs to the machine.
    const bool is_shipped = [&] {
      for (const char* top : {"usr/", "etc/", "bin/", "sbin/", "lib/", "lib64/"})
        if (path.starts_with(top)) return !path.starts_with("usr/local/");
      return false;
    }();
    if (!is_shipped)
      problems_.add(to.where, "add-files: " + to.text +
                                  " is outside of what a tree ships; only paths below /usr (but "
                                  "not /usr/local), /etc, /bin, /sbin, /lib and /lib64 are");
    add.destination = "/" + path;
    tree_.add_files.push_back(std::move(add));
  }
  void pattern(const Value& v) {
    GError* error = nullptr;
    GRegex* regex = g_regex_new(v.text.c_str(), GRegexCompileFlags(0), GRegexMatchFlags(0), &error);
    if (regex == nullptr)
      problems_.add(v.where, "remove-from-packages: " + std::string(error->message));
    g_clear_error(&error);
    if (regex != nullptr) g_regex_unref(regex);
  }
  void changes() {
    if (const Value* v = find("remove-from-packages"))
      for (const Value& entry : v->items) {
        RemoveFromPackages remove;
        remove.package = not_empty(entry.items[0], "remove-from-packages");
        for (std::size_t i = 1; i < entry.items.size(); ++i) {
          pattern(entry.items[i]);
          remove.patterns.push_back(not_empty(entry.items[i], "remove-from-packages"));
        }
        tree_.remove_from_packages.push_back(std::move(remove));
      }
    if (const Value* v = find("remove-files"))
      for (const Value& item : v->items)
        tree_.remove_files.push_back(inside_tree(item, "remove-files"));
    if (const Value* v = find("add-files"))
      for (const Value& entry : v->items) add_file(entry);
    tree_.postprocess = texts("postprocess");
    if (const Value* v = find("postprocess-script"))
      tree_.postprocess_script = file(*v, "postprocess-script");
  }

  void opaque(std::map<std::string, std::string>& target, const std::string& key) {
    const Value* v = find(key);
    if (v == nullptr) return;
    for (std::size_t i = 0; i < v->keys.size(); ++i) {
      Value item = v->items[i];
      if (item.kind == Kind::String) item.text = substituted(item, key);
      try {
        target[v->keys[i]] = item.to_json();
      } catch (const Error& e) {  // a number that JSON does not know
        problems_.add(e);
      }
    }
  }
  void commit() {
    set_substituted(tree_.ref, "ref");
    if (tree_.ref && !tree_.ref->empty() && tree_.ref->find("${") == std::string::npos) {
      for (const std::string& part : split(*tree_.ref, '/')) {
        constexpr std::string_view kAllowed =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        if (!part.empty() && part[0] != '.' && part[0] != '-' &&
            part.find_first_not_of(kAllowed) == std::string::npos)
          continue;
        problems_.add(find("ref")->where,
                      "ref \"" + *tree_.ref +
                          "\" is not a branch name: parts of letters, digits, . _ and -, "
                          "separated by /, such as \"os/" +
                          tree_.basearch + "/stable\"");
        break;
      }
    }
    opaque(tree_.add_commit_metadata, "add-commit-metadata");
    opaque(tree_.metadata, "metadata");
    set(tree_.container_cmd, "container-cmd");
  }

  Problems problems_;
  Merged merged_;
  Variables variables_;
  Treefile tree_;
};

}  // namespace

Variables variables_of(const Merged& merged, const std::string& basearch, Problems& problems) {
  Variables variables;
  if (auto it = merged.keys.find("variables"); it != merged.keys.end()) {
    const Value& given = it->second;
    for (std::size_t i = 0; i < given.keys.size(); ++i) {
      const std::string& name = given.keys[i];
      if (name == "basearch" || name == "releasever")
        problems.add(given.key_where[i],
                     "the variable " + name + " is always there; choose " + "another name");
      else if (!is_variable_name(name))
        problems.add(given.key_where[i], "\"" + name + "\" cannot be the name of a variable; use " +
                                             "letters, digits, - and _, with a letter first");
      else if (const Value& v = given.items[i];
               v.kind == Kind::Int &&
               (v.text.find_first_not_of("0123456789") != std::string::npos || v.text.size() > 18))
        problems.add(v.where, "the variable " + name + " must be a whole number without sign, " +
                                  "true, false or a text in quotes");
      else
        variables[name] = given.items[i];
    }
  }
  if (auto it = merged.keys.find("releasever"); it != merged.keys.end()) {
    variables["releasever"] = it->second;
    if (it->second.kind == Kind::Float) variables["releasever"].kind = Kind::String;
  }
  Value arch;
  arch.kind = Kind::String;
  arch.where = merged.where;
  arch.text = basearch;
  variables["basearch"] = arch;
  return variables;
}

Treefile convert(Merged merged, const LoadOptions& options) {
  return Converter(std::move(merged), options).run();
}

std::filesystem::path Treefile::directory() const {
  return sources.empty() ? std::filesystem::path() : sources.front().parent_path();
}

}  // namespace atomichost::treefile
