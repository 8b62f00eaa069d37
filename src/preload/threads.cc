#include "preload/threads.h"

#include <pthread.h>

#include <memory>
#include <new>

#include "base/result.h"
#include "host/live/engine_section.h"
#include "preload/engine_alloc.h"
#include "preload/engine_scope.h"

namespace softxe::preload {
namespace {

constexpr std::size_t kStackBytes = 512 * 1024;

struct EngineThread {
  explicit EngineThread(std::function<void()> work)
      : body(std::move(work)), stack(engine_allocate(kStackBytes, 65536)) {}
  ~EngineThread() { engine_release(stack); }
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  std::function<void()> body;
  void* stack;
  pthread_t id{};
};

void* thread_main(void* argument) {
  adopt_engine_thread();
  live::EngineSection::adopt_engine_thread();
  static_cast<EngineThread*>(argument)->body();
  return nullptr;
}

}  // namespace

ThreadStarter engine_thread_starter() {
  return [](std::function<void()> body) -> std::function<void()> {
    auto thread = std::make_shared<EngineThread>(std::move(body));
    const EngineMark mark;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, thread->stack, kStackBytes);
    const std::uint64_t mask = live::block_signals();  // inherited by the new thread
    const int error = pthread_create(&thread->id, &attributes, thread_main, thread.get());
    live::restore_signals(mask);
    pthread_attr_destroy(&attributes);
    SX_ASSERT(error == 0);
    return [thread] { pthread_join(thread->id, nullptr); };
  };
}

}  // namespace softxe::preload
