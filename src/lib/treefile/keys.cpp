// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/keys.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/strings.hpp"

namespace atomichost::treefile {

namespace {

using Kind = Value::Kind;

constexpr std::string_view kArches =
    "aarch64|armhfp|i386|loongarch64|ppc64|ppc64le|riscv64|s390x|x86_64";

std::vector<std::string> alternatives(std::string_view bar_separated) {
  return bar_separated.empty() ? std::vector<std::string>{} : split(bar_separated, '|');
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string in_words(const std::vector<std::string>& list) {
  std::string text;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) text += i + 1 == list.size() ? " or " : ", ";
    text += "\"" + list[i] + "\"";
  }
  return text;
}

// One key's value against its shape. Every problem is added once; nothing is changed.
class Checker {
 public:
  Checker(std::string key, Problems& problems) : key_(std::move(key)), problems_(problems) {}

  void check(const KeySpec& spec, const Value& v) {
    switch (spec.shape) {
      case Shape::Text:
        text(v, "");
        break;
      case Shape::TextOrNumber:
        if (v.kind != Kind::Int && v.kind != Kind::Float) text(v, "");
        break;
      case Shape::Bool:
        boolean(spec, v);
        break;
      case Shape::Choice:
        choice(spec, v);
        break;
      case Shape::TextList:
        text_list(v, "");
        break;
      case Shape::TextMap:
        if (map(v, ""))
          for (const Value& item : v.items) text(item, "each value in ");
        break;
      case Shape::ScalarMap:
        if (map(v, ""))
          for (const Value& item : v.items)
            if (item.kind != Kind::Bool && item.kind != Kind::Int) text(item, "each value in ");
        break;
      case Shape::AnyMap:
        map(v, "");
        break;
      case Shape::AddFiles:
        list_of_lists(v, 2, 2, "[SOURCE, DESTINATION]");
        break;
      case Shape::RemoveFromPackages:
        list_of_lists(v, 2, 0, "[PACKAGE, PATTERN...]");
        break;
      case Shape::RepoPackages:
        if (list(v, ""))
          for (const Value& item : v.items) {
            if (!fields(item, {"repo", "packages"}, {"repo", "packages"})) continue;
            text(*item.find("repo"), "repo in ");
            text_list(*item.find("packages"), "packages in ");
          }
        break;
      case Shape::AccountCheck:
        account_check(v);
        break;
      case Shape::Rojig:
        if (fields(v, {"name", "summary", "license", "description"},
                   {"name", "summary", "license"}))
          for (const Value& item : v.items) text(item, "each value in ");
        break;
      case Shape::Include:
        include(v);
        break;
      case Shape::ArchInclude:
        if (map(v, ""))
          for (const Value& item : v.items) include(item);
        break;
      case Shape::ConditionalInclude:
        if (list(v, ""))
          for (const Value& item : v.items) {
            if (!fields(item, {"if", "include"}, {"if", "include"})) continue;
            text_or_list(*item.find("if"), "if in ");
            // An inline treefile is checked by itself, later.
            if (item.find("include")->kind != Kind::Map) include(*item.find("include"));
          }
        break;
      case Shape::Any:
        break;
    }
  }

  void text_list(const Value& v, const std::string& part) {
    if (list(v, part))
      for (const Value& item : v.items) text(item, "each entry of " + part);
  }

