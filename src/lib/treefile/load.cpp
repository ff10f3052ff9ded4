// SPDX-License-Identifier: LGPL-2.1-or-later
// Files into one map of merged values; convert.cpp makes a Treefile of it.
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>
#include <system_error>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "treefile/merged.hpp"

namespace atomichost::treefile {

namespace {

using Kind = Value::Kind;
constexpr std::size_t kMaxIncludeDepth = 50;

struct Document;

// One `include`, `arch-include` or `conditional-include`, at its place in the order of merging.
struct Include {
  std::vector<Value> conditions;  // texts; all must hold
  bool is_pending = false;        // conditions not yet looked at
  Value target;                   // text, list of texts, or (conditional) an inline treefile
  std::vector<std::unique_ptr<Document>> documents;
};

struct Document {
  Value keys;
  std::vector<Include> includes;
  std::vector<std::pair<dev_t, ino_t>> ancestry;  // files from the treefile down to this one
  bool strict = true;                             // YAML: unknown keys are errors
};

std::vector<Value> texts_of(const Value& text_or_list) {
  if (text_or_list.kind == Kind::Sequence) return text_or_list.items;
  return {text_or_list};
}

class Loader {
 public:
  explicit Loader(const LoadOptions& options) : options_(options) {}

  Merged run(const std::filesystem::path& path) {
    refuse_kickstart(path, Where{path.string()});
    refuse_finalize_directory(path);
    problems_.throw_if_any();
    std::unique_ptr<Document> root = read(path, Where{path.string()}, {});
    problems_.throw_if_any();
    // Conditions see the variables of all files that are certain so far, wherever they are set;
    // a file that a condition brings in may set more.
    while (true) {
      Merged merged = flatten(*root);
      const Variables variables = variables_of(merged, options_.basearch, problems_);
      problems_.throw_if_any();
      bool has_changed = false;
      resolve(*root, variables, has_changed);
      problems_.throw_if_any();
      if (!has_changed) {
        merged.sources = std::move(sources_);
        merged.warnings = std::move(warnings_);
        return merged;
      }
    }
  }

 private:
  void refuse_kickstart(const std::filesystem::path& path, const Where& where) {
    if (path.extension() == ".ks")
      problems_.add(where, "kickstart files are not read by this version; write the packages of " +
                               path.string() + " into a treefile");
  }
  void refuse_finalize_directory(const std::filesystem::path& path) {
    std::error_code ec;
    const std::filesystem::path directory = path.parent_path() / "finalize.d";
    if (std::filesystem::is_directory(directory, ec))
      problems_.add(Where{directory.string()},
                    "programs run on the building host are not done by this version; move them to "
                    "postprocess and remove the directory");
  }

  std::unique_ptr<Document> read(const std::filesystem::path& path, const Where& named_at,
                                 std::vector<std::pair<dev_t, ino_t>> ancestry) {
    const bool is_root = ancestry.empty();
    struct stat st {};
    if (stat(path.c_str(), &st) != 0) {
      const int error_number = errno;
      if (is_root) throw_errno("Reading the treefile " + path.string());
      problems_.add(named_at, "cannot include " + path.string() + ": " +
                                  std::generic_category().message(error_number) +
                                  "; includes are looked for beside the file that names them");
      return nullptr;
    }
    const std::pair<dev_t, ino_t> id{st.st_dev, st.st_ino};
    if (std::find(ancestry.begin(), ancestry.end(), id) != ancestry.end()) {
      problems_.add(named_at, "include loop: " + path.string() +
                                  " includes this file, directly or through others");
      return nullptr;
    }
    if (!seen_.insert(id).second) {
      problems_.add(named_at, path.string() +
                                  " is already included elsewhere; include each file once, for "
                                  "example from a file that all others have in common");
      return nullptr;
    }
    sources_.push_back(path);
    Value parsed;
    try {
      parsed = parse_file(path);
    } catch (const Error& e) {
      if (is_root) throw;
      problems_.add(e);
      return nullptr;
    }
    ancestry.push_back(id);
    return digest(std::move(parsed), is_yaml_name(path), std::move(ancestry));
  }

