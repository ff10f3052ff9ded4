// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "treefile/treefile.hpp"

/// A directory of treefiles that is gone after the test.
class Files {
 public:
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    const std::filesystem::path path = dir_.path() / name;
    atomichost::make_directories(path.parent_path());
    atomichost::replace_file(path, content);
    return path;
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return dir_.path() / name;
  }
  [[nodiscard]] atomichost::treefile::Treefile load(const std::string& name,
                                                    const std::string& basearch = "x86_64") const {
    return atomichost::treefile::load(dir_.path() / name, {basearch});
  }
  /// The one treefile of a test, as YAML.
  [[nodiscard]] atomichost::treefile::Treefile yaml(const std::string& content) const {
    write("t.yaml", content);
    return load("t.yaml");
  }
  /// The error of load(), with the directory's name left out; "" if it succeeds.
  [[nodiscard]] std::string error(const std::string& name) const {
    try {
      (void)load(name);
    } catch (const atomichost::Error& e) {
      return atomichost::replace_all(e.what(), dir_.path().string() + "/", "");
    }
    return "";
  }
  [[nodiscard]] std::string yaml_error(const std::string& content) const {
    write("t.yaml", content);
    return error("t.yaml");
  }
  [[nodiscard]] std::string json_error(const std::string& content) const {
    write("t.json", content);
    return error("t.json");
  }

 private:
  atomichost::TempDir dir_;
};

using Texts = std::vector<std::string>;
