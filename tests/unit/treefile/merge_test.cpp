// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "treefile/files.hpp"

using namespace atomichost;
using namespace atomichost::treefile;

TEST_CASE("an empty treefile has the documented defaults") {
  const Treefile t = Files().yaml("packages: []\n");
  CHECK(t.basearch == "x86_64");
  CHECK_FALSE(t.ref);
  CHECK(t.recommends);
  CHECK(t.documentation);
  CHECK(t.selinux);
  CHECK(t.preserve_passwd);
  CHECK(t.machineid_compat);
  CHECK_FALSE(t.no_initramfs);
  CHECK_FALSE(t.tmp_is_dir);
  CHECK_FALSE(t.readonly_executables);
  CHECK_FALSE(t.install_langs);
  CHECK_FALSE(t.repos);
  CHECK(t.boot_location == BootLocation::New);
  CHECK(t.rpmdb == RpmdbBackend::Target);
  CHECK(t.check_passwd.type == AccountCheck::Type::Previous);
  CHECK(t.check_groups.type == AccountCheck::Type::Previous);
  CHECK(t.automatic_version_suffix == '.');
  CHECK(t.edition == "2014");
}

TEST_CASE("edition 2024 moves the kernel and makes /tmp a directory, unless said otherwise") {
  Files files;
  const Treefile t = files.yaml("edition: '2024'\n");
  CHECK(t.boot_location == BootLocation::Modules);
  CHECK(t.tmp_is_dir);
  const Treefile u = files.yaml("edition: 2024\ntmp-is-dir: false\nboot-location: new\n");
  CHECK(u.boot_location == BootLocation::New);
  CHECK_FALSE(u.tmp_is_dir);
  CHECK(canonical_json(u) != canonical_json(files.yaml("edition: '2024'\n")));
}

TEST_CASE("scalars: the including file wins; lists: included first; sets: both; maps: by entry") {
  Files files;
  files.write("base.yaml", R"(
ref: base
selinux: false
units: [a.service]
packages: [bash, coreutils]
ignore-removed-users: [root, a]
postprocess: ["echo base"]
add-commit-metadata: {a: 1, b: base}
repovars: {x: base, y: base}
check-passwd: {type: none}
container-cmd: [/bin/base, arg]
)");
  files.write("t.yaml", R"(
include: base.yaml
ref: top
units: [b.service]
packages: [zsh, bash]
ignore-removed-users: [b, root]
postprocess: ["echo top"]
add-commit-metadata: {b: top, c: true}
repovars: {y: top}
container-cmd: [/bin/top]
)");
  const Treefile t = files.load("t.yaml");
  CHECK(t.ref == "top");
  CHECK_FALSE(t.selinux);
  CHECK(t.units == Texts{"a.service", "b.service"});
  CHECK(t.packages == Texts{"bash", "coreutils", "zsh"});
  CHECK(t.ignore_removed_users == Texts{"a", "b", "root"});
  CHECK(t.postprocess == Texts{"echo base", "echo top"});
  CHECK(t.add_commit_metadata ==
        std::map<std::string, std::string>{{"a", "1"}, {"b", "\"top\""}, {"c", "true"}});
  CHECK(t.repovars == std::map<std::string, std::string>{{"x", "base"}, {"y", "top"}});
  CHECK(t.check_passwd.type == AccountCheck::Type::None);
  CHECK(t.container_cmd == Texts{"/bin/top"});
  REQUIRE(t.sources.size() == 2);
  CHECK(t.sources[0].filename() == "t.yaml");
  CHECK(t.sources[1].filename() == "base.yaml");
}

TEST_CASE("of several includes the later stands earlier in lists, the earlier wins in scalars") {
  Files files;
  files.write("a.yaml", "postprocess: [a]\ngpg-key: A\n");
  files.write("b.yaml", "postprocess: [b]\ngpg-key: B\ndefault-target: b.target\n");
  files.write("t.yaml", "include: [a.yaml, b.yaml]\npostprocess: [t]\n");
  const Treefile t = files.load("t.yaml");
  CHECK(t.postprocess == Texts{"b", "a", "t"});
  CHECK(t.gpg_key == "A");
  CHECK(t.default_target == "b.target");
}

