#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/eu_listing.h"
#include "cli/input_file.h"
#include "cli/output_file.h"
#include "hw/eu/eu_asm.h"

namespace softxe::cli {
int disassemble(const DisasmOptions& options) {
  const auto text = read_input(options.file);
  if (!text) return give_up("disasm", text.error());
  std::vector<std::byte> code;
  if (options.hex) {
    std::size_t line = 0;
    const auto bytes = code_of_hex(*text, line);
    if (!bytes) {
      std::fprintf(stderr, "%s:%zu:1: error: no pairs of hexadecimal digits\n", options.file.c_str(), line);
      return kExitNo;
    }
    code = *bytes;
  } else {
    const auto bytes = std::as_bytes(std::span(*text));
    code.assign(bytes.begin(), bytes.end());
  }
  const Listing listing = list_code(code, options.full ? EuTextStyle::kComplete : EuTextStyle::kCanonical);
  std::fwrite(listing.text.data(), 1, listing.text.size(), stdout);
  return listing.unreadable == 0 ? 0 : kExitNo;
}

int assemble(const AsmOptions& options) {
  const auto source = read_input(options.file);
  if (!source) return give_up("asm", source.error());
  const auto code = eu_assemble(*source);
  if (!code) {
    const EuAsmError& error = code.error();
    std::fprintf(stderr, "%s:%zu:%zu: error: %s\n", options.file.c_str(), error.line, error.column, error.why);
    return kExitNo;
  }
  std::string text(reinterpret_cast<const char*>(code->data()), code->size());
  if (options.hex) text = hex_of_code(*code);
  auto out = OutputFile::open(options.out.empty() ? "-" : options.out);
  if (!out) return give_up("asm", out.error());
  if (const auto written = out->write(text); !written) return give_up("asm", written.error());
  return 0;
}

}  // namespace softxe::cli
