// A file that softxe writes for the user: a report, machine code.
//
// Whether it can be written is found out before the work begins, and readers never see half of it: the text goes to a
// new file of a free name beside it, which takes the place of the old one when it is complete. A device, a FIFO and a
// symbolic link are written in place, since replacing them is not what the user meant. "-" is standard output.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "cli/refusal.h"

namespace softxe::cli {

class OutputFile {
 public:
  /// 125 with the reason. A FIFO waits for its reader, as redirection does.
  static Answer<OutputFile> open(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  /// The whole content, once. On failure (125) an old file is as it was, unless it is written in place.
  Answer<void> write(std::string_view text);

  /// For content in pieces, once, instead of write(): a stream that finish() closes. kWhenWhole: readers see the file
  /// when it is finished; kAtOnce: while it grows.
  enum class Arrival { kWhenWhole, kAtOnce };
  Answer<std::FILE*> stream(Arrival arrival);
  /// Without it a file that was to arrive when whole does not. 125: some of the content could not be written.
  Answer<void> finish();

 private:
  OutputFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Answer<void> replace(std::string_view text);
  int begin_in_place();
  tl::unexpected<Refusal> failed(int error) const;

  std::string path_;
  int fd_;  ///< in place: the file; else its folder
  bool in_place_ = false;
  unsigned mode_ = 0666;  ///< permissions of a new file, before the umask; of an old one: as they are
  bool existed_ = false;
  std::FILE* stream_ = nullptr;
  std::string made_{};  ///< the new file behind the stream; empty: in place
};

}  // namespace softxe::cli
