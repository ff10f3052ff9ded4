// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/package.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "base/error.hpp"
#include "base/file.hpp"
#include "unit/rpm/build_rpm.hpp"

using namespace atomichost;
using rpm::Keyring;
using rpm::Package;
using testing::RpmWorkshop;
using testing::run;

namespace {

const rpm::File& file_of(const Package& package, const std::string& path) {
  for (const auto& file : package.files())
    if (file.path == path) return file;
  throw Error(ErrorCode::NotFound, path + " is not in the package");
}

std::string code_and_text(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    static constexpr const char* kNames[] = {"Failed",     "InvalidInput", "NotFound",
                                             "Unsolvable", "Untrusted",    "Corrupt"};
    const auto code = static_cast<std::size_t>(e.code());
    return std::string(code < std::size(kNames) ? kNames[code] : "other") + ": " + e.what();
  }
  return "no error";
}

std::string tiny_files(const std::string& name) {
  return "%install\nmkdir -p %{buildroot}/usr/share\necho " + name + " > %{buildroot}/usr/share/" +
         name + "\n%files\n/usr/share/" + name + "\n";
}

}  // namespace

TEST_CASE("a package's files come with owner, mode, digest, links, capabilities and flags",
          "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  const auto path = workshop.build("rich", "1.5", "Epoch: 3\nRequires: bash\n",
                                   R"(%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc %{buildroot}/var/log %{buildroot}/usr/share/doc/rich
printf hello > %{buildroot}/usr/bin/tool
ln %{buildroot}/usr/bin/tool %{buildroot}/usr/bin/tool2
ln %{buildroot}/usr/bin/tool %{buildroot}/usr/bin/tool3
ln -s tool %{buildroot}/usr/bin/link
echo a=1 > %{buildroot}/etc/rich.conf
echo read me > %{buildroot}/usr/share/doc/rich/README
echo de > %{buildroot}/usr/share/doc/rich/LIESMICH
: > %{buildroot}/var/log/rich.log
%files
%attr(4755, root, adm) %caps(cap_net_raw,cap_sys_admin=ep) /usr/bin/tool
%attr(4755, root, adm) /usr/bin/tool2
%attr(4755, root, adm) /usr/bin/tool3
/usr/bin/link
%config(noreplace) %attr(0640, root, mail) /etc/rich.conf
%doc /usr/share/doc/rich/README
%lang(de) %doc /usr/share/doc/rich/LIESMICH
%dir %attr(1777, daemon, daemon) /var/log
%ghost %attr(0600, root, root) /var/log/rich.log
)");
  const Package package = Package::read(path, nullptr);
  CHECK(package.nevra().str() == "rich-3:1.5-1.x86_64");
  CHECK(package.nevra().epoch == "3");
  CHECK(package.path() == path);
  CHECK(package.build_time() == 1700000000);
  CHECK(package.signing_key().empty());
  CHECK(package.files().size() == 9);

  const auto& tool = file_of(package, "/usr/bin/tool");
  CHECK(tool.mode == (S_IFREG | 04755));
  CHECK(tool.user == "root");
  CHECK(tool.group == "adm");
  CHECK(tool.size == 5);
  CHECK(tool.digest == sha256("hello"));
  CHECK(tool.links.size() == 3);
  for (const int i : tool.links)
    CHECK(package.files()[static_cast<std::size_t>(i)].path.starts_with("/usr/bin/tool"));
  // revision 2 with the effective bit; bits 13 and 21 permitted
  CHECK(tool.capability == std::string("\1\0\0\2\0\x20\x20\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
  CHECK_FALSE(tool.config);

  const auto& link = file_of(package, "/usr/bin/link");
  CHECK(S_ISLNK(link.mode));
  CHECK(link.target == "tool");
  CHECK_FALSE(link.digest);
  CHECK(link.links.empty());
  CHECK(link.capability.empty());

  CHECK(file_of(package, "/etc/rich.conf").config);
  CHECK(file_of(package, "/etc/rich.conf").group == "mail");
  CHECK(file_of(package, "/usr/share/doc/rich/README").doc);
  CHECK(file_of(package, "/usr/share/doc/rich/README").langs.empty());
  CHECK(file_of(package, "/usr/share/doc/rich/LIESMICH").langs == "de");
  CHECK(file_of(package, "/var/log").mode == (S_IFDIR | 01777));
  CHECK(file_of(package, "/var/log").user == "daemon");
  CHECK(file_of(package, "/var/log/rich.log").ghost);

  // what the header says about the payload is true
  const std::string bytes = read_file(path);
  const auto offset = static_cast<std::size_t>(package.payload_offset());
  CHECK(package.payload_digest() == to_hex(sha256(std::string_view(bytes).substr(offset))));
  CHECK(package.header_digest() ==
        run({"rpm", "-qp", "--nosignature", "--qf", "%{SHA256HEADER}", path.string()}));
  CHECK(std::to_string(package.unpacked_size()) ==
        run({"rpm", "-qp", "--nosignature", "--qf", "%{LONGSIZE}", path.string()}));
}

TEST_CASE("payload compressors are named", "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  for (const auto& [macro, name] : std::map<std::string, std::string>{
           {"w3.zstdio", "zstd"}, {"w9.gzdio", "gzip"}, {"w6.xzdio", "xz"}, {"w.ufdio", "gzip"}}) {
    const auto path =
        workshop.build("packed", "1", "", tiny_files("packed"), {"_binary_payload " + macro});
    CHECK(Package::read(path, nullptr).payload_compressor() == name);
  }
}

