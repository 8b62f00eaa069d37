/*
 * A page the GPU wrote is in VRAM: the process has no page at that address. A CPU read brings the
 * memory back, byte for byte. Real means real: /proc/self/pagemap is the witness.
 */
#include <string.h>

#include "client_kit.h"

/* Different in every round: pages that a device recycles must not look like the right ones. */
static size_t salt;
static unsigned char pattern(size_t i) { return (unsigned char)(i * 7 + (i >> 12) + salt); }

static void one_size(struct xe_device *xe, size_t bytes) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  salt += 101;
  for (size_t i = 0; i < bytes; ++i) data[i] = pattern(i);
  size_t pages = bytes / XE_PAGE;
  KIT_CHECK(kit_pages_present(data, bytes) == pages, "%zu: pages before", bytes);

  kit_store32(xe, data, 0xdecade);
  kit_store32(xe, data + bytes - 8, 0xfacade); /* written in VRAM: no copy of it is anywhere else */
  size_t left = kit_pages_present(data, bytes);
  KIT_CHECK(left == 0, "%zu bytes: %zu of %zu pages still in the process", bytes, left, pages);

  unsigned char last = *(volatile unsigned char *)(data + bytes - 1);
  KIT_CHECK(last == pattern(bytes - 1), "%zu: last byte", bytes);
  size_t back = kit_pages_present(data + bytes - XE_PAGE, XE_PAGE);
  KIT_CHECK(back == 1, "%zu: the touched page is not back", bytes);
  size_t wrong = 0;
  for (size_t i = 4; i < bytes; ++i)
    if (i < bytes - 8 || i >= bytes - 4) wrong += data[i] != pattern(i);
  uint32_t word;
  memcpy(&word, data + bytes - 8, sizeof word);
  KIT_CHECK(word == 0xfacade, "%zu: the GPU's last word is %#x", bytes, word);
  memcpy(&word, data, sizeof word);
  KIT_CHECK(word == 0xdecade, "%zu: the GPU's word is %#x", bytes, word);
  KIT_CHECK(wrong == 0, "%zu: %zu bytes wrong", bytes, wrong);
  KIT_CHECK(kit_pages_present(data, bytes) == pages, "%zu: pages after", bytes);
  kit_unmap(data, XE_BLOCK);
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  /* Only a populated chunk moves: 2 MiB, and a 4 KiB page on its own. */
  one_size(&xe, XE_BLOCK);
  one_size(&xe, XE_PAGE);
  for (int round = 0; round < 4; ++round) one_size(&xe, XE_BLOCK);
  xe_close(&xe);
  return kit_finish("pagemap");
}