TEST_CASE("files are looked for beside the treefile that names them") {
  Files files;
  files.write("sub/deep/script.sh", "#!/bin/sh\n");
  files.write("sub/deep/passwd", "root:x:0:0::/root:/bin/sh\n");
  files.write("sub/deep/motd", "hello\n");
  files.write("sub/deep/inner.yaml", R"(
postprocess-script: script.sh
check-passwd: {type: file, filename: passwd}
add-files: [[motd, etc/motd]]
)");
  files.write("sub/outer.yaml", "include: deep/inner.yaml\n");
  files.write("issue", "issue\n");
  files.write("t.yaml", "include: sub/outer.yaml\nadd-files: [[issue, /etc/issue]]\n");
  const Treefile t = files.load("t.yaml");
  REQUIRE(t.postprocess_script);
  CHECK(t.postprocess_script->path == files / "sub/deep/script.sh");
  CHECK(t.postprocess_script->name == "script.sh");
  CHECK(t.check_passwd.file.value().path == files / "sub/deep/passwd");
  REQUIRE(t.add_files.size() == 2);
  CHECK(t.add_files[0].source.path == files / "sub/deep/motd");
  CHECK(t.add_files[0].destination == "/etc/motd");
  CHECK(t.add_files[1].source.path == files / "issue");
  CHECK(t.directory() == t.sources[0].parent_path());

  const auto before = referenced_digests(t);
  REQUIRE(before.size() == 4);
  CHECK(before[0].first == "check-passwd:passwd");
  CHECK(before[1] == std::pair<std::string, Digest>{"add-files:motd", sha256("hello\n")});
  files.write("sub/deep/motd", "changed\n");
  CHECK(referenced_digests(t) != before);
}

TEST_CASE("packages are split on blanks unless in single quotes; architecture's own are added") {
  const Treefile t = Files().yaml(R"(
packages:
  - bash  coreutils
  - "'podman >= 4.1' skopeo"
  - "'kernel < 7'"
bootstrap-packages: [filesystem]
packages-x86_64: [grub2 shim]
packages-aarch64: [shim-aa64]
exclude-packages: [a b]
repo-packages:
  - repo: extras
    packages: [x y, "'z = 1'"]
)");
  CHECK(t.packages == Texts{"bash", "coreutils", "filesystem", "grub2", "kernel < 7",
                            "podman >= 4.1", "shim", "skopeo"});
  CHECK(t.exclude_packages == Texts{"a", "b"});
  REQUIRE(t.repo_packages.size() == 1);
  CHECK(t.repo_packages[0].repo == "extras");
  CHECK(t.repo_packages[0].packages == Texts{"x", "y", "z = 1"});
}

TEST_CASE("variables are replaced where the documentation says, and only there") {
  const Treefile t = Files().yaml(R"(
variables: {stream: next, number: 7, flag: true}
releasever: 41
ref: os/${releasever}/${basearch}/${stream}
automatic-version-prefix: "${releasever}.<date:%Y>.${number}"
mutate-os-release: "${releasever}-${flag}"
add-commit-metadata: {a: "${stream}", b: ["${stream}"], c: 5}
metadata: {name: "x-${number}"}
postprocess: ["echo ${HOME}"]
units: ["${stream}.service"]
)");
  CHECK(t.ref == "os/41/x86_64/next");
  CHECK(t.automatic_version_prefix == "41.<date:%Y>.7");
  CHECK(t.mutate_os_release == "41-true");
  CHECK(t.add_commit_metadata == std::map<std::string, std::string>{
                                     {"a", "\"next\""}, {"b", "[\"${stream}\"]"}, {"c", "5"}});
  CHECK(t.metadata.at("name") == "\"x-7\"");
  CHECK(t.postprocess == Texts{"echo ${HOME}"});
  CHECK(t.units == Texts{"${stream}.service"});
  CHECK(t.variables == std::map<std::string, std::string>{
                           {"flag", "true"}, {"number", "7"}, {"stream", "\"next\""}});
}

