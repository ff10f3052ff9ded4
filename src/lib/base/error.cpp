// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/error.hpp"

#include <cerrno>
#include <cstring>

#include "base/gptr.hpp"

namespace atomichost {

Error errno_error(int error_number, const std::string& doing) {
  ErrorCode code = ErrorCode::Failed;
  if (error_number == ENOSPC || error_number == EDQUOT) code = ErrorCode::NoSpace;
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS)
    code = ErrorCode::Denied;
  if (error_number == ENOENT || error_number == ENOTDIR) code = ErrorCode::NotFound;
  return {code, doing + ": " + strerror(error_number)};
}

namespace {
ErrorCode code_of(const GError& e) {
  if (e.domain != G_IO_ERROR) return ErrorCode::Failed;
  switch (e.code) {
    case G_IO_ERROR_NOT_FOUND:
      return ErrorCode::NotFound;
    case G_IO_ERROR_NO_SPACE:
      return ErrorCode::NoSpace;
    case G_IO_ERROR_PERMISSION_DENIED:
    case G_IO_ERROR_READ_ONLY:
      return ErrorCode::Denied;
    case G_IO_ERROR_BUSY:
    case G_IO_ERROR_WOULD_BLOCK:
      return ErrorCode::Busy;
    case G_IO_ERROR_HOST_NOT_FOUND:
    case G_IO_ERROR_HOST_UNREACHABLE:
    case G_IO_ERROR_NETWORK_UNREACHABLE:
    case G_IO_ERROR_CONNECTION_REFUSED:
    case G_IO_ERROR_TIMED_OUT:
      return ErrorCode::Unreachable;
    default:
      return ErrorCode::Failed;
  }
}
}  // namespace

void GErrorSink::check(bool ok, const std::string& doing) const {
  if (ok) return;
  if (error_ && g_error_matches(error_, G_IO_ERROR, G_IO_ERROR_CANCELLED)) throw Cancelled();
  throw Error(error_ ? code_of(*error_) : ErrorCode::Failed,
              doing + ": " + (error_ ? error_->message : "no reason given"));
}

void throw_errno(const std::string& doing) {
  throw errno_error(errno, doing);
}

}  // namespace atomichost
