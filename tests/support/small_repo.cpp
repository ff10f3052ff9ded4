// SPDX-License-Identifier: LGPL-2.1-or-later
#include "support/small_repo.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"
#include "base/unique_fd.hpp"

extern char** environ;

namespace atomichost::test {
namespace {

std::filesystem::path cache() {
  setenv("ATOMIC_TEST_CACHE", ATOMIC_TEST_CACHE_DEFAULT, /*overwrite=*/0);
  return getenv("ATOMIC_TEST_CACHE");
}

std::string run_smallrepo(const std::vector<std::string>& args, const std::string& input = {}) {
  cache();
  Command command{.argv = {ATOMIC_TEST_SUPPORT "/smallrepo.py"}, .input = input};
  command.argv.insert(command.argv.end(), args.begin(), args.end());
  const auto result = run_command(command);
  if (!result.ok())
    throw Error(ErrorCode::Failed, "smallrepo.py: " + result.output + result.error_output);
  return result.output;
}

class Json {
 public:
  void list(const char* name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    json_builder_set_member_name(b(), name);
    json_builder_begin_array(b());
    for (const auto& v : values) json_builder_add_string_value(b(), v.c_str());
    json_builder_end_array(b());
  }
  void text(const std::string& name, const std::string& value) {
    if (value.empty()) return;
    json_builder_set_member_name(b(), name.c_str());
    json_builder_add_string_value(b(), value.c_str());
  }
  void begin(const char* name) {
    if (name) json_builder_set_member_name(b(), name);
    json_builder_begin_object(b());
  }
  void end() { json_builder_end_object(b()); }
  [[nodiscard]] JsonBuilder* b() const { return builder_.get(); }

 private:
  GPtr<JsonBuilder> builder_ = adopt(json_builder_new());
};

}  // namespace

void make_small_repo(const std::filesystem::path& directory,
                     const std::vector<SmallPackage>& packages, const SmallRepoOptions& options) {
  Json json;
  json.begin(nullptr);
  json.text("sign_packages", options.sign_packages);
  json.text("sign_repomd", options.sign_repomd);
  json.text("checksum", options.checksum);
  json_builder_set_member_name(json.b(), "packages");
  json_builder_begin_array(json.b());
  for (const auto& p : packages) {
    json.begin(nullptr);
    json.text("name", p.name);
    json.text("version", p.version);
    json.text("release", p.release);
    json.text("epoch", p.epoch);
    json.text("arch", p.arch);
    json.list("requires", p.requires_);
    json.list("provides", p.provides);
    json.list("conflicts", p.conflicts);
    json.list("obsoletes", p.obsoletes);
    json.list("recommends", p.recommends);
    json.list("suggests", p.suggests);
    json.list("supplements", p.supplements);
    json.list("enhances", p.enhances);
    json.begin("files");
    for (const auto& [path, content] : p.files) {
      json_builder_set_member_name(json.b(), path.c_str());
      json_builder_add_string_value(json.b(), content.c_str());
    }
    if (p.payload_size) {
      json.begin(("/usr/share/payload-" + p.name + "-" + p.version).c_str());
      json_builder_set_member_name(json.b(), "size");
      json_builder_add_int_value(json.b(), static_cast<gint64>(p.payload_size));
      json.end();
    }
    json.end();
    json.begin("scripts");
    for (const auto& [kind, body] : p.scripts) json.text(kind, body);
    json.end();
    json.end();
  }
  json_builder_end_array(json.b());
  json.end();
  const GPtr<JsonNode> root(json_builder_get_root(json.b()));
  const std::string description = json_to_string(root.get());
  // Made once for ever; each test gets its own copy to spoil.
  const auto made =
      cache() /
      ("repo-" + to_hex(sha256(description + read_file(ATOMIC_TEST_SUPPORT "/smallrepo.py"))));
  if (!std::filesystem::exists(made)) {
    make_directories(cache());
    const TempDir work(cache(), ".repo-");
    run_smallrepo({"repo", (work.path() / "repo").string()}, description);
    std::error_code another_was_faster;
    std::filesystem::rename(work.path() / "repo", made, another_was_faster);
  }
  remove_tree(directory);
  std::filesystem::copy(made, directory, std::filesystem::copy_options::recursive);
}

std::filesystem::path small_repo_key(const std::string& name) {
  const auto known = cache() / ("key-" + name) / "public.asc";
  if (std::filesystem::exists(known)) return known;
  return std::string(trim(run_smallrepo({"key", name})));
}

void sign_file(const std::string& name, const std::filesystem::path& file) {
  // A signature is good for ever: starting an agent for each would make the tests slow.
  const auto made = cache() / ("signature-" + name + "-" + to_hex(sha256(read_file(file))));
  const std::string signature = file.string() + ".asc";
  if (!std::filesystem::exists(made)) {
    run_smallrepo({"sign-file", name, file.string()});
    replace_file(made, read_file(signature));
  }
  replace_file(signature, read_file(made));
}

namespace {

/// Started at the first use, ends with this program: it watches its standard input.
class ServerProcess {
 public:
  ServerProcess() {
    int to_server[2], from_server[2];
    if (pipe2(to_server, O_CLOEXEC) || pipe2(from_server, O_CLOEXEC)) throw_errno("pipe");
    alive_.reset(to_server[1]);
    const UniqueFd input(to_server[0]), output(from_server[0]);
    UniqueFd child_output(from_server[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, child_output.get(), 1);
    const char* argv[] = {"python3", ATOMIC_TEST_SUPPORT "/httpd.py", "--mounts",
                          mounts_.path().c_str(), nullptr};
    const int error =
        posix_spawnp(&pid_, argv[0], &actions, nullptr, const_cast<char**>(argv), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) throw errno_error(error, "Starting httpd.py");
    child_output.reset();
    std::string line;
    for (char c = 0; read(output.get(), &c, 1) == 1 && c != '\n';) line += c;
    if (line.empty()) throw Error(ErrorCode::Failed, "httpd.py did not print its port");
    port_ = std::stoi(line);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    alive_.reset();
    waitpid(pid_, nullptr, 0);
  }
  static ServerProcess& instance() {
    static ServerProcess process;
    return process;
  }
  [[nodiscard]] std::filesystem::path new_mount(const std::filesystem::path& root) {
    const auto mount = mounts_.path() / std::to_string(++count_);
    make_directories(mount);
    std::filesystem::create_symlink(root, mount / "root");
    return mount;
  }
  [[nodiscard]] int port() const { return port_; }

 private:
  TempDir mounts_{"/tmp", "atomic-httpd-"};
  UniqueFd alive_;
  pid_t pid_ = -1;
  int port_ = 0;
  int count_ = 0;
};

}  // namespace

HttpServer::HttpServer(const std::filesystem::path& root)
    : state_(ServerProcess::instance().new_mount(root)) {}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::stop() {
  std::error_code ignored;
  std::filesystem::remove(state_ / "root", ignored);
}

std::string HttpServer::url() const {
  return "http://127.0.0.1:" + std::to_string(ServerProcess::instance().port()) + "/" +
         state_.filename().string();
}

std::string dead_url() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, size) || getsockname(listener.get(), generic, &size))
    throw_errno("Finding a free port");
  return "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

void HttpServer::misbehave(const std::string& rules) const {
  replace_file(state_ / "rules", rules);
}

std::vector<std::string> HttpServer::requests() const {
  if (!std::filesystem::exists(state_ / "log")) return {};
  auto lines = split(read_file(state_ / "log"), '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

void HttpServer::forget_requests() const {
  std::filesystem::remove(state_ / "log");
}

}  // namespace atomichost::test
