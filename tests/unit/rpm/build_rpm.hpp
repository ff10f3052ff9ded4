// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/subprocess.hpp"

namespace atomichost::testing {

inline std::string run(const std::vector<std::string>& argv,
                       const std::map<std::string, std::string>& env = {}) {
  Command command{.argv = argv};
  command.env = std::map<std::string, std::string>{
      {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}, {"HOME", "/nonexistent"}, {"LC_ALL", "C.UTF-8"}};
  for (const auto& [key, value] : env) (*command.env)[key] = value;
  const CommandResult result = run_command(command);
  if (!result.ok())
    throw Error(ErrorCode::Failed, argv[0] + " failed: " + result.output + result.error_output);
  return result.output;
}

/// Real packages by rpmbuild, a real key by gpg, in a directory of their own.
class RpmWorkshop {
 public:
  explicit RpmWorkshop(std::filesystem::path dir) : dir_(std::move(dir)) {}

  /// Build a package. @p preamble: tags after Name, Version, Release; @p rest: %install on.
  std::filesystem::path build(const std::string& name, const std::string& version,
                              const std::string& preamble, const std::string& rest,
                              const std::vector<std::string>& defines = {},
                              const std::string& arch = "x86_64") {
    const auto spec = dir_ / (name + ".spec");
    replace_file(spec, "Name: " + name + "\nVersion: " + version +
                           "\nRelease: 1\nSummary: A test\nLicense: none\n" + preamble +
                           "\n%description\nA test.\n" + rest + "\n");
    std::vector<std::string> argv = {"rpmbuild", "-bb", "--target", arch, "--quiet"};
    std::vector<std::string> all = {"_topdir " + (dir_ / "build").string(),
                                    "_rpmdir " + (dir_ / "rpms").string(),
                                    "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
                                    "_tmppath " + dir_.string(),
                                    "_dbpath " + (dir_ / "db").string(),
                                    "_buildhost test",
                                    "_build_id_links none",
                                    "use_source_date_epoch_as_buildtime 1",
                                    "debug_package %{nil}",
                                    "__os_install_post %{nil}",
                                    "_buildshell /bin/bash"};
    all.insert(all.end(), defines.begin(), defines.end());
    for (const auto& define : all) argv.insert(argv.end(), {"--define", define});
    argv.push_back(spec.string());
    run(argv, {{"SOURCE_DATE_EPOCH", "1700000000"}});
    return dir_ / "rpms" / (name + "-" + version + "-1." + arch + ".rpm");
  }

  /// A new key without passphrase; @return the armored public key.
  std::string make_key(const std::string& user, const std::string& algorithm = "ed25519") {
    gpg({"--quick-gen-key", user, algorithm, "sign", "never"});
    return gpg({"--armor", "--export", user});
  }
  void sign(const std::filesystem::path& rpm, const std::string& user,
            const std::vector<std::string>& defines = {}) {
    std::vector<std::string> argv = {"rpmsign",  "--addsign",
                                     "--define", "_gpg_name " + user,
                                     "--define", "_gpg_path " + home().string(),
                                     "--define", "__gpg /usr/bin/gpg"};
    for (const auto& define : defines) argv.insert(argv.end(), {"--define", define});
    argv.push_back(rpm.string());
    run(argv, {{"GNUPGHOME", home().string()}});
  }
  std::string gpg(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"gpg", "--batch", "--passphrase", "", "--pinentry-mode",
                                         "loopback", "--homedir", home().string()});
    return run(arguments);
  }
  ~RpmWorkshop() {
    if (!std::filesystem::exists(dir_ / "gnupg")) return;
    try {
      run({"gpgconf", "--homedir", (dir_ / "gnupg").string(), "--kill", "all"});
    } catch (const Error&) {
    }
  }

 private:
  std::filesystem::path home() {
    const auto path = dir_ / "gnupg";
    make_directories(path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::filesystem::path dir_;
};

}  // namespace atomichost::testing
