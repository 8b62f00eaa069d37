// OpenCL's compiler as a maker of modules: the runtime hands out what it compiled, as SPIR-V in an ELF file or as the
// device's code.
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <elf.h>

#include <cstring>

#include "kit.h"

namespace kit {

namespace {

void check_cl(cl_int status, const char* what) {
  if (status != CL_SUCCESS) fail("%s: %d", what, status);
}

constexpr uint32_t kSpirvMagic = 0x07230203;

/// The first section of the ELF file that is SPIR-V.
std::vector<uint8_t> spirv_of(const std::vector<uint8_t>& file) {
  Elf64_Ehdr header;
  if (file.size() < sizeof header) fail("the compiler's object has %zu bytes", file.size());
  std::memcpy(&header, file.data(), sizeof header);
  for (size_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    const size_t at = header.e_shoff + i * sizeof section;
    if (at + sizeof section > file.size()) break;
    std::memcpy(&section, file.data() + at, sizeof section);
    uint32_t magic = 0;
    if (section.sh_size < sizeof magic || section.sh_offset + section.sh_size > file.size()) continue;
    std::memcpy(&magic, file.data() + section.sh_offset, sizeof magic);
    if (magic == kSpirvMagic) {
      const auto begin = file.begin() + static_cast<std::ptrdiff_t>(section.sh_offset);
      return {begin, begin + static_cast<std::ptrdiff_t>(section.sh_size)};
    }
  }
  fail("the compiler's object has no SPIR-V");
}

/// One for the process: compilers are slow to start.
struct Compiler {
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  Compiler() {
    cl_platform_id platform = nullptr;
    cl_int status = 0;
    check_cl(clGetPlatformIDs(1, &platform, nullptr), "clGetPlatformIDs");
    check_cl(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr), "clGetDeviceIDs");
    context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status);
    check_cl(status, "clCreateContext");
  }
};

}  // namespace

std::vector<uint8_t> compiled(const std::string& source, Form form) {
  static Compiler compiler;
  const char* text = source.c_str();
  cl_int status = 0;
  cl_program program = clCreateProgramWithSource(compiler.context, 1, &text, nullptr, &status);
  check_cl(status, "clCreateProgramWithSource");
  const char* options = "-cl-std=CL3.0";
  status = form == Form::kSpirv
               ? clCompileProgram(program, 1, &compiler.device, options, 0, nullptr, nullptr, nullptr, nullptr)
               : clBuildProgram(program, 1, &compiler.device, options, nullptr, nullptr);
  if (status != CL_SUCCESS) {
    char log[4096] = "";
    clGetProgramBuildInfo(program, compiler.device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, nullptr);
    fail("the compiler: %d: %.800s", status, log);
  }
  size_t bytes = 0;
  check_cl(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, nullptr), "size of the binary");
  std::vector<uint8_t> binary(bytes);
  uint8_t* to = binary.data();
  check_cl(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof to, &to, nullptr), "binary");
  clReleaseProgram(program);
  return form == Form::kSpirv ? spirv_of(binary) : binary;
}

}  // namespace kit