TEST_CASE("scripts and triggers are listed with interpreter, body, priority and prefixes",
          "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  const auto path = workshop.build("scripted", "2", "", R"(%install
mkdir -p %{buildroot}/usr
%files
/usr
%pre
echo pre
%post -p /sbin/ldconfig
%posttrans -p <lua>
print("x")
%pretrans -p <lua>
print("first")
%preun -p "/bin/sh -e"
exit 0
%postun -q
echo %{NAME}
%filetriggerin -P 500 -- /usr/lib /usr/lib64
/sbin/ldconfig
%filetriggerpostun -- /usr/lib
echo gone
%transfiletriggerin -p <lua> -- /usr/share/icons
print("icons")
%triggerin -- bash
echo bash
%triggerun -- bash
echo bash gone
%triggerin -- dash
echo dash)");
  const Package package = Package::read(path, nullptr);
  REQUIRE(package.script("%pre"));
  CHECK(package.script("%pre")->body == "echo pre");
  CHECK(package.script("%pre")->interpreter == std::vector<std::string>{"/bin/sh"});
  REQUIRE(package.script("%post"));
  CHECK(package.script("%post")->body.empty());
  CHECK(package.script("%post")->interpreter == std::vector<std::string>{"/sbin/ldconfig"});
  CHECK_FALSE(package.script("%post")->is_lua);
  REQUIRE(package.script("%posttrans"));
  CHECK(package.script("%posttrans")->is_lua);
  REQUIRE(package.script("%pretrans"));
  CHECK(package.script("%pretrans")->is_lua);
  REQUIRE(package.script("%preun"));
  CHECK(package.script("%preun")->interpreter == std::vector<std::string>{"/bin/sh", "-e"});
  REQUIRE(package.script("%postun"));
  CHECK(package.script("%postun")->body == "echo scripted");
  CHECK(package.script("%verifyscript") == nullptr);
  CHECK(package.scripts().size() == 6);

  REQUIRE(package.file_triggers().size() == 3);
  const auto& libraries = package.file_triggers()[0];
  CHECK(libraries.kind == "%filetriggerin");
  CHECK(libraries.priority == 500);
  CHECK(libraries.prefixes == std::vector<std::string>{"/usr/lib", "/usr/lib64"});
  CHECK(libraries.script.body == "/sbin/ldconfig");
  CHECK(libraries.script.interpreter == std::vector<std::string>{"/bin/sh"});
  CHECK(package.file_triggers()[1].kind == "%filetriggerpostun");
  CHECK(package.file_triggers()[1].priority == 1000000);
  const auto& icons = package.file_triggers()[2];
  CHECK(icons.kind == "%transfiletriggerin");
  CHECK(icons.script.is_lua);
  CHECK(icons.prefixes == std::vector<std::string>{"/usr/share/icons"});
  CHECK(package.other_triggers() == std::vector<std::string>{"%triggerin", "%triggerun"});
}