 private:
  void wrong(const Value& v, const std::string& part, const std::string& wanted,
             const std::string& advice = "") {
    problems_.add(v.where, part + key_ + " must be " + wanted + ", not " + v.describe() + advice);
  }
  bool text(const Value& v, const std::string& part) {
    if (v.kind == Kind::String) return true;
    const bool scalar = v.kind == Kind::Bool || v.kind == Kind::Int || v.kind == Kind::Float;
    wrong(v, part, "a text", scalar ? "; put it in quotes: \"" + v.text + "\"" : "");
    return false;
  }
  bool list(const Value& v, const std::string& part) {
    if (v.kind == Kind::Sequence) return true;
    wrong(v, part, "a list", v.kind == Kind::String ? "; write it as [...] or \"- ...\"" : "");
    return false;
  }
  bool map(const Value& v, const std::string& part) {
    if (v.kind == Kind::Map) return true;
    wrong(v, part, "a map");
    return false;
  }
  void text_or_list(const Value& v, const std::string& part) {
    if (v.kind == Kind::Sequence)
      text_list(v, part);
    else if (v.kind != Kind::String)
      wrong(v, part, "a text or a list of texts");
  }
  void include(const Value& v) { text_or_list(v, ""); }

  void boolean(const KeySpec& spec, const Value& v) {
    if (v.kind != Kind::Bool) {
      const bool is_old_spelling =
          contains({"yes", "Yes", "on", "no", "No", "off", "true", "false"}, v.text);
      wrong(v, "", "true or false", is_old_spelling ? "; write true or false without quotes" : "");
      return;
    }
    const bool value = v.text[0] == 't' || v.text[0] == 'T';
    if (contains(alternatives(spec.refused), value ? "true" : "false"))
      problems_.add(v.where, key_ + ": " + v.text +
                                 " is not done by this version: " + std::string(spec.reason));
  }
  void choice(const KeySpec& spec, const Value& v) {
    const std::vector<std::string> accepted = alternatives(spec.accepted);
    // Numbers (edition, label versions) may come without quotes.
    if (v.kind != Kind::String && v.kind != Kind::Int) {
      wrong(v, "", in_words(accepted));
    } else if (contains(alternatives(spec.refused), v.text)) {
      problems_.add(v.where, key_ + ": " + v.text +
                                 " is not done by this version: " + std::string(spec.reason));
    } else if (!contains(accepted, v.text)) {
      wrong(v, "", in_words(accepted), did_you_mean(v.text, accepted));
    }
  }
  void list_of_lists(const Value& v, std::size_t least, std::size_t most, const std::string& form) {
    if (!list(v, "")) return;
    for (const Value& item : v.items) {
      if (item.kind != Kind::Sequence) {
        wrong(item, "each entry of ", "a list " + form);
        continue;
      }
      if (item.items.size() < least || (most != 0 && item.items.size() > most))
        problems_.add(item.where, "each entry of " + key_ + " must be " + form + ", this one has " +
                                      std::to_string(item.items.size()) + " parts");
      for (const Value& part : item.items) text(part, "each part of an entry of ");
    }
  }
  // A map with exactly these fields; null counts as absent.
  bool fields(const Value& v, const std::vector<std::string>& known,
              const std::vector<std::string>& needed) {
    if (!map(v, "an entry of ")) return false;
    bool good = true;
    for (std::size_t i = 0; i < v.keys.size(); ++i)
      if (!contains(known, v.keys[i])) {
        problems_.add(v.key_where[i], "unknown field \"" + v.keys[i] + "\" in " + key_ +
                                          did_you_mean(v.keys[i], known) + "; known are " +
                                          in_words(known));
        good = false;
      }
    for (const std::string& name : needed)
      if (v.find(name) == nullptr) {
        problems_.add(v.where, "an entry of " + key_ + " lacks \"" + name + "\"");
        good = false;
      }
    return good;
  }