  // Check a parsed file (or an inline treefile) and read what it includes.
  std::unique_ptr<Document> digest(Value parsed, bool strict,
                                   std::vector<std::pair<dev_t, ino_t>> ancestry) {
    auto document = std::make_unique<Document>();
    document->ancestry = std::move(ancestry);
    document->strict = strict;
    Problems here;
    document->keys = check_keys(std::move(parsed), strict, here, warnings_);
    check_basearch(*document, here);
    const bool is_good = here.empty();
    problems_.add(std::move(here));
    if (!is_good) return document;  // its includes may have the wrong shape

    if (const Value* include = document->keys.find("include"))
      document->includes.push_back({{}, false, *include, {}});
    if (const Value* by_arch = document->keys.find("arch-include")) {
      for (std::size_t i = 0; i < by_arch->keys.size(); ++i)
        warn_unknown_arch(by_arch->key_where[i], "arch-include", by_arch->keys[i], warnings_);
      if (const Value* include = by_arch->find(options_.basearch))
        document->includes.push_back({{}, false, *include, {}});
    }
    if (const Value* conditional = document->keys.find("conditional-include"))
      for (const Value& entry : conditional->items)
        document->includes.push_back(
            {texts_of(*entry.find("if")), true, *entry.find("include"), {}});
    for (Include& include : document->includes)
      if (!include.is_pending) read_include(*document, include);
    return document;
  }

  void read_include(const Document& document, Include& include) {
    if (document.ancestry.size() > kMaxIncludeDepth) {
      problems_.add(include.target.where,
                    "includes are nested more than " + std::to_string(kMaxIncludeDepth) + " deep");
      return;
    }
    if (include.target.kind == Kind::Map) {
      include.documents.push_back(digest(include.target, document.strict, document.ancestry));
      return;
    }
    for (const Value& name : texts_of(include.target)) {
      const std::filesystem::path path = beside(name.where, name.text);
      if (name.text.empty()) {
        problems_.add(name.where, "the name of an included file is empty");
        continue;
      }
      if (path.extension() == ".ks") {
        refuse_kickstart(path, name.where);
        continue;
      }
      include.documents.push_back(read(path, name.where, document.ancestry));
    }
  }

  void check_basearch(const Document& document, Problems& problems) {
    const Value* basearch = document.keys.find("basearch");
    if (basearch != nullptr && basearch->kind == Kind::String &&
        basearch->text != options_.basearch)
      problems.add(basearch->where, "basearch is " + basearch->text +
                                        ", but the tree is composed for " + options_.basearch +
                                        "; compose on a machine of that architecture");
  }

  void resolve(Document& document, const Variables& variables, bool& has_changed) {
    for (Include& include : document.includes) {
      if (include.is_pending) {
        include.is_pending = false;
        has_changed = true;
        bool all = true;
        for (const Value& condition : include.conditions) {
          try {
            all = holds(condition.text, variables) && all;
          } catch (const Error& e) {
            problems_.add(condition.where, e.what());
          }
        }
        if (all) read_include(document, include);
        continue;  // what came in is looked at with the variables it may have changed
      }
      for (const auto& child : include.documents)
        if (child) resolve(*child, variables, has_changed);
    }
  }

  [[nodiscard]] Merged flatten(const Document& document) const {
    Merged merged;
    merged.where = document.keys.where;
    for (std::size_t i = 0; i < document.keys.keys.size(); ++i) {
      std::string key = document.keys.keys[i];
      if (const KeySpec* spec = find_key(key); spec == nullptr) {
        if (key != "packages-" + options_.basearch) continue;  // another architecture's
        key = "packages-ARCH";
      } else if (spec->merge == Merge::Loader) {
        continue;
      }
      merged.keys.emplace(key, document.keys.items[i]);
    }
    for (const Include& include : document.includes)
      for (const auto& child : include.documents)
        if (child) merge_under(merged.keys, flatten(*child).keys);
    return merged;
  }

  static void merge_under(std::map<std::string, Value>& top, std::map<std::string, Value> below) {
    for (auto& [key, value] : below) {
      auto [it, is_new] = top.try_emplace(key, std::move(value));
      if (is_new) continue;
      Value& own = it->second;
      const KeySpec* spec = find_key(key);
      const Merge merge = spec != nullptr ? spec->merge : Merge::Append;
      if (merge == Merge::Append) {
        value.items.insert(value.items.end(), std::make_move_iterator(own.items.begin()),
                           std::make_move_iterator(own.items.end()));
        own.items = std::move(value.items);
      } else if (merge == Merge::Update) {
        for (std::size_t i = 0; i < value.keys.size(); ++i) {
          if (own.find(value.keys[i]) != nullptr) continue;
          own.keys.push_back(value.keys[i]);
          own.key_where.push_back(value.key_where[i]);
          own.items.push_back(std::move(value.items[i]));
        }
      }
    }
  }

  const LoadOptions& options_;
  Problems problems_;
  std::vector<std::string> warnings_;
  std::vector<std::filesystem::path> sources_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

}  // namespace

std::filesystem::path beside(const Where& where, const std::string& name) {
  return (std::filesystem::path(where.file).parent_path() / name).lexically_normal();
}

Treefile load(const std::filesystem::path& path, const LoadOptions& options) {
  return convert(Loader(options).run(path), options);
}

}  // namespace atomichost::treefile