TEST_CASE("a script that wants macros is marked and not expanded", "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  const auto marker = dir.path() / "ran";
  const auto path = workshop.build(
      "macros", "1", "",
      "%install\n%files\n%post -e\necho %%(touch " + marker.string() + ")\n%pre -e\necho plain\n");
  const Package package = Package::read(path, nullptr);
  REQUIRE(package.script("%post"));
  CHECK(package.script("%post")->needs_macros);
  CHECK(package.script("%post")->body == "echo %(touch " + marker.string() + ")");
  REQUIRE(package.script("%pre"));
  CHECK_FALSE(package.script("%pre")->needs_macros);
  CHECK_FALSE(std::filesystem::exists(marker));
}

TEST_CASE("signatures are checked against our keyring only", "[rpm][package][signature]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  const std::string trusted = workshop.make_key("trusted@test", "rsa2048");
  const std::string stranger = workshop.make_key("stranger@test");
  const auto unsigned_rpm = workshop.build("plain", "1", "", tiny_files("plain"));
  const auto signed_rpm = workshop.build("signed", "1", "", tiny_files("signed"));
  workshop.sign(signed_rpm, "trusted@test");
  const auto foreign_rpm = workshop.build("foreign", "1", "", tiny_files("foreign"));
  workshop.sign(foreign_rpm, "stranger@test");

  Keyring keyring;
  keyring.add("Some text before.\n" + trusted, "trusted.asc");
  REQUIRE(keyring.key_ids().size() == 1);
  const Package package = Package::read(signed_rpm, &keyring);
  CHECK(package.signing_key() == keyring.key_ids()[0]);

  CHECK_THAT(code_and_text([&] { (void)Package::read(unsigned_rpm, &keyring); }),
             Catch::StartsWith("Untrusted") && Catch::Contains(unsigned_rpm.string()) &&
                 Catch::Contains("not signed"));
  Keyring other;
  other.add(stranger, "stranger.asc");
  CHECK_THAT(code_and_text([&] { (void)Package::read(foreign_rpm, &keyring); }),
             Catch::StartsWith("Untrusted") && Catch::Contains(foreign_rpm.string()) &&
                 Catch::Contains(other.key_ids()[0]) && Catch::Contains(keyring.key_ids()[0]));
  // a second time too: nothing remembers that the key was reported
  CHECK_THAT(code_and_text([&] { (void)Package::read(foreign_rpm, &keyring); }),
             Catch::Contains(other.key_ids()[0]));
  CHECK(Package::read(foreign_rpm, &other).nevra().name == "foreign");  // Ed25519
  CHECK_THAT(code_and_text([&] { (void)Package::read(signed_rpm, &other); }),
             Catch::StartsWith("Untrusted"));
  const Keyring empty;
  CHECK_THAT(code_and_text([&] { (void)Package::read(signed_rpm, &empty); }),
             Catch::Contains("there are none"));
  // without a keyring, digests only
  CHECK(Package::read(unsigned_rpm, nullptr).nevra().name == "plain");
  CHECK(Package::read(signed_rpm, nullptr).signing_key().empty());

  keyring.add(stranger, "stranger.asc");
  CHECK(Package::read(foreign_rpm, &keyring).nevra().name == "foreign");
}

TEST_CASE("a signing subkey is as good as its main key", "[rpm][package][signature]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  workshop.gpg({"--quick-gen-key", "main@test", "rsa2048", "cert", "never"});
  const std::string listing = workshop.gpg({"--with-colons", "--list-keys", "main@test"});
  const auto at = listing.find("\nfpr:");
  const std::string fingerprint = listing.substr(listing.find_first_not_of(':', at + 5), 40);
  workshop.gpg({"--quick-add-key", fingerprint, "rsa2048", "sign", "never"});
  Keyring keyring;
  keyring.add(workshop.gpg({"--export", "main@test"}), "main.gpg");  // binary
  REQUIRE(keyring.key_ids().size() == 2);
  const auto path = workshop.build("sub", "1", "", tiny_files("sub"));
  workshop.sign(path, "main@test");
  CHECK(Package::read(path, &keyring).signing_key() == keyring.key_ids()[1]);
  keyring.distrust(fingerprint, "is revoked");
  CHECK_THAT(code_and_text([&] { (void)Package::read(path, &keyring); }),
             Catch::StartsWith("Untrusted") && Catch::Contains(keyring.key_ids()[1]) &&
                 Catch::Contains("is revoked"));
}