  bool id(const Value& v) {
    std::uint32_t n = 0;
    auto [end, ec] = std::from_chars(v.text.data(), v.text.data() + v.text.size(), n);
    if (v.kind == Kind::Int && ec == std::errc() && end == v.text.data() + v.text.size() &&
        n != UINT32_MAX)
      return true;
    wrong(v, "an id in ", "a number from 0 to 4294967294");
    return false;
  }
  void account_check(const Value& v) {
    if (!fields(v, {"type", "filename", "entries"}, {"type"})) return;
    const Value& type = *v.find("type");
    if (!text(type, "type in ")) return;
    const std::vector<std::string> types = {"none", "previous", "file", "data"};
    if (!contains(types, type.text)) {
      wrong(type, "type in ", in_words(types), did_you_mean(type.text, types));
      return;
    }
    const Value* filename = v.find("filename");
    const Value* entries = v.find("entries");
    if (filename != nullptr && text(*filename, "filename in ") && type.text != "file")
      problems_.add(filename->where, key_ + " has a filename, but its type is \"" + type.text +
                                         "\"; write type: file, or remove the filename");
    if (entries != nullptr && type.text != "data")
      problems_.add(entries->where, key_ + " has entries, but its type is \"" + type.text +
                                        "\"; write type: data, or remove them");
    if (type.text == "file" && filename == nullptr)
      problems_.add(v.where, key_ + " of type file lacks \"filename\"");
    if (type.text != "data") return;
    if (entries == nullptr) {
      problems_.add(v.where, key_ + " of type data lacks \"entries\"");
      return;
    }
    if (!map(*entries, "entries in ")) return;
    const bool is_users = key_ == "check-passwd";
    for (const Value& ids : entries->items) {
      if (ids.kind == Kind::Sequence && is_users) {
        if (ids.items.empty() || ids.items.size() > 2)
          wrong(ids, "an entry of ", "UID, [UID] or [UID, GID]");
        for (const Value& one : ids.items) id(one);
      } else {
        id(ids);
      }
    }
  }

  std::string key_;
  Problems& problems_;
};

// false, nothing, empty: does not ask for anything, so it need not be refused.
bool asks_for_nothing(const Value& v) {
  return v.kind == Kind::Null || (v.kind == Kind::Bool && (v.text[0] == 'f' || v.text[0] == 'F')) ||
         ((v.kind == Kind::Sequence || v.kind == Kind::Map) && v.items.empty());
}

bool is_comment_key(const std::string& key) {
  return key.starts_with("_") || key.starts_with("comment") || key.ends_with("-comment") ||
         key == "osname";
}

// "" when @p key is no old spelling.
std::string_view present_spelling(std::string_view key) {
  if (key == "gpg_key") return "gpg-key";
  if (key == "boot_location") return "boot-location";
  if (key == "default_target") return "default-target";
  if (key == "automatic_version_prefix") return "automatic-version-prefix";
  if (key == "bootstrap_packages") return "bootstrap-packages";
  return {};
}

std::vector<std::string> usable_names() {
  std::vector<std::string> names;
  for (const KeySpec& spec : all_keys())
    if (spec.status != Status::HostOnly) names.emplace_back(spec.name);
  names.emplace_back("packages-x86_64");
  names.emplace_back("packages-aarch64");
  return names;
}

}  // namespace

