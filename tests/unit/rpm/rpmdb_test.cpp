// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/rpmdb.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/scope_exit.hpp"
#include "unit/rpm/build_rpm.hpp"

using namespace atomichost;
using rpm::Package;
using testing::RpmWorkshop;
using testing::run;

namespace {

std::string stock(const std::filesystem::path& dbpath, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"rpm", "--dbpath", dbpath.string()});
  return run(arguments);
}

/// Some packages, built once; one owns real files below root, so that it can be verified without
/// an installation.
struct Fixture {
  TempDir dir;
  std::filesystem::path root = dir.path() / "root";
  std::vector<Package> packages;

  Fixture() {
    RpmWorkshop workshop(dir.path());
    make_directories(root);
    const std::string user = getpwuid(getuid())->pw_name;
    const std::string group = getgrgid(getgid())->gr_name;
    const std::string file = root.string() + "/content";
    packages.push_back(Package::read(
        workshop.build("verified", "1", "AutoReqProv: no\n",
                       "%install\nmkdir -p %{buildroot}" + root.string() +
                           "\nprintf hello > %{buildroot}" + file + "\nprintf doc > %{buildroot}" +
                           root.string() + "/README\ntouch %{buildroot}" + root.string() +
                           "/ghost\n%files\n%defattr(0644," + user + "," + group + ")\n" + file +
                           "\n%doc " + root.string() + "/README\n%ghost " + root.string() +
                           "/ghost\n%changelog\n* Tue Nov 14 2023 A Person <a@test> - 1-1\n"
                           "- Second\n* Mon Nov 13 2023 A Person <a@test> - 0-1\n- First\n"),
        nullptr));
    packages.push_back(
        Package::read(workshop.build("epochal", "2.5", "Epoch: 4\nAutoReqProv: no\n",
                                     "%install\nmkdir -p %{buildroot}/usr/lib/epochal\n"
                                     "%files\n/usr/lib/epochal\n%post\necho hello\n"
                                     "%filetriggerin -- /usr/lib\necho trigger\n"),
                      nullptr));
    packages.push_back(Package::read(
        workshop.build("empty", "1", "AutoReqProv: no\n", "%files\n", {}, "noarch"), nullptr));
  }
};

const Fixture& fixture() {
  static const Fixture built;
  return built;
}

std::vector<const Package*> pointers(const std::vector<Package>& packages) {
  std::vector<const Package*> out;
  for (const auto& package : packages) out.push_back(&package);
  return out;
}

}  // namespace

TEST_CASE("stock rpm reads the database and verifies against it", "[rpm][rpmdb]") {
  TempDir dir;
  const auto& root = fixture().root;
  const auto& packages = fixture().packages;
  const auto db = dir.path() / "db-out";
  make_directories(db);
  rpm::write_rpmdb(db, pointers(packages), 1700000123);

  CHECK(stock(db, {"-qa", "--qf", "%{NEVRA}\n", "--last"}) != "");
  CHECK(stock(db, {"-q", "--qf", "%{NEVRA} %{INSTALLTIME} %{INSTALLTID}\n", "verified", "epochal",
                   "empty"}) ==
        "verified-1-1.x86_64 1700000123 1700000123\n"
        "epochal-4:2.5-1.x86_64 1700000123 1700000123\n"
        "empty-1-1.noarch 1700000123 1700000123\n");
  CHECK(stock(db, {"-ql", "verified"}) ==
        root.string() + "/README\n" + root.string() + "/content\n" + root.string() + "/ghost\n");
  CHECK(stock(db, {"-qf", (root / "content").string()}) == "verified-1-1.x86_64\n");
  CHECK(stock(db, {"-q", "--whatprovides", "epochal"}) == "epochal-2.5-1.x86_64\n");
  CHECK(stock(db, {"-q", "--scripts", "epochal"}).find("echo hello") != std::string::npos);
  CHECK(stock(db, {"-q", "--filetriggers", "epochal"}).find("/usr/lib") != std::string::npos);
  CHECK(run({"rpmdb", "--dbpath", db.string(), "--verifydb"}).empty());

  // -V: first all is well, then it sees what is changed
  const auto put = [&](const char* name, const char* content) {
    replace_file(root / name, content);
    const timespec times[2] = {{1700000000, 0}, {1700000000, 0}};
    utimensat(AT_FDCWD, (root / name).c_str(), times, 0);
  };
  put("content", "hello");
  put("README", "doc");
  CHECK(stock(db, {"-V", "--nodeps", "--nomtime", "verified"}).empty());
  put("content", "HELLO");
  Command verify{
      .argv = {"rpm", "--dbpath", db.string(), "-V", "--nodeps", "--nomtime", "verified"}};
  CHECK_THAT(run_command(verify).output, Catch::StartsWith("..5"));
}

TEST_CASE("files that were left out are not missed", "[rpm][rpmdb]") {
  TempDir dir;
  const auto& root = fixture().root;
  const auto& packages = fixture().packages;
  const auto db = dir.path() / "db-out";
  make_directories(db);
  std::vector<rpm::InstalledPackage> installed;
  for (const auto& package : packages) {
    installed.push_back({&package, {}});
    for (const auto& file : package.files()) installed.back().left_out.push_back(file.doc);
  }
  rpm::write_rpmdb(db, installed, 1700000123);
  replace_file(root / "content", "hello");
  CHECK(stock(db, {"-V", "--nodeps", "--nomtime", "verified"}).empty());
  CHECK_THAT(stock(db, {"-q", "--state", "verified"}), Catch::Contains("not installed"));
}