TEST_CASE("old hashes and old signatures are not enough", "[rpm][package][signature]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  Keyring keyring;
  keyring.add(workshop.make_key("old@test", "rsa2048"), "old.asc");
  const auto path = workshop.build("weak", "1", "", tiny_files("weak"));
  workshop.sign(path, "old@test", {"_gpg_digest_algo sha1"});
  CHECK_THAT(code_and_text([&] { (void)Package::read(path, &keyring); }),
             Catch::StartsWith("Untrusted") && Catch::Contains("no longer safe"));
}

TEST_CASE("key files that hold no key are refused by name", "[rpm][keyring]") {
  Keyring keyring;
  const auto refused = [&](const std::string& content) {
    return code_and_text([&] { keyring.add(content, "RPM-GPG-KEY-x"); });
  };
  CHECK_THAT(refused(""), Catch::StartsWith("InvalidInput: RPM-GPG-KEY-x"));
  CHECK_THAT(refused("<html>404</html>"), Catch::StartsWith("InvalidInput: RPM-GPG-KEY-x"));
  CHECK_THAT(refused(std::string("\xff\x00\x01\x99", 4)), Catch::StartsWith("InvalidInput"));
  CHECK_THAT(refused("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n"),
             Catch::StartsWith("InvalidInput") && Catch::Contains("truncated"));
  CHECK_THAT(refused("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n=abcd\n"
                     "-----END PGP PUBLIC KEY BLOCK-----\n"),
             Catch::StartsWith("InvalidInput"));
  CHECK(keyring.key_ids().empty());
}