const std::vector<KeySpec>& all_keys() {
  using S = Shape;
  using M = Merge;
  constexpr Status kDone = Status::Done;
  constexpr Status kRefused = Status::Refused;
  constexpr Status kHostOnly = Status::HostOnly;
  static const std::vector<KeySpec> keys = {
      // Packages
      {"packages", S::TextList, M::Append},
      {"bootstrap-packages", S::TextList, M::Append},
      {"repo-packages", S::RepoPackages, M::Append},
      {"exclude-packages", S::TextList, M::Append},
      {"recommends", S::Bool, M::Replace},
      {"documentation", S::Bool, M::Replace},
      {"install-langs", S::TextList, M::Append},
      {"platform-module", S::Text, M::Replace, kRefused, "", "",
       "module streams are not known to the solver here; list the packages themselves"},
      {"ostree-layers", S::TextList, M::Append, kRefused, "", "",
       "commits cannot be laid over a tree yet; put the files into a package or into add-files"},
      {"ostree-override-layers", S::TextList, M::Append, kRefused, "", "",
       "commits cannot be laid over a tree yet; put the files into a package or into add-files"},
      // Repositories
      {"repos", S::TextList, M::Append},
      {"lockfile-repos", S::TextList, M::Append},
      {"repovars", S::TextMap, M::Update},
      {"releasever", S::TextOrNumber, M::Replace},
      // Users and groups
      {"etc-group-members", S::TextList, M::Append},
      {"preserve-passwd", S::Bool, M::Replace},
      {"check-passwd", S::AccountCheck, M::Replace},
      {"check-groups", S::AccountCheck, M::Replace},
      {"ignore-removed-users", S::TextList, M::Append},
      {"ignore-removed-groups", S::TextList, M::Append},
      {"sysusers", S::Text, M::Replace, kRefused, "", "",
       "accounts are made by the packages' scripts and kept from the previous commit; remove it"},
      // Layout and boot
      {"boot-location", S::Choice, M::Replace, kDone, "new|modules", "kernel-install",
       "kernels are put in place by the compose itself; use \"modules\""},
      {"tmp-is-dir", S::Bool, M::Replace},
      {"opt-usrlocal", S::Choice, M::Replace, kDone, "var", "root|state-overlay|stateoverlay",
       "/opt and /usr/local are links into /var; use \"var\" or remove it"},
      {"container", S::Bool, M::Replace, kDone, "", "true",
       "container images are not composed; set it to false or remove it"},
      {"readonly-executables", S::Bool, M::Replace},
      {"ignore-devices", S::Bool, M::Replace, kDone, "", "false",
       "device nodes in packages are always left out; set it to true or remove it"},
      {"machineid-compat", S::Bool, M::Replace},
      {"units", S::TextList, M::Append},
      {"default-target", S::Text, M::Replace},
      // Integrity
      {"selinux", S::Bool, M::Replace},
      {"selinux-label-version", S::Choice, M::Replace, kDone, "0", "1",
       "only label version 0 is written; remove it"},
      {"ima", S::Bool, M::Replace, kDone, "", "true",
       "IMA signatures are not kept yet; set it to false or remove it"},
      {"gpg-key", S::Text, M::Replace},
      // Initramfs
      {"initramfs-args", S::TextList, M::Append},
      {"no-initramfs", S::Bool, M::Replace},
      // Changes to the tree
      {"remove-from-packages", S::RemoveFromPackages, M::Append},
      {"remove-files", S::TextList, M::Append},
      {"add-files", S::AddFiles, M::Append},
      {"postprocess", S::TextList, M::Append},
      {"postprocess-script", S::Text, M::Replace},
      {"cliwrap", S::Bool, M::Replace, kDone, "", "true",
       "no programs are wrapped; set it to false or remove it"},
      {"cliwrap-binaries", S::TextList, M::Append, kRefused, "", "",
       "no programs are wrapped; remove it"},
      // Versions and metadata
      {"ref", S::Text, M::Replace},
      {"automatic-version-prefix", S::Text, M::Replace},
      {"automatic-version-suffix", S::Text, M::Replace},
      {"mutate-os-release", S::Text, M::Replace},
      {"add-commit-metadata", S::AnyMap, M::Update},
      {"metadata", S::AnyMap, M::Update},
      {"repo-metadata", S::Choice, M::Replace, kDone, "inline", "detached|disabled",
       "what is known about repositories always goes into the commit; use \"inline\""},
      {"advisories-metadata", S::Choice, M::Replace, kDone, "disabled", "inline|detached",
       "advisories are not read yet; use \"disabled\" or remove it"},
      {"rpmdb", S::Choice, M::Replace, kDone, "target|host|sqlite", "bdb|ndb",
       "the database is written in the sqlite format; use \"sqlite\""},
      {"rpmdb-normalize", S::Bool, M::Replace},
      {"container-cmd", S::TextList, M::Replace},
      {"rojig", S::Rojig, M::Replace, Status::Legacy, "", "",
       "rojig packages are no longer made; remove it"},
      // Includes
      {"include", S::Include, M::Loader},
      {"arch-include", S::ArchInclude, M::Loader},
      {"conditional-include", S::ConditionalInclude, M::Loader},
      {"variables", S::ScalarMap, M::Update},
      {"edition", S::Choice, M::Replace, kDone, "2014|2024"},
      {"basearch", S::Text, M::Replace},
      // A host's origin
      {"base-refspec", S::Any, M::Loader, kHostOnly},
      {"container-image-reference", S::Any, M::Loader, kHostOnly},
      {"packages-local", S::Any, M::Loader, kHostOnly},
      {"packages-local-fileoverride", S::Any, M::Loader, kHostOnly},
      {"override-remove", S::Any, M::Loader, kHostOnly},
      {"ex-override-replace", S::Any, M::Loader, kHostOnly},
      {"override-replace-local", S::Any, M::Loader, kHostOnly},
      {"initramfs", S::Any, M::Loader, kHostOnly},
      {"custom", S::Any, M::Loader, kHostOnly},
      {"override-commit", S::Any, M::Loader, kHostOnly},
      {"unconfigured-state", S::Any, M::Loader, kHostOnly},
  };
  return keys;
}

