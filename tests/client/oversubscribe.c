/* More memory than the device has: run with --vram smaller than the array. No byte is lost. */
#include "client_kit.h"

enum { MIB = 1024 * 1024, BYTES = 64 * MIB, PAGES = BYTES / XE_PAGE, PAGE_WORDS = XE_PAGE / 4 };

static uint32_t cpu_word(size_t i) { return (uint32_t)i * 2654435761u; }
static uint32_t gpu_word(size_t page, unsigned pass) { return 0xa0000000u + (uint32_t)page * 4 + pass; }

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t *data = kit_map_aligned(BYTES);
  for (size_t i = 0; i < BYTES / 4; ++i) data[i] = cpu_word(i);

  struct xe_batch batch;
  xe_batch_init(&batch, PAGES * 4);
  for (unsigned pass = 0; pass < 2; ++pass) {
    xe_batch_reset(&batch);
    for (size_t page = 0; page < PAGES; ++page)
      xe_emit_store32(&batch, &data[page * PAGE_WORDS + pass], gpu_word(page, pass));
    xe_run(&xe, &batch);
  }
  size_t wrong = 0;
  for (size_t i = 0; i < BYTES / 4; ++i) {
    size_t page = i / PAGE_WORDS, in_page = i % PAGE_WORDS;
    wrong += data[i] != (in_page < 2 ? gpu_word(page, (unsigned)in_page) : cpu_word(i));
  }
  KIT_CHECK(wrong == 0, "%zu words wrong", wrong);
  xe_batch_free(&batch);
  kit_unmap(data, BYTES);
  xe_close(&xe);
  return kit_finish("oversubscribe");
}