TEST_CASE("every truncation and every flipped byte of a header is noticed", "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  Keyring keyring;
  keyring.add(workshop.make_key("k@test"), "k.asc");
  const auto path = workshop.build("small", "1", "", tiny_files("small"));
  workshop.sign(path, "k@test");
  const std::string good = read_file(path);
  const auto end = static_cast<std::size_t>(Package::read(path, &keyring).payload_offset());
  const auto damaged = dir.path() / "damaged.rpm";
  const auto put = [&](std::string_view content) {
    const UniqueFd fd = open_at(AT_FDCWD, damaged.string(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write_all(fd.get(), content, damaged.string());
  };
  for (std::size_t size = 0; size < end; size += 1 + size / 40) {
    put(std::string_view(good).substr(0, size));
    INFO("truncated to " << size);
    CHECK_THAT(code_and_text([&] { (void)Package::read(damaged, &keyring); }),
               Catch::StartsWith("Corrupt") && Catch::Contains(damaged.string()));
  }
  // A flipped bit in the lead or in a digest that nobody needs may be harmless; what is read must
  // then be the same. In the header itself none is.
  const auto start = good.rfind(std::string("\x8e\xad\xe8\x01\0\0\0\0", 8), end - 1);
  const std::string digest = Package::read(path, &keyring).header_digest();
  for (std::size_t i = 0; i < end; i += 7) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    put(bytes);
    INFO("flipped " << i);
    std::string got = digest;
    const std::string error =
        code_and_text([&] { got = Package::read(damaged, &keyring).header_digest(); });
    CHECK(got == digest);
    if (error == "no error" && i < start) continue;
    CHECK_THAT(error, (Catch::StartsWith("Corrupt") || Catch::StartsWith("Untrusted")) &&
                          Catch::Contains(damaged.string()));
  }
  put(std::string(100000, 'x'));
  CHECK_THAT(code_and_text([&] { (void)Package::read(damaged, nullptr); }),
             Catch::StartsWith("Corrupt") && Catch::Contains("not an RPM package"));
  CHECK_THAT(code_and_text([&] { (void)Package::read(dir.path() / "none.rpm", nullptr); }),
             Catch::StartsWith("NotFound") && Catch::Contains("none.rpm"));
}

TEST_CASE("a tampered header with a recomputed digest fails at the signature",
          "[rpm][package][signature]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  Keyring keyring;
  keyring.add(workshop.make_key("k@test"), "k.asc");
  const auto path = workshop.build("honest", "1", "", tiny_files("honest"));
  workshop.sign(path, "k@test");
  const Package package = Package::read(path, &keyring);
  std::string bytes = read_file(path);
  const auto start = bytes.rfind(std::string("\x8e\xad\xe8\x01\0\0\0\0", 8),
                                 static_cast<std::size_t>(package.payload_offset()) - 1);
  const auto name = bytes.find("honest", start);
  bytes.replace(name, 6, "forged");
  const std::string forged_digest = to_hex(sha256(std::string_view(bytes).substr(
      start, static_cast<std::size_t>(package.payload_offset()) - start)));
  bytes.replace(bytes.find(package.header_digest()), 64, forged_digest);
  replace_file(path, bytes);
  CHECK(Package::read(path, nullptr).nevra().name == "forged");
  CHECK_THAT(code_and_text([&] { (void)Package::read(path, &keyring); }),
             Catch::StartsWith("Untrusted") && Catch::Contains("does not match") &&
                 Catch::Contains(keyring.key_ids()[0]));
}

TEST_CASE("packages are read from several threads at once", "[rpm][package]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  Keyring keyring;
  keyring.add(workshop.make_key("k@test"), "k.asc");
  const auto path = workshop.build("threads", "1", "", tiny_files("threads"));
  workshop.sign(path, "k@test");
  const auto bad = workshop.build("threads-unsigned", "1", "", tiny_files("threads-unsigned"));
  std::atomic<int> good = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        if (Package::read(path, &keyring).nevra().name == "threads") ++good;
        if (code_and_text([&] { (void)Package::read(bad, &keyring); }).find("not signed") !=
            std::string::npos)
          ++refused;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(good == 200);
  CHECK(refused == 200);
}

TEST_CASE("the build host's macros have no say", "[rpm]") {
  // initialise() ran long ago or runs now; either way ~/.rpmmacros is not read
  TempDir dir;
  replace_file(dir.path() / ".rpmmacros", "%_dbpath /nowhere\n");
  RpmWorkshop workshop(dir.path());
  const auto path = workshop.build("m", "1", "", tiny_files("m"));
  const std::string old_home = getenv("HOME") ? getenv("HOME") : "";
  setenv("HOME", dir.path().c_str(), 1);
  CHECK(Package::read(path, nullptr).nevra().name == "m");
  setenv("HOME", old_home.c_str(), 1);
}

TEST_CASE("packages are ordered by dependency, whatever order they come in", "[rpm][order]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  std::string preamble = "AutoReqProv: no\nRequires: library\nRequires(post): shell\n";
  std::string files = "%files\n";
  const std::map<std::string, std::string> others = {
      {"library", "loop-a"}, {"shell", "library"},    {"loop-a", "loop-b"}, {"loop-b", "loop-a"},
      {"setup", ""},         {"filesystem", "shell"}, {"aaa", ""}};
  for (const auto& [name, needs] : others) {
    preamble += "%package -n " + name + "\nSummary: A test\n" +
                (needs.empty() ? "" : "Requires: " + needs + "\n") + "%description -n " + name +
                "\nA test.\n";
    files += "%files -n " + name + "\n";
  }
  const auto first = workshop.build("application", "1", preamble, files);
  std::vector<Package> packages = {Package::read(first, nullptr)};
  for (const auto& [name, needs] : others)
    packages.push_back(Package::read(first.parent_path() / (name + "-1-1.x86_64.rpm"), nullptr));
  std::vector<const Package*> given;
  for (const auto& package : packages) given.push_back(&package);
  const auto names = [](const std::vector<const Package*>& list) {
    std::vector<std::string> out;
    for (const std::size_t i : rpm::install_order(list)) out.push_back(list[i]->nevra().name);
    return out;
  };
  const auto order = names(given);
  REQUIRE(order.size() == 8);
  CHECK(order[0] == "filesystem");
  CHECK(order[1] == "setup");
  const auto at = [&](const char* name) {
    return std::find(order.begin(), order.end(), name) - order.begin();
  };
  CHECK(at("loop-a") < at("library"));
  CHECK(at("library") < at("shell"));
  CHECK(at("shell") < at("application"));
  for (int i = 0; i < 10; ++i) {
    std::rotate(given.begin(), given.begin() + 3, given.end());
    CHECK(names(given) == order);
    std::reverse(given.begin(), given.end());
    CHECK(names(given) == order);
  }
}
