// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/payload.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <new>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"

namespace atomichost::importer {
namespace {

constexpr std::size_t kPacked = 128 << 10;    // bytes read at once
constexpr std::size_t kUnpacked = 256 << 10;  // bytes unpacked at once

[[noreturn]] void damaged(const std::string& how) {
  throw Error(ErrorCode::Corrupt, "its payload is damaged: " + how);
}

struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};
struct FreeArchive {
  void operator()(archive* reader) const noexcept { archive_read_free(reader); }
};

}  // namespace

struct PayloadScratch::Impl {
  std::unique_ptr<char[]> packed{new char[kPacked]};
  std::unique_ptr<char[]> unpacked{new char[kUnpacked]};
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd{ZSTD_createDCtx()};
  Sha256 digest;
};

PayloadScratch::PayloadScratch() : impl_(std::make_unique<Impl>()) {
  if (!impl_->zstd) throw std::bad_alloc();
}
PayloadScratch::~PayloadScratch() = default;

/// The compressed bytes, from the end of the header to the end of the file.
class Payload::Source {
 public:
  Source(const rpm::Package& package, PayloadScratch& scratch, const CancelToken* cancel)
      : name_(package.path()),
        expected_(package.payload_digest()),
        fd_(open_at(AT_FDCWD, name_, O_RDONLY)),
        scratch_(scratch.impl()),
        cancel_(cancel) {
    if (lseek(fd_.get(), package.payload_offset(), SEEK_SET) < 0) throw_errno("Reading " + name_);
    posix_fadvise(fd_.get(), package.payload_offset(), 0, POSIX_FADV_SEQUENTIAL);
    scratch_.digest.reset();
  }
  std::string_view read() {
    if (cancel_) cancel_->check();
    for (;;) {
      const ssize_t n = ::read(fd_.get(), scratch_.packed.get(), kPacked);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("Reading " + name_);
      const std::string_view piece(scratch_.packed.get(), static_cast<std::size_t>(n));
      scratch_.digest.update(piece);
      return piece;
    }
  }
  void check_digest() {
    while (!read().empty()) {
    }
    const std::string got = to_hex(scratch_.digest.finish());
    if (got != expected_)
      throw Error(ErrorCode::Untrusted,
                  "its payload is not the one its header vouches for (SHA-256 " + got +
                      ", should be " + expected_ + "): download it again");
  }

 private:
  std::string name_, expected_;
  UniqueFd fd_;
  PayloadScratch::Impl& scratch_;
  const CancelToken* cancel_;
};

class Payload::Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::string_view read() = 0;
};

namespace {

using Pull = std::function<std::string_view()>;

class PlainDecoder final : public Payload::Decoder {
 public:
  explicit PlainDecoder(Pull pull) : pull_(std::move(pull)) {}
  std::string_view read() override { return pull_(); }

 private:
  Pull pull_;
};

class ZstdDecoder final : public Payload::Decoder {
 public:
  ZstdDecoder(Pull pull, PayloadScratch& scratch)
      : pull_(std::move(pull)), scratch_(scratch.impl()) {
    ZSTD_DCtx_reset(scratch_.zstd.get(), ZSTD_reset_session_only);
  }
  std::string_view read() override {
    ZSTD_outBuffer out{scratch_.unpacked.get(), kUnpacked, 0};
    while (out.pos < out.size) {
      if (in_.pos == in_.size && !flushing_) {
        const std::string_view piece = pull_();
        if (piece.empty()) {
          if (inside_frame_) damaged("it ends early");
          break;
        }
        in_ = {piece.data(), piece.size(), 0};
      }
      const std::size_t rc = ZSTD_decompressStream(scratch_.zstd.get(), &out, &in_);
      if (ZSTD_isError(rc)) damaged(ZSTD_getErrorName(rc));
      inside_frame_ = rc != 0;
      flushing_ = inside_frame_ && out.pos == out.size;  // there may be more inside the decoder
    }
    return {scratch_.unpacked.get(), out.pos};
  }

 private:
  Pull pull_;
  PayloadScratch::Impl& scratch_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool inside_frame_ = false, flushing_ = false;
};

/// gzip, xz, lzma and bzip2, by libarchive's filters alone.
class FilterDecoder final : public Payload::Decoder {
 public:
  FilterDecoder(Pull pull, const std::string& compressor)
      : pull_(std::move(pull)), archive_(archive_read_new()) {
    archive* a = archive_.get();
    if (!a) throw std::bad_alloc();
    int rc = ARCHIVE_FATAL;
    if (compressor == "gzip") rc = archive_read_support_filter_gzip(a);
    if (compressor == "xz") rc = archive_read_support_filter_xz(a);
    if (compressor == "lzma") rc = archive_read_support_filter_lzma(a);
    if (compressor == "bzip2") rc = archive_read_support_filter_bzip2(a);
    if (rc != ARCHIVE_OK)
      throw Error(ErrorCode::InvalidInput,
                  "its payload is compressed with \"" + compressor +
                      "\"; supported are zstd, gzip, xz, lzma, bzip2 and none");
    archive_read_support_format_raw(a);
    check(archive_read_open2(a, this, nullptr, feed, nullptr, nullptr));
    archive_entry* entry = nullptr;
    check(archive_read_next_header(a, &entry));
  }
  std::string_view read() override {
    for (;;) {
      const void* data = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int rc = archive_read_data_block(archive_.get(), &data, &size, &offset);
      if (rc == ARCHIVE_EOF) return {};
      check(rc);
      if (size) return {static_cast<const char*>(data), size};
    }
  }

 private:
  static la_ssize_t feed(archive* a, void* self, const void** data) {
    auto* decoder = static_cast<FilterDecoder*>(self);
    try {
      const std::string_view piece = decoder->pull_();
      *data = piece.data();
      return static_cast<la_ssize_t>(piece.size());
    } catch (...) {  // not through C: check() throws it
      decoder->thrown_ = std::current_exception();
      archive_set_error(a, EIO, "reading failed");
      return ARCHIVE_FATAL;
    }
  }
  void check(int rc) {
    if (thrown_) std::rethrow_exception(thrown_);
    if (rc == ARCHIVE_EOF) damaged("it ends early");
    if (rc < ARCHIVE_WARN) {
      const char* reason = archive_error_string(archive_.get());
      damaged(reason ? reason : "no reason given");
    }
  }
  Pull pull_;
  std::exception_ptr thrown_;
  std::unique_ptr<archive, FreeArchive> archive_;
};

}  // namespace

Payload::Payload(const rpm::Package& package, PayloadScratch& scratch, const CancelToken* cancel)
    : source_(std::make_unique<Source>(package, scratch, cancel)) {
  Pull pull = [source = source_.get()] { return source->read(); };
  const std::string& compressor = package.payload_compressor();
  if (compressor == "zstd") {
    decoder_ = std::make_unique<ZstdDecoder>(std::move(pull), scratch);
  } else if (compressor.empty() || compressor == "none") {
    decoder_ = std::make_unique<PlainDecoder>(std::move(pull));
  } else {
    decoder_ = std::make_unique<FilterDecoder>(std::move(pull), compressor);
  }
}

Payload::~Payload() = default;

std::string_view Payload::read() {
  return decoder_->read();
}

void Payload::check_digest() {
  source_->check_digest();
}

}  // namespace atomichost::importer