TEST_CASE("the same packages give the same bytes", "[rpm][rpmdb]") {
  TempDir dir;
  const auto& packages = fixture().packages;
  const auto write = [&](const std::string& name, mode_t mask, std::int64_t time_s) {
    const auto db = dir.path() / name;
    make_directories(db);
    const mode_t before = umask(mask);
    const ScopeExit restore([&] { umask(before); });
    rpm::write_rpmdb(db, pointers(packages), time_s);
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(db))
      names.push_back(entry.path().filename().string());
    CHECK(names == std::vector<std::string>{"rpmdb.sqlite"});
    struct stat st {};
    REQUIRE(stat((db / "rpmdb.sqlite").c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0644);
    return read_file(db / "rpmdb.sqlite");
  };
  const std::string first = write("a", 022, 1700000123);
  CHECK(first[18] == 1);  // no write-ahead log: readable where nothing can be written
  CHECK(first[19] == 1);
  CHECK(write("another/much/longer/place", 077, 1700000123) == first);
  CHECK(write("c", 0, 1700000124) != first);
  std::string in_thread;
  std::thread([&] { in_thread = write("d", 022, 1700000123); }).join();
  CHECK(in_thread == first);
}

TEST_CASE("databases are written by several threads at once", "[rpm][rpmdb]") {
  TempDir dir;
  const auto& packages = fixture().packages;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    make_directories(dir.path() / std::to_string(i));
    threads.emplace_back([&, i] {
      rpm::write_rpmdb(dir.path() / std::to_string(i), pointers(packages), 1700000123);
    });
  }
  for (auto& thread : threads) thread.join();
  const std::string first = read_file(dir.path() / "0/rpmdb.sqlite");
  for (int i = 1; i < 4; ++i)
    CHECK(read_file(dir.path() / std::to_string(i) / "rpmdb.sqlite") == first);
}

TEST_CASE("a database is read back, also where nothing can be written", "[rpm][rpmdb]") {
  TempDir dir;
  const auto& packages = fixture().packages;
  const auto db = dir.path() / "db-out";
  make_directories(db);
  rpm::write_rpmdb(db, pointers(packages), 1700000123);
  const auto before = std::filesystem::last_write_time(db);
  const auto nevras = rpm::read_rpmdb(db);
  REQUIRE(nevras.size() == 3);
  CHECK(nevras[0].str() == "empty-1-1.noarch");
  CHECK(nevras[1].str() == "epochal-4:2.5-1.x86_64");
  CHECK(nevras[2].str() == "verified-1-1.x86_64");
  CHECK(std::filesystem::last_write_time(db) == before);

  const auto details = rpm::read_rpmdb_packages(db, /*with_changelogs=*/true);
  REQUIRE(details.size() == 3);
  CHECK(details[2].size == packages[0].unpacked_size());
  CHECK(details[2].build_time == 1700000000);
  CHECK(details[2].install_time == 1700000123);
  CHECK(details[2].summary == "A test");
  REQUIRE(details[2].changelog.size() == 2);
  CHECK(details[2].changelog[0].text == "- Second");
  CHECK(details[2].changelog[1].author == "A Person <a@test> - 0-1");
  CHECK(rpm::read_rpmdb_packages(db, false)[2].changelog.empty());

  CHECK(run({"unshare", "-rm", "sh", "-c",
             "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && "
             "! touch \"$1\"/x 2>/dev/null && rpm --dbpath \"$1\" -q verified",
             "sh", db.string()}) == "verified-1-1.x86_64\n");
}

TEST_CASE("a stock database with a write-ahead log is read without touching it", "[rpm][rpmdb]") {
  TempDir dir;
  RpmWorkshop workshop(dir.path());
  const auto path = workshop.build("one", "1", "AutoReqProv: no\n", "%files\n", {}, "noarch");
  const auto db = dir.path() / "stock";
  make_directories(db);
  run({"rpm", "--dbpath", db.string(), "--justdb", "--nodeps", "--nosignature", "-i",
       path.string()});
  const auto list = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(db))
      files[entry.path().filename().string()] = read_file(entry.path());
    return files;
  };
  const auto before = list();
  CHECK(before.at("rpmdb.sqlite")[18] == 2);
  REQUIRE(rpm::read_rpmdb(db).size() == 1);
  CHECK(rpm::read_rpmdb(db)[0].str() == "one-1-1.noarch");
  CHECK(list() == before);
}

TEST_CASE("missing, damaged and occupied databases give one clear error", "[rpm][rpmdb]") {
  TempDir dir;
  CHECK_THROWS_WITH(rpm::read_rpmdb(dir.path()),
                    Catch::Contains(dir.path().string()) && Catch::Contains("there is none"));
  replace_file(dir.path() / "rpmdb.sqlite", std::string(8192, 'x'));
  CHECK_THROWS_WITH(rpm::read_rpmdb(dir.path()), Catch::Contains(dir.path().string()));
  CHECK_THROWS_WITH(rpm::write_rpmdb(dir.path(), std::vector<const Package*>{}, 0),
                    Catch::Contains(dir.path().string()) && Catch::Contains("not empty"));
  CHECK_THROWS_AS(rpm::write_rpmdb(dir.path() / "none", std::vector<const Package*>{}, 0), Error);
}