TEST_CASE("an included file's conditions see the variables of the files that include it") {
  Files files;
  files.write("common/base.yaml", R"(
variables: {stream: stable, debug: false}
packages: [bash]
arch-include: {aarch64: [arm.yaml], x86_64: [pc.yaml]}
conditional-include:
  - if: stream == "next"
    include: next.yaml
  - if: [releasever >= 40, 'basearch != "s390x"']
    include: {packages: [inline]}
  - if: debug == true
    include: debug.yaml
  - if: releasever < 40
    include: missing-but-not-wanted.yaml
)");
  files.write("common/pc.yaml", "packages: [pc]\n");
  files.write("common/arm.yaml", "packages: [arm]\n");
  files.write("common/debug.yaml", "packages: [gdb]\n");
  // What a condition brings in can decide the next condition.
  files.write("common/next.yaml", R"(
packages: [next]
variables: {extra: true}
conditional-include:
  - if: extra == true
    include: extra.yaml
)");
  files.write("common/extra.yaml", "packages: [extra]\n");
  files.write("t.yaml", "include: common/base.yaml\nvariables: {stream: next}\nreleasever: 41\n");
  CHECK(files.load("t.yaml").packages == Texts{"bash", "extra", "inline", "next", "pc"});
  CHECK(files.load("t.yaml", "aarch64").packages ==
        Texts{"arm", "bash", "extra", "inline", "next"});
  files.write("t.yaml", "include: common/base.yaml\nvariables: {debug: true}\nreleasever: 40\n");
  CHECK(files.load("t.yaml").packages == Texts{"bash", "gdb", "inline", "pc"});
}

TEST_CASE("JSON: comment keys are ignored, misspelt ones warned about; old spellings work") {
  Files files;
  files.write("t.json", R"({
	"comment": "x", "install-langs-comment": ["y"], "osname": "z", "_note": 1, "comment-2": 2,
	"default_target": "multi-user.target", "gpg_key": "ABCD", "boot_location": "modules",
	"automatic_version_prefix": "7", "package": ["bash"], "packages-x8664": ["x"],
	"packages": ["caf\u00e9\/", "zsh",]
})");
  const Treefile t = files.load("t.json");
  CHECK(t.default_target == "multi-user.target");
  CHECK(t.gpg_key == "ABCD");
  CHECK(t.boot_location == BootLocation::Modules);
  CHECK(t.automatic_version_prefix == "7");
  CHECK(t.packages == Texts{"caf\xc3\xa9/", "zsh"});
  REQUIRE(t.warnings.size() == 2);
  CHECK_THAT(t.warnings[0], Catch::EndsWith("t.json:4:35: unknown key \"package\" (did you mean "
                                            "packages?); ignored"));
  CHECK_THAT(t.warnings[1], Catch::Contains("no architecture is called \"x8664\""));
  CHECK_THAT(t.warnings[1], Catch::Contains("x86_64"));
}

TEST_CASE("legacy keys are accepted with a warning, refused ones when they ask for nothing") {
  const Treefile t = Files().yaml(R"(
rojig: {name: a, summary: b, license: MIT}
cliwrap: false
container: false
ostree-layers: []
rpmdb-normalize: true
ignore-devices: true
opt-usrlocal: var
rpmdb: sqlite
remove-files:
)");
  REQUIRE(t.warnings.size() == 1);
  CHECK_THAT(t.warnings[0], Catch::Contains("t.yaml:2:1: rojig has no effect"));
  CHECK(t.rpmdb == RpmdbBackend::Sqlite);
  CHECK(t.remove_files.empty());
}

