#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/eu_listing.h"
#include "hw/eu/eu_asm.h"

namespace softxe::cli {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

std::optional<std::string> read_file(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof(buffer), file.get())) text.append(buffer, count);
  if (std::ferror(file.get()) != 0) return std::nullopt;
  return text;
}

/// To standard output when no path is given.
bool write_file(const std::string& path, std::string_view text) {
  if (path.empty()) return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  File file(std::fopen(path.c_str(), "wb"));
  if (file == nullptr) return false;
  const bool written = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  return std::fclose(file.release()) == 0 && written;
}

int cannot(const char* verb, const std::string& path) {
  std::fprintf(stderr, "softxe %s: %s: %s\n", verb, path.c_str(), std::strerror(errno));
  return 1;
}

}  // namespace

int disassemble(const DisasmOptions& options) {
  const auto text = read_file(options.file);
  if (!text) return cannot("disasm", options.file);
  std::vector<std::byte> code;
  if (options.hex) {
    std::size_t line = 0;
    const auto bytes = code_of_hex(*text, line);
    if (!bytes) {
      std::fprintf(stderr, "%s:%zu:1: error: no pairs of hexadecimal digits\n", options.file.c_str(), line);
      return 1;
    }
    code = *bytes;
  } else {
    const auto bytes = std::as_bytes(std::span(*text));
    code.assign(bytes.begin(), bytes.end());
  }
  const Listing listing = list_code(code, options.full ? EuTextStyle::kComplete : EuTextStyle::kCanonical);
  if (!write_file("", listing.text)) return cannot("disasm", "standard output");
  return listing.unreadable == 0 ? 0 : 1;
}

int assemble(const AsmOptions& options) {
  const auto source = read_file(options.file);
  if (!source) return cannot("asm", options.file);
  const auto code = eu_assemble(*source);
  if (!code) {
    const EuAsmError& error = code.error();
    std::fprintf(stderr, "%s:%zu:%zu: error: %s\n", options.file.c_str(), error.line, error.column, error.why);
    return 1;
  }
  std::string text(reinterpret_cast<const char*>(code->data()), code->size());
  if (options.hex) text = hex_of_code(*code);
  return write_file(options.out, text) ? 0 : cannot("asm", options.out.empty() ? "standard output" : options.out);
}

}  // namespace softxe::cli