const KeySpec* find_key(std::string_view name) {
  for (const KeySpec& spec : all_keys())
    if (spec.name == name) return &spec;
  return nullptr;
}

void warn_unknown_arch(const Where& where, const std::string& what, const std::string& arch,
                       std::vector<std::string>& warnings) {
  const std::vector<std::string> arches = alternatives(kArches);
  if (!contains(arches, arch))
    warnings.push_back(where.str() + ": " + what + ": no architecture is called \"" + arch + "\"" +
                       did_you_mean(arch, arches));
}

Value check_keys(Value document, bool strict, Problems& problems,
                 std::vector<std::string>& warnings) {
  Value kept;
  kept.kind = Kind::Map;
  kept.where = document.where;
  for (std::size_t i = 0; i < document.keys.size(); ++i) {
    std::string key = document.keys[i];
    const Where& where = document.key_where[i];
    Value& value = document.items[i];
    if (const std::string_view present = present_spelling(key); !present.empty()) {
      if (document.find(present) != nullptr) {
        problems.add(where, key + " is the old spelling of " + std::string(present) +
                                ", and both are given; keep " + std::string(present));
        continue;
      }
      key = present;
    }
    const KeySpec* spec = find_key(key);
    if (spec == nullptr && key.starts_with("packages-")) {
      warn_unknown_arch(where, key, key.substr(9), warnings);
      if (value.kind == Kind::Null) continue;
      Checker(key, problems).text_list(value, "");
    } else if (spec == nullptr) {
      if (!strict && is_comment_key(key)) continue;
      const std::string text = "unknown key \"" + document.keys[i] + "\"" +
                               did_you_mean(document.keys[i], usable_names());
      if (strict)
        problems.add(where, text);
      else
        warnings.push_back(where.str() + ": " + text + "; ignored");
      continue;
    } else if (spec->status == Status::HostOnly) {
      problems.add(where,
                   key + " belongs into the origin of a host, not into a treefile; remove it");
      continue;
    } else if (spec->status == Status::Refused) {
      if (!asks_for_nothing(value))
        problems.add(where, key + " is not done by this version: " + std::string(spec->reason));
      continue;
    } else {
      if (value.kind == Kind::Null) continue;  // "key:" with all entries commented out
      Checker(key, problems).check(*spec, value);
      if (spec->status == Status::Legacy) {
        warnings.push_back(where.str() + ": " + key +
                           " has no effect: " + std::string(spec->reason));
        continue;
      }
    }
    kept.keys.push_back(std::move(key));
    kept.key_where.push_back(where);
    kept.items.push_back(std::move(value));
  }
  return kept;
}

}  // namespace atomichost::treefile