TEST_CASE("account checks") {
  Files files;
  files.write("group", "root:x:0:\n");
  const Treefile t = files.yaml(R"(
check-passwd:
  type: data
  entries: {bin: 1, daemon: [2], adm: [3, 4]}
check-groups: {type: file, filename: group}
)");
  CHECK(t.check_passwd.type == AccountCheck::Type::Data);
  CHECK(t.check_passwd.entries ==
        std::map<std::string, AccountIds>{{"adm", {3, 4}}, {"bin", {1, 1}}, {"daemon", {2, 2}}});
  CHECK(t.check_groups.type == AccountCheck::Type::File);
  const Treefile u = files.yaml("check-groups: {type: data, entries: {wheel: 10}}\n");
  CHECK(u.check_groups.entries.at("wheel").id == 10);
}

TEST_CASE("YAML anchors and block texts") {
  const Treefile t = Files().yaml(R"(
packages: &p
  - bash
bootstrap-packages: *p
postprocess:
  - |
    #!/usr/bin/bash
    echo "a: b" # not a comment
)");
  CHECK(t.packages == Texts{"bash"});
  CHECK(t.postprocess == Texts{"#!/usr/bin/bash\necho \"a: b\" # not a comment\n"});
}

TEST_CASE("the flattened form is the same whatever the order, comments or split of files") {
  Files files;
  files.write("script.sh", "#!/bin/sh\n");
  files.write("motd", "x\n");
  files.write("passwd", "root:x:0:0::/root:/bin/sh\n");
  const Treefile one = files.yaml(R"(
# a comment
ref: a/${basearch}
releasever: 9
packages: [zsh, bash, "'podman >= 4'"]
exclude-packages: ["'a < 2'"]
repo-packages: [{repo: r, packages: [x]}]
recommends: false
documentation: false
install-langs: [en_US, de]
repos: [a, b]
lockfile-repos: [pool]
repovars: {b: "2", a: "1"}
etc-group-members: [wheel]
preserve-passwd: false
check-passwd: {type: file, filename: passwd}
check-groups: {entries: {b: 2, a: 1}, type: data}
ignore-removed-users: ["*"]
ignore-removed-groups: [b, a]
boot-location: modules
tmp-is-dir: true
readonly-executables: true
units: [a.service]
default-target: multi-user.target
initramfs-args: [--no-hostonly]
selinux: false
gpg-key: ABC
rpmdb: host
remove-from-packages: [[p, "/usr/.*", "/etc/[ab]"]]
mutate-os-release: "9"
remove-files: [/usr/share/info, usr//share/man/]
add-files: [[motd, etc/motd]]
postprocess: ["echo \u0001\t\u00fc\n"]
postprocess-script: script.sh
automatic-version-prefix: "9.<date:%Y>"
automatic-version-suffix: "-"
add-commit-metadata: {z: {b: [1, -2, 1.5, true, null], a: "x"}, y: "t"}
metadata: {m: 1}
container-cmd: [/bin/bash]
variables: {v: 1, u: "x", w: true}
)");
  const std::string json = canonical_json(one);
  files.write("part.json", R"({"variables": {"w": true, "u": "x", "v": 2},
    "packages": ["bash"], "ref": "other", "units": [], "releasever": 9})");
  // The same again, from its own flattened form plus an include that changes nothing.
  files.write("again.json",
              "{\"include\": \"part.json\", \"comment\": 1," + json.substr(json.find('{') + 1));
  const Treefile two = files.load("again.json");
  CHECK(two.warnings.empty());
  CHECK(canonical_json(two) == json);
  CHECK(referenced_digests(two) == referenced_digests(one));
  // Byte-stable: this text is part of what decides whether a tree is composed anew.
  CHECK(json == read_file(std::filesystem::path(UNIT_TREEFILE_DIR) / "canonical.json"));
}
