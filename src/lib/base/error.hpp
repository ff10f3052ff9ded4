// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace atomichost {

/// What kind of failure, for programs. A new code needs a caller that acts on it.
/// Persisted nowhere; the D-Bus names and exit statuses are in api/.
enum class ErrorCode : std::uint8_t {
  Failed,        ///< anything else
  InvalidInput,  ///< the user's file, option or argument is wrong
  NotFound,      ///< a named object is not there
  Unsolvable,    ///< no set of packages satisfies the request
  Untrusted,     ///< a signature or digest does not match or is missing
  Corrupt,       ///< stored or received data is damaged
  Busy,          ///< another process holds the lock
  NoSpace,       ///< the file system is full
  Denied,        ///< permission is missing
  Unreachable,   ///< a server did not answer or answered with an error
};

/// The one error type: a code for programs, a sentence for people. The sentence reads outside-in:
/// "Composing os/stable: Importing foo-1-1.x86_64: payload ends early".
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Ctrl-C or a cancel request. Not an Error on purpose: nobody may swallow it as one.
class Cancelled : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "Cancelled"; }
};

/// Error for a failed system call: "<doing>: <strerror>". ENOSPC, EACCES/EPERM/EROFS and ENOENT get
/// their code.
[[nodiscard]] Error errno_error(int error_number, const std::string& doing);
[[noreturn]] void throw_errno(const std::string& doing);  ///< errno_error(errno, doing)

/// Run @p body; an Error that leaves it gets "<doing>: " in front and keeps its code.
template <typename Body>
decltype(auto) with_context(const std::string& doing, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error& e) {
    throw Error(e.code(), doing + ": " + e.what());
  }
}

}  // namespace atomichost
