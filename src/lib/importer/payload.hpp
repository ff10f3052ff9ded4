// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string_view>

#include "base/cancel.hpp"
#include "rpm/package.hpp"

namespace atomichost::importer {

/// Buffers and contexts for reading payloads; one per thread, reused from package to package.
class PayloadScratch {
 public:
  PayloadScratch();
  ~PayloadScratch();
  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// The unpacked payload of a package as a stream, hashed while it is read. Not thread-safe.
class Payload {
 public:
  /// @throws Error NotFound, ...: the package file. InvalidInput: a compressor that is not known.
  Payload(const rpm::Package& package, PayloadScratch& scratch, const CancelToken* cancel);
  ~Payload();
  /// The next piece, valid until the next call; "" at the end.
  /// @throws Error Corrupt: the compressed stream is damaged. Cancelled.
  [[nodiscard]] std::string_view read();
  /// Read what is left of the file and compare with the header's digest.
  /// @throws Error Untrusted: they differ.
  void check_digest();

  class Decoder;

 private:
  class Source;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace atomichost::importer
