/* Image kernels of the compute service, for wasm32 with SIMD128. No libc, no imports: what the host cannot see, the module
 * cannot do. Built by build.sh into src/cortex_compute/image.wasm; image.manifest.json says from what, and with what.
 *
 * The host asks for a buffer (`allocate`), fills it, calls a kernel, reads the buffer, gives it back (`deallocate`).
 * It is the host that checks bounds: a kernel given a wrong length traps at the end of memory and cannot leave it.
 */

#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(name)))

/* --- memory: first fit over one list of blocks in order of address, neighbours joined when freed ----------------------- */

#define PAGE 65536u
#define ALIGNMENT 16u

typedef struct block {
    uint32_t size; /* bytes after this header, a multiple of ALIGNMENT */
    uint32_t used;
    struct block *next; /* the block right behind this one, or NULL for the last */
    uint32_t padding;   /* keeps the header, and so every buffer, at a multiple of ALIGNMENT */
} block;

_Static_assert(sizeof(block) == ALIGNMENT, "a header must not disturb the alignment");

extern unsigned char __heap_base; /* the linker's: where our own data and the stack end */
static block *first;

static block *last_block(void) {
    block *at = first;
    while (at && at->next) at = at->next;
    return at;
}

/* A free block of at least `size` bytes at the end of memory, or NULL when the host's limit is reached. */
static block *grow(uint32_t size) {
    uint32_t base = ((uint32_t)&__heap_base + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    uint32_t memory = (uint32_t)__builtin_wasm_memory_size(0); /* pages; all 65536 of them would overflow as bytes */
    block *last = last_block();

    if (!first) { /* what the linker left us of the first pages */
        uint32_t room = memory * PAGE - base;
        if (memory >= 65536u || room < sizeof(block) + ALIGNMENT) return NULL;
        first = (block *)base;
        *first = (block){.size = (room - sizeof(block)) & ~(ALIGNMENT - 1)};
        if (first->size >= size) return first;
        last = first;
    }

    uint32_t have = last->used ? 0 : last->size + (uint32_t)sizeof(block); /* a free end is grown by what it lacks */
    uint64_t wanted = (uint64_t)size + sizeof(block) - have;
    uint32_t pages = (uint32_t)((wanted + PAGE - 1) / PAGE);
    size_t before = __builtin_wasm_memory_grow(0, pages);
    if (before == (size_t)-1) return NULL;
    if (have) {
        last->size += pages * PAGE;
        return last;
    }
    block *fresh = (block *)(before * PAGE);
    *fresh = (block){.size = pages * PAGE - sizeof(block)};
    last->next = fresh;
    return fresh;
}

/* Leaves `size` bytes in `at` and makes a free block of the rest, where the rest can hold one. */
static void split(block *at, uint32_t size) {
    if (at->size < size + sizeof(block) + ALIGNMENT) return;
    block *rest = (block *)((unsigned char *)(at + 1) + size);
    *rest = (block){.size = at->size - size - (uint32_t)sizeof(block), .next = at->next};
    at->size = size;
    at->next = rest;
}

/* The address of `size` bytes, at a multiple of 16, or 0: out of memory, or nothing asked for. */
EXPORT("allocate") uint32_t allocate(uint32_t size) {
    if (size == 0 || size > UINT32_MAX - 2 * PAGE) return 0;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    block *at = first;
    while (at && (at->used || at->size < size)) at = at->next;
    if (!at && !(at = grow(size))) return 0;
    split(at, size);
    at->used = 1;
    return (uint32_t)(at + 1);
}

/* Gives back what `allocate` returned; anything else is ignored. */
EXPORT("deallocate") void deallocate(uint32_t pointer) {
    block *before = NULL, *at = first;
    while (at && (uint32_t)(at + 1) != pointer) {
        before = at;
        at = at->next;
    }
    if (!at || !at->used) return;
    at->used = 0;
    if (at->next && !at->next->used) {
        at->size += at->next->size + sizeof(block);
        at->next = at->next->next;
    }
    if (before && !before->used) {
        before->size += at->size + sizeof(block);
        before->next = at->next;
    }
}

/* --- grayscale --------------------------------------------------------------------------------------------------------- */

/* Luma of ITU-R BT.601-7, section 2.5.1 (0.299 R + 0.587 G + 0.114 B), in 16-bit fixed point, rounded half up:
 *
 *     luma = (19595 R + 38470 G + 7471 B + 32768) >> 16
 *
 * The weights add up to 65536, so a pixel that is grey already keeps its value. */
#define WEIGHT_R 19595
#define WEIGHT_G 38470
#define WEIGHT_B 7471
#define HALF 32768

static inline uint32_t luma(uint32_t r, uint32_t g, uint32_t b) {
    return (WEIGHT_R * r + WEIGHT_G * g + WEIGHT_B * b + HALF) >> 16;
}

/* Four pixels at once. Read as 16-bit lanes, `v & 0x00ff00ff` is (R, B) of each pixel and `v >> 8` is (G, A): one
 * multiply-and-add each. G's weight does not fit a signed 16-bit lane, so half of it is used and the product doubled
 * (it is even, so nothing is lost). The sum stays below 2^24: its byte 2 is the luma, and one shuffle takes it three
 * times together with the old alpha. */
static inline v128_t gray4(v128_t v) {
    const v128_t rb_weights = wasm_i16x8_make(WEIGHT_R, WEIGHT_B, WEIGHT_R, WEIGHT_B, WEIGHT_R, WEIGHT_B, WEIGHT_R, WEIGHT_B);
    const v128_t g_weights = wasm_i16x8_make(WEIGHT_G / 2, 0, WEIGHT_G / 2, 0, WEIGHT_G / 2, 0, WEIGHT_G / 2, 0);
    v128_t rb = wasm_i32x4_dot_i16x8(wasm_v128_and(v, wasm_i32x4_splat(0x00ff00ff)), rb_weights);
    v128_t g = wasm_i32x4_dot_i16x8(wasm_u16x8_shr(v, 8), g_weights);
    v128_t sum = wasm_i32x4_add(wasm_i32x4_add(rb, wasm_i32x4_shl(g, 1)), wasm_i32x4_splat(HALF));
    return wasm_i8x16_shuffle(sum, v, 2, 2, 2, 19, 6, 6, 6, 23, 10, 10, 10, 27, 14, 14, 14, 31);
}

/* Makes `count` pixels of 4 bytes (R, G, B, A; not premultiplied) at `pixels` grey, in place. Alpha stays. */
EXPORT("grayscale") void grayscale(uint8_t *pixels, uint32_t count) {
    uint8_t *end = pixels + (size_t)(count & ~3u) * 4;
    for (; pixels != end; pixels += 16) wasm_v128_store(pixels, gray4(wasm_v128_load(pixels)));
    for (count &= 3u; count; count--, pixels += 4) {
        uint8_t value = (uint8_t)luma(pixels[0], pixels[1], pixels[2]);
        pixels[0] = pixels[1] = pixels[2] = value;
    }
}
