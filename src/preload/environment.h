// What a program needs in its environment to find the devices of the run, and how it gets there.
//
// On a real machine a device does not hang on the environment. So whatever environment a client gives to a program it
// starts, the variables of the run are added where they are missing: the SOFTXE_* are as they were when this process
// started, and the two lists get an entry in front: LD_PRELOAD the library, ASAN_OPTIONS that a program built with
// -fsanitize=address does not insist on being the first library. Who sets SOFTXE_ACTIVE to something else, or
// SOFTXE_RUN_DIR to another run, is taken at his word.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace softxe::preload {

/// In the constructor: remembers what this process was told.
void note_environment(char** environment);

/// How a client's environment is completed. Neither allocates nor locks: the caller may be a vfork child, in the
/// memory of its parent, so the room is the caller's (its stack). First the sizes, then make().
class EnvironmentPlan {
 public:
  explicit EnvironmentPlan(char* const* environment);

  /// False: it is complete, or cannot be read: it is passed on as it is.
  bool needed() const { return needed_; }
  std::size_t words() const { return words_; }
  std::size_t bytes() const { return bytes_; }
  /// Fills `list` (words() pointers) and `text` (bytes()), and returns the list.
  char** make(char** list, char* text) const;

 private:
  /// A variable that is a list, and the client's of that name.
  struct List {
    bool missing = true;              ///< our entry
    char* const* variable = nullptr;  ///< the client's, if there is one without our entry
  };

  void look_at(char* const* variable, std::size_t list);
  void add_missing();

  char* const* client_;
  std::size_t count_ = 0;  ///< variables of the client's
  std::array<List, 2> lists_{};
  unsigned long long missing_ = 0;  ///< bits: variables of the run
  bool needed_ = false;
  std::size_t words_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace softxe::preload
