/* The forward pass of a GPT for decoding: all layers in one call, on threads of its own.
 *
 * A step is as fast as memory is read: weights lie in blocks of 16 rows, from front to back. They
 * are float32, bfloat16, or 8 bits with a scale a row; inputs are float32, for 8 bits rounded to 8
 * bits with a scale for 64 values. Each value is computed by one thread in one order: results
 * depend neither on the number of threads nor on how many tokens come at once. What families of
 * models compute otherwise are switches of `Model`. Shapes: n tokens in all (batch x new ones), C
 * width, H heads of queries and K of keys and values, D their width, I inside the MLP, V
 * vocabulary. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE _mm_pause()
#elif defined(__aarch64__)
#define PAUSE __asm__ volatile("yield")
#else
#define PAUSE (void)0
#endif

#define LANES 16 /* rows of a block */
#define GROUP 64 /* values of an input that share a scale; columns are padded to it */
#define BLOCKS 4 /* blocks of rows that are computed at once, most for few tokens */
#define TILE 8   /* tokens that are computed at once, most for few blocks */
#define STRETCH 256 /* positions of a block of the cache: what attention takes at a time */
#define SHARED 4    /* tasks a thread, below which they are divided further */
#define ROWS 32     /* new tokens of a task of attention */
#if defined(__AVX512F__)
#define SUMS 16 /* of blocks x tokens, as many as there are registers for */
#else
#define SUMS 4
#endif
#define AHEAD 48  /* lines of 64 bytes of weights that are fetched ahead */
#define NEAR 16   /* of the cache, whose pieces are shorter */
#define INLINE static inline __attribute__((always_inline))
#define PADDED(n) (((n) + GROUP - 1) / GROUP * GROUP)

typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
typedef int8_t bytes __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(64), aligned(4)));

enum { FLOAT32, BFLOAT16, INT8 }; /* of 4 bytes, shifted right by the kind */

typedef struct {
    int32_t kind, rows, cols; /* cols padded to GROUP */
    void *data;               /* blocks of LANES rows, as `native_layout` lays them out */
    float *scales, *bias;     /* [rows] for INT8; [rows] or NULL */
} Matrix;
typedef struct { float *gain, *bias; } Norm;
typedef struct {
    Norm ln_1;
    Matrix c_attn, c_proj; /* [(H + 2K) D, C]; [C, H D] */
    Norm q_norm, k_norm;   /* of each head; no gain: none */
    Norm ln_2;
    Matrix c_fc, c_out; /* [I, C], gated: the gate's I rows, then the others'; [C, I] */
} Layer;
typedef struct {
    int32_t n_layer, n_head, kv_heads, head_dim, width, inner, vocab;
    int32_t exact_gelu, rms_norm, gated; /* RMSNorm for LayerNorm; silu(gate) * up for GELU */
    float eps;
    Layer *layers;
    Matrix *embedding, *head;
    float *positions; /* [block_size, C], or NULL */
    Norm ln_f;
} Model;
typedef struct {
    void **blocks; /* of STRETCH positions each [n_layer, 2, batch, K, STRETCH, D padded] */
    int32_t half;  /* bfloat16 instead of float32 */
    int32_t batch, length;
} Cache;

/* ---- threads: they spin at a barrier for a moment, then yield; between calls they sleep ---- */
typedef struct Call Call;
static void forward(Call *call);
static struct {
    pthread_mutex_t turn, lock; /* one call at a time; what `wake` belongs to */
    pthread_cond_t wake;
    int made, wanted;
    Call *call;
    atomic_ulong round; /* number of the call << 8 | threads that it wants */
    atomic_uint phase;
    atomic_int arrived, finished, next[2];
    unsigned long seen[256]; /* the round at which each thread was made */
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

INLINE void relax(int tries) {
    if (tries > 500) sched_yield(); else PAUSE;
}

/* Wait until all threads are here; tasks then begin at 0. */
static void barrier(void) {
    unsigned phase = atomic_load(&pool.phase);
    if (atomic_fetch_add(&pool.arrived, 1) + 1 == pool.wanted) {
        atomic_store(&pool.arrived, 0);
        atomic_store(&pool.next[(phase + 1) & 1], 0);
        atomic_store(&pool.phase, phase + 1);
        return;
    }
    for (int tries = 0; atomic_load(&pool.phase) == phase; tries++) relax(tries);
}

INLINE int task(void) { return atomic_fetch_add(&pool.next[atomic_load(&pool.phase) & 1], 1); }

static void *serve(void *given) {
    int number = (int)(intptr_t)given;
    for (unsigned long seen = pool.seen[number];;) {
        for (int tries = 0; tries < 500 && atomic_load(&pool.round) == seen; tries++) relax(0);
        pthread_mutex_lock(&pool.lock);
        while (atomic_load(&pool.round) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
        pthread_mutex_unlock(&pool.lock);
        seen = atomic_load(&pool.round);
        if (number >= (int)(seen & 255)) continue;
        forward(pool.call);
        atomic_fetch_add(&pool.finished, 1);
    }
    return NULL;
}

static void after_fork(void) { /* a child has no threads: nobody holds a lock, or waits */
    pthread_mutex_init(&pool.turn, NULL), pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL), pool.made = 0, pool.arrived = 0;
}
__attribute__((constructor)) static void on_load(void) { pthread_atfork(NULL, NULL, after_fork); }

static void run_on(int threads, Call *call) {
    for (threads = threads > 255 ? 255 : threads; pool.made < threads - 1; pool.made++) {
        pthread_t thread;
        intptr_t number = pool.made + 1;
        pool.seen[number] = atomic_load(&pool.round);
        if (pthread_create(&thread, NULL, serve, (void *)number)) break;
        pthread_detach(thread);
    }
    pool.wanted = threads <= pool.made + 1 ? threads : pool.made + 1;
    pool.call = call;
    atomic_store(&pool.finished, 0);
    atomic_store(&pool.next[atomic_load(&pool.phase) & 1], 0);
    if (pool.wanted > 1) {
        pthread_mutex_lock(&pool.lock);
        atomic_store(&pool.round, ((pool.round >> 8) + 1) << 8 | (unsigned)pool.wanted);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    forward(call);
    for (int tries = 0; atomic_load(&pool.finished) < pool.wanted - 1; tries++) relax(tries);
}

/* ---- products: a block of rows with up to TILE tokens, x [token, columns] ---- */
typedef struct {         /* of products, [n, stride], padded with zeros */
    const float *x;      /* as it is */
    const int8_t *small; /* rounded, with `scales` [n, stride / GROUP] and 128 x its `sums` [n] */
    const float *scales, *sums;
    int stride;
} Input;

/* sums[b * tokens + t] = the 16 rows of block b, `apart` from the next, times token t. `w` holds
 * floats, or pairs of bfloat16. Each row is added up in one order, whatever the number of tokens;
 * blocks are computed side by side, so that none waits for an addition. */
INLINE void block_float(const uint32_t *w, size_t apart, int cols, const Input *in, int first,
                        const int half, const int ahead, const int blocks, const int tokens,
                        vec *sums) {
    const float *x = in->x + (size_t)first * in->stride;
    vec sum[SUMS], even[BLOCKS], odd[BLOCKS];
    for (int i = 0; i < blocks * tokens; i++) sum[i] = (vec){0};
    for (int k = 0; k < cols; k += 2, w += half ? LANES : 2 * LANES) {
        for (int b = 0; b < blocks; b++) {
            const ivec *at = (const ivec *)(w + b * apart);
            if (ahead) __builtin_prefetch(at + ahead, 0, 3);
            if (ahead && !half) __builtin_prefetch(at + ahead + 1, 0, 3);
            even[b] = half ? (vec)(at[0] << 16) : (vec)at[0];
            odd[b] = half ? (vec)(at[0] & (int32_t)0xffff0000) : (vec)at[1];
        }
        for (int t = 0; t < tokens; t++) {
            float one = x[(size_t)t * in->stride + k], two = x[(size_t)t * in->stride + k + 1];
            for (int b = 0; b < blocks; b++) sum[b * tokens + t] += even[b] * one;
            for (int b = 0; b < blocks; b++) sum[b * tokens + t] += odd[b] * two;
        }
    }
    memcpy(sums, sum, blocks * tokens * sizeof *sums);
}

/* For each row add four products of a byte of weights (0 to 255) and one of x (-127 to 127). */
INLINE ivec add_products(ivec sum, ivec weights, const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
#if defined(__AVX512VNNI__)
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)weights, _mm512_set1_epi32(four));
#elif defined(__AVX2__)
    union { ivec all; __m256i parts[2]; } s = {sum}, w = {weights};
    for (int i = 0; i < 2; i++) {
#if defined(__AVXVNNI__)
        s.parts[i] = _mm256_dpbusd_avx_epi32(s.parts[i], w.parts[i], _mm256_set1_epi32(four));
#else /* even bytes as 16 bits, then odd ones: two products of bytes would overflow them */
        __m256i even = _mm256_and_si256(w.parts[i], _mm256_set1_epi16(255));
        __m256i odd = _mm256_srli_epi16(w.parts[i], 8);
        even = _mm256_madd_epi16(even, _mm256_set1_epi32((x[0] & 65535) | x[2] * 65536));
        odd = _mm256_madd_epi16(odd, _mm256_set1_epi32((x[1] & 65535) | x[3] * 65536));
        s.parts[i] = _mm256_add_epi32(s.parts[i], _mm256_add_epi32(even, odd));
#endif
    }
    return s.all;
#else
    for (int j = 0; j < 4; j++) sum += ((weights >> 8 * j) & 255) * (int32_t)x[j];
    return sum;
#endif
}

INLINE void block_int8(const uint32_t *w, size_t apart, int cols, const Input *in, int first,
                       const int blocks, const int tokens, vec *sums) {
    vec sum[SUMS];
    for (int i = 0; i < blocks * tokens; i++) sum[i] = (vec){0};
    for (int group = 0; group < cols / GROUP; group++) {
        ivec part[SUMS];
        for (int i = 0; i < blocks * tokens; i++) part[i] = (ivec){0};
        for (int k = 0; k < GROUP / 4; k++, w += LANES) {
            for (int b = 0; b < blocks; b++)
                __builtin_prefetch(w + b * apart + LANES * AHEAD, 0, 3);
            for (int t = 0; t < tokens; t++) {
                const int8_t *x = in->small + (size_t)(first + t) * in->stride + group * GROUP;
                for (int b = 0; b < blocks; b++) {
                    ivec *to = &part[b * tokens + t];
                    *to = add_products(*to, *(const ivec *)(w + b * apart), x + 4 * k);
                }
            }
        }
        for (int i = 0; i < blocks * tokens; i++) {
            int token = first + i % tokens;
            float scale = in->scales[(size_t)token * (in->stride / GROUP) + group];
            sum[i] += __builtin_convertvector(part[i], vec) * scale;
        }
    }
    for (int i = 0; i < blocks * tokens; i++) sums[i] = sum[i] - in->sums[first + i % tokens];
}

INLINE vec pick(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

INLINE vec exponential(vec x) { /* e^x to one unit in the last place, x between -87 and 88 */
    const vec least = (vec){0} - 87;
    x = pick(x > least, x, least);
    x = pick(x < -least, x, -least);
    vec n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounded: 1.5 * 2^23 */
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec e = r * (1.0f / 5040) + 1.0f / 720;
    e = ((((e * r + 1.0f / 120) * r + 1.0f / 24) * r + 1.0f / 6) * r + 0.5f) * r * r + r + 1.0f;
    return (vec)((ivec)e + (__builtin_convertvector(n, ivec) << 23));
}

INLINE vec gelu(vec x, int exact) {
    if (!exact) return x / (exponential(x * -1.59576912f * (x * x * 0.044715f + 1.0f)) + 1.0f);
    for (int i = 0; i < LANES; i++) x[i] *= 0.5f + 0.5f * erff(x[i] * 0.70710678f);
    return x;
}

enum { STORE, ADD, TANH_GELU, EXACT_GELU };
typedef struct { float *y; int stride, what; } Output;

INLINE void finish(const Matrix *m, int row, vec sum, Output to, int token) {
    float *y = to.y + (size_t)token * to.stride + row;
    if (m->kind == INT8) sum *= *(const vec *)(m->scales + row);
    if (m->bias) sum += *(const vec *)(m->bias + row);
    if (to.what >= TANH_GELU) sum = gelu(sum, to.what == EXACT_GELU);
    if (m->rows - row >= LANES) *(loose *)y = to.what == ADD ? *(loose *)y + sum : sum;
    else
        for (int i = 0; i < m->rows - row; i++) y[i] = to.what == ADD ? y[i] + sum[i] : sum[i];
}

INLINE void tile(const Matrix *m, int number, const Input *in, int first, const int blocks,
                 const int tokens, Output to) {
    vec sums[SUMS];
    size_t apart = (size_t)LANES * m->cols >> m->kind; /* in words of 32 bits */
    const uint32_t *w = (uint32_t *)m->data + number * apart;
    if (m->kind == INT8) block_int8(w, apart, m->cols, in, first, blocks, tokens, sums);
    else if (m->kind == FLOAT32) block_float(w, apart, m->cols, in, first, 0, AHEAD, blocks, tokens, sums);
    else block_float(w, apart, m->cols, in, first, 1, AHEAD, blocks, tokens, sums);
    for (int i = 0; i < blocks * tokens; i++)
        finish(m, (number + i / tokens) * LANES, sums[i], to, first + i % tokens);
}

/* As many blocks at once as there are registers for, then the last one by one. */
INLINE void tiles(const Matrix *m, int start, int end, const Input *in, int first, const int tokens,
                  Output to) {
    const int most = SUMS / tokens < BLOCKS ? SUMS / tokens : BLOCKS;
    for (; start + most <= end; start += most) tile(m, start, in, first, most, tokens, to);
    for (; most > 1 && start < end; start++) tile(m, start, in, first, 1, tokens, to);
}

/* A stage: y [n, rows] = x W^T + b, a few blocks of rows a task. */
static void product(const Matrix *m, const Input *in, int n, Output to) {
    int blocks = (m->rows + LANES - 1) / LANES, share = blocks / (pool.wanted * 8 * BLOCKS);
    int step = (share ? share : 1) * BLOCKS;
    for (int start; (start = task() * step) < blocks;)
        for (int number = start; number < blocks && number < start + step; number += BLOCKS) {
            int end = number + BLOCKS < blocks ? number + BLOCKS : blocks, t = 0;
            for (; SUMS >= TILE && t + TILE <= n; t += TILE) tiles(m, number, end, in, t, TILE, to);
            for (; t + 4 <= n; t += 4) tiles(m, number, end, in, t, 4, to);
            for (; t + 2 <= n; t += 2) tiles(m, number, end, in, t, 2, to);
            if (t < n) tiles(m, number, end, in, t, 1, to);
        }
}

INLINE float total(vec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#else
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) v[i] += v[i + width];
    return v[0];
#endif
}

/* The sum of x[i] * y[i], or of x[i] without a y. */
INLINE float dot(const float *x, const float *y, const int n) {
    const int whole = n / LANES * LANES;
    vec sum = {0};
    for (int i = 0; i < whole; i += LANES)
        sum += y ? *(const loose *)(x + i) * *(const loose *)(y + i) : *(const loose *)(x + i);
    float rest = total(sum);
    for (int i = whole; i < n; i++) rest += y ? x[i] * y[i] : x[i];
    return rest;
}

static void rms_norm(const float *x, const Norm *norm, float eps, int n, float *y) {
    float scale = 1 / sqrtf(dot(x, x, n) / n + eps);
    for (int i = 0; i < n; i++) y[i] = x[i] * scale * norm->gain[i];
}

static void layer_norm(const float *x, const Norm *norm, float eps, int n, float *y) {
    float mean = dot(x, NULL, n) / n;
    for (int i = 0; i < n; i++) y[i] = x[i] - mean;
    float scale = 1 / sqrtf(dot(y, y, n) / n + eps);
    for (int i = 0; i < n; i++) y[i] *= scale * norm->gain[i];
    for (int i = 0; norm->bias && i < n; i++) y[i] += norm->bias[i];
}

/* Round a token's values to 8 bits, with a scale for each GROUP, which is NaN if one of them is. */
static void quantize(const float *x, int stride, int8_t *small, float *scales, float *sum) {
    *sum = 0;
    for (int group = 0; group < stride / GROUP; group++, x += GROUP, small += GROUP) {
        vec most = {0}, zero = {0}, sums = {0};
        for (int i = 0; i < GROUP; i += LANES) {
            vec value = *(const vec *)(x + i), size = (vec)((ivec)value & 0x7fffffff);
            most = pick(size > most, size, most);
            zero += value * 0.0f;
        }
        for (int i = 1; i < LANES; i++) most[0] = most[i] > most[0] ? most[i] : most[0];
        float to = most[0] > 1e-30f ? 127 / most[0] : 0, scale = most[0] / 127 + total(zero);
        for (int i = 0; i < GROUP; i += LANES) {
            vec value = (*(const vec *)(x + i) * to + 12582912.0f) - 12582912.0f; /* rounded */
            sums += value;
            ivec whole = __builtin_convertvector(value, ivec);
            *(bytes *)(small + i) = __builtin_convertvector(whole, bytes);
        }
        scales[group] = scale;
        *sum += 128 * scale * total(sums);
    }
}

/* y [token, count * LANES] = `count` blocks of LANES rows, `apart` from the next, times each of n
 * tokens: as `product`, of what no Matrix holds. */
INLINE void rows_of(const uint32_t *w, size_t apart, int count, const int cols, const Input *in,
                    int first, const int half, const int tokens, float *y, int stride) {
    const int most = SUMS / tokens < BLOCKS ? SUMS / tokens : BLOCKS;
    vec sums[SUMS];
    for (int b = 0, step; b < count; b += step) {
        step = b + most <= count ? most : 1;
        const uint32_t *at = w + b * apart;
        if (step == most) block_float(at, apart, cols, in, first, half, NEAR, most, tokens, sums);
        else block_float(at, apart, cols, in, first, half, NEAR, 1, tokens, sums);
        for (int i = 0; i < step * tokens; i++)
            *(loose *)(y + (size_t)(first + i % tokens) * stride + (b + i / tokens) * LANES) =
                sums[i];
    }
}

INLINE void blocks_of(const uint32_t *w, size_t apart, int count, const int cols, const Input *in,
                      int n, const int half, float *y, int stride) {
    int t = 0;
    for (; SUMS >= TILE && t + TILE <= n; t += TILE)
        rows_of(w, apart, count, cols, in, t, half, TILE, y, stride);
    for (; t + 4 <= n; t += 4) rows_of(w, apart, count, cols, in, t, half, 4, y, stride);
    for (; t + 3 <= n; t += 3) rows_of(w, apart, count, cols, in, t, half, 3, y, stride);
    for (; t + 2 <= n; t += 2) rows_of(w, apart, count, cols, in, t, half, 2, y, stride);
    if (t < n) rows_of(w, apart, count, cols, in, t, half, 1, y, stride);
}

/* Let `length` scores be e to their distance from the largest, which is returned, and the rest of
 * `all` be 0; `*sum` is what they come to. */
static float softmax_block(float *scores, int length, int all, float *sum) {
    const ivec lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vec none = (vec){0} - INFINITY;
    vec most = none, sums = {0};
    for (int p = 0; p < length; p += LANES) {
        vec one = pick(lanes + p < length, *(const loose *)(scores + p), none);
        most = pick(one > most, one, most);
    }
    for (int i = 1; i < LANES; i++) most[0] = most[i] > most[0] ? most[i] : most[0];
    for (int p = 0; p < all; p += LANES) {
        vec e = exponential(*(const loose *)(scores + p) - most[0]);
        e = pick(lanes + p < length, e, (vec){0});
        *(loose *)(scores + p) = e;
        sums += e;
    }
    *sum = total(sums);
    return most[0];
}

/* The two halves of x [2n], gate and up, made one: y [n] = silu(gate) * up. Reads up to LANES
 * values behind x, and writes zeros behind y until its last vector is whole. */
static void gate(const float *x, int n, float *y) {
    for (int i = 0; i < n; i += LANES) {
        vec value = *(const loose *)(x + i), up = *(const loose *)(x + n + i);
        *(vec *)(y + i) = value / (exponential(-value) + 1.0f) * up;
    }
    for (int i = n; i % LANES; i++) y[i] = 0;
}

struct Call {
    const Model *model;
    Cache *cache;
    int new, last, n; /* new tokens of a row; those whose logits are wanted; tokens in all */
    const int64_t *ids;
    const float *cosines, *sines; /* of the new positions [new, D / 2]; NULL: nothing is turned */
    float *logits;
    /* work: the stream, what is made of it for a product, what attention gives, q, k and v, the
     * MLP's first product, what its gate lets through; what attention works with, for each thread;
     * what each stretch of the cache gave, where several threads share a query's */
    float *x, *a, *seen, *qkv, *f, *gated, *scales, *sums, *work, *parts;
    int8_t *small;
    int split; /* whether they do */
    atomic_int slot;
};

INLINE int qkv_width(const Model *m) { return (m->n_head + 2 * m->kv_heads) * m->head_dim; }

/* A head of queries or keys of the new token `i`: normed where the model does, then turned. */
INLINE void norm_and_rotate(const Call *call, const Norm *norm, int i, float *x) {
    const int D = call->model->head_dim, half = D / 2;
    if (norm->gain) rms_norm(x, norm, call->model->eps, D, x);
    if (!call->cosines) return;
    const float *cosines = call->cosines + (size_t)i * half;
    const float *sines = call->sines + (size_t)i * half;
    for (int k = 0; k < half; k++) {
        float first = x[k], second = x[half + k];
        x[k] = first * cosines[k] - second * sines[k];
        x[half + k] = second * cosines[k] + first * sines[k];
    }
}

/* Attention takes the cache stretch by stretch, of which each gives a query the largest score, the
 * sum of the weights and what they make of the values: a part. Parts are put together in the order
 * of positions, so that it makes no difference who computed them. */
INLINE int wide(const Model *m) { return (m->head_dim + LANES - 1) / LANES * LANES; }
INLINE size_t part_size(const Model *m) { return wide(m) + LANES; } /* values, largest, sum */
INLINE int stretches(int length) { return (length + STRETCH - 1) / STRETCH; }

/* Keys of a head in a stretch: blocks of 16 positions [16, D, LANES], as those of a Matrix. Its
 * values are `*apart` behind them: blocks of 16 of the D [D / 16, STRETCH, LANES]. */
INLINE char *keys_of(const Call *call, int stretch, int layer, int row, int head, size_t *apart) {
    const Cache *cache = call->cache;
    size_t one = (size_t)STRETCH * wide(call->model) * 4 >> cache->half;
    size_t K = call->model->kv_heads;
    *apart = one * cache->batch * K;
    return (char *)cache->blocks[stretch] + 2 * layer * *apart + (row * K + head) * one;
}

INLINE uint16_t rounded(float x) { /* to bfloat16, to nearest even; what is no number stays so */
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return bits >> 16 | 64;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* Put `x` at a row and column of a block of LANES rows; columns lie in pairs where it is half. */
INLINE void put(char *block, int half, int row, int column, float x) {
    if (half) ((uint16_t *)block)[(column / 2 * LANES + row) * 2 + column % 2] = rounded(x);
    else ((float *)block)[column * LANES + row] = x;
}

/* One head of keys and values and its queries, of some new tokens of a row: turned, and the former
 * put into the cache. */
static void store_keys_values(const Call *call, int layer, int row, int head, int first, int end) {
    const Model *m = call->model;
    const Layer *l = &m->layers[layer];
    int D = m->head_dim, half = call->cache->half, group = m->n_head / m->kv_heads;
    size_t apart, block = (size_t)LANES * wide(m) * 4 >> half; /* of keys; then of values */
    size_t lane = (size_t)LANES * STRETCH * 4 >> half;
    for (int i = first; i < end; i++) {
        float *q = call->qkv + ((size_t)row * call->new + i) * qkv_width(m);
        float *key = q + (m->n_head + head) * D, *value = key + m->kv_heads * D;
        int p = call->cache->length + i, at = p % STRETCH;
        char *keys = keys_of(call, p / STRETCH, layer, row, head, &apart), *values = keys + apart;
        for (int h = 0; h < group; h++)
            norm_and_rotate(call, &l->q_norm, i, q + (head * group + h) * D);
        norm_and_rotate(call, &l->k_norm, i, key);
        for (int k = 0; k < wide(m); k++) {
            float x = k < D ? value[k] : 0;
            put(keys + at / LANES * block, half, at % LANES, k, k < D ? key[k] : 0);
            put(values + k / LANES * lane, half, k % LANES, at, x);
            /* positions are taken in pairs: nothing is behind the last one */
            if (i + 1 == call->new && at % 2 == 0)
                put(values + k / LANES * lane, half, k % LANES, at + 1, 0);
        }
    }
}

/* Up to TILE queries q [n, D padded] over the first positions of a stretch, `lengths` each: parts
 * [n]. `scores` [TILE, STRETCH] is work. One function: parts are the same wherever they are made. */
static __attribute__((noinline)) void attend_block(const Model *m, int half, const char *keys,
                                              const char *values, const float *q,
                                              const int *lengths, int n, float *scores,
                                              float *parts) {
    int W = wide(m), most = 0;
    for (int t = 0; t < n; t++) most = lengths[t] > most ? lengths[t] : most;
    size_t key_block = (size_t)LANES * W >> half, value_block = (size_t)LANES * STRETCH >> half;
    Input in = {q, NULL, NULL, NULL, W}, weights = {scores, NULL, NULL, NULL, STRETCH};
    int blocks = (most + LANES - 1) / LANES, pairs = (most + 1) / 2 * 2, P = part_size(m);
    const uint32_t *k = (const uint32_t *)keys, *v = (const uint32_t *)values;
    if (half) blocks_of(k, key_block, blocks, W, &in, n, 1, scores, STRETCH);
    else if (W == 64) blocks_of(k, key_block, blocks, 64, &in, n, 0, scores, STRETCH);
    else blocks_of(k, key_block, blocks, W, &in, n, 0, scores, STRETCH);
    for (int t = 0; t < n; t++) {
        float *to = parts + (size_t)t * P + W;
        to[0] = softmax_block(scores + t * STRETCH, lengths[t], most, to + 1);
    }
    if (half) blocks_of(v, value_block, W / LANES, pairs, &weights, n, 1, parts, P);
    else blocks_of(v, value_block, W / LANES, pairs, &weights, n, 0, parts, P);
}

/* Put a part behind those that are in `all` already. */
static __attribute__((noinline)) void merge_parts(const Model *m, float *all, const float *part) {
    int W = wide(m);
    float most = all[W] > part[W] ? all[W] : part[W];
    float old = exponential((vec){0} + (all[W] - most))[0];
    float new = exponential((vec){0} + (part[W] - most))[0];
    for (int k = 0; k < W; k += LANES)
        *(loose *)(all + k) = *(loose *)(all + k) * old + *(const loose *)(part + k) * new;
    all[W] = most;
    all[W + 1] = all[W + 1] * old + part[W + 1] * new;
}

/* Of all parts of a query, what attention gives. */
INLINE void write_output(const Call *call, const float *all, size_t token, int head) {
    const Model *m = call->model;
    float *y = call->seen + token * PADDED(m->n_head * m->head_dim) + (size_t)head * m->head_dim;
    float by = 1 / all[wide(m) + 1];
    for (int k = 0; k < m->head_dim; k++) y[k] = all[k] * by;
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }

/* What a thread works with: queries and parts of a tile, scores, parts of a task. */
INLINE size_t work_size(const Model *m) {
    size_t group = m->n_head / m->kv_heads;
    return TILE * (wide(m) + part_size(m) + STRETCH) + ROWS * group * part_size(m);
}

/* The queries of a head of keys, of some new tokens of a row, over the stretches from `start` to
 * `stop`: put together in `all`, or each by itself. */
static void attend(const Call *call, int layer, int row, int head, int first, int end, int start,
                 int stop, float *work, float *all) {
    const Model *m = call->model;
    int D = m->head_dim, W = wide(m), P = part_size(m), group = m->n_head / m->kv_heads;
    int queries = (end - first) * group, lengths[TILE];
    float *q = work, *parts = q + TILE * W, *scores = parts + TILE * P, scale = 1 / sqrtf(D);
    for (int stretch = start; stretch < stop; stretch++) {
        size_t apart;
        const char *keys = keys_of(call, stretch, layer, row, head, &apart);
        for (int at = 0, n; at < queries; at += n) {
            n = smaller(TILE, queries - at);
            int seen = 0;
            for (int t = 0; t < n; t++) {
                int i = first + (at + t) / group;
                size_t token = (size_t)row * call->new + i;
                const float *from = call->qkv + token * qkv_width(m);
                from += (head * group + (at + t) % group) * D;
                for (int k = 0; k < W; k++) q[t * W + k] = k < D ? from[k] * scale : 0;
                lengths[t] = call->cache->length + i + 1 - stretch * STRETCH;
                lengths[t] = lengths[t] < 0 ? 0 : smaller(lengths[t], STRETCH);
                seen += lengths[t] > 0;
            }
            if (!seen) continue;
            attend_block(m, call->cache->half, keys, keys + apart, q, lengths, n, scores, parts);
            for (int t = 0; t < n; t++) {
                float *to = all + (size_t)(at + t) * P;
                if (stretch == start) memcpy(to, parts + (size_t)t * P, P * sizeof *to);
                else if (lengths[t]) merge_parts(m, to, parts + (size_t)t * P);
            }
        }
    }
}

/* Work of a task: a head of keys and values of a row, and some of the new tokens. */
INLINE int tiles_of(const Call *call) { return (call->new + ROWS - 1) / ROWS; }

static void attend_tile(const Call *call, int layer, int row, int head, int tile, float *work) {
    const Model *m = call->model;
    int first = tile * ROWS, end = smaller(first + ROWS, call->new);
    int group = m->n_head / m->kv_heads;
    float *all = work + TILE * (wide(m) + part_size(m) + STRETCH);
    attend(call, layer, row, head, first, end, 0, stretches(call->cache->length + end), work, all);
    for (int j = 0; j < (end - first) * group; j++)
        write_output(call, all + (size_t)j * part_size(m),
                     (size_t)row * call->new + first + j / group, head * group + j % group);
}

/* One stage where each task has its own keys. Two where tasks look at what others keep. Three
 * where there are fewer tasks than threads have time for: stretches are tasks, then put together. */
static void attention(const Call *call, int layer, float *work) {
    const Model *m = call->model;
    int K = m->kv_heads, tiles = tiles_of(call), heads = call->cache->batch * K;
    int group = m->n_head / K, count = stretches(call->cache->length + call->new);
    size_t P = part_size(m), queries = (size_t)call->new * group;
    for (int i; (i = task()) < heads * tiles;) {
        int row = i / tiles / K, head = i / tiles % K, first = i % tiles * ROWS;
        store_keys_values(call, layer, row, head, first, smaller(first + ROWS, call->new));
        if (tiles == 1 && !call->split) attend_tile(call, layer, row, head, 0, work);
    }
    barrier();
    if (tiles == 1 && !call->split) return;
    for (int i; !call->split && (i = task()) < heads * tiles;)
        attend_tile(call, layer, i / tiles / K, i / tiles % K, i % tiles, work);
    for (int i; call->split && (i = task()) < heads * count;) {
        int row = i / count / K, head = i / count % K, stretch = i % count;
        attend(call, layer, row, head, 0, call->new, stretch, stretch + 1, work,
             call->parts + i * queries * P);
    }
    barrier();
    if (!call->split) return;
    for (int i; (i = task()) < heads;)
        for (size_t j = 0; j < queries; j++) {
            float *all = call->parts + ((size_t)i * count * queries + j) * P;
            int token = j / group, seen = stretches(call->cache->length + token + 1);
            for (int stretch = 1; stretch < seen; stretch++)
                merge_parts(m, all, all + stretch * queries * P);
            write_output(call, all, (size_t)(i / K) * call->new + token, i % K * group + j % group);
        }
    barrier();
}

/* What a product is of: `from`, its rows `stride` apart; or what is `made` of it by the norm, or
 * by the gate where there is none. */
typedef struct { float *from; int stride; const Norm *norm; float *made; } Source;

/* Two stages: the input, made or not, in 8 bits where the weights are; then the product. */
static void multiply(const Call *call, const Matrix *m, Source of, int n, Output to) {
    const Model *model = call->model;
    Input in = {of.made ? of.made : of.from, call->small, call->scales, call->sums, m->cols};
    for (int t; (of.made || m->kind == INT8) && (t = task()) < n;) {
        float *x = (float *)in.x + (size_t)t * in.stride;
        const float *from = of.from + (size_t)t * of.stride;
        if (of.made && !of.norm) gate(from, model->inner, x);
        else if (of.made && model->rms_norm) rms_norm(from, of.norm, model->eps, model->width, x);
        else if (of.made) layer_norm(from, of.norm, model->eps, model->width, x);
        if (m->kind == INT8)
            quantize(x, in.stride, call->small + (size_t)t * in.stride,
                     call->scales + (size_t)t * (in.stride / GROUP), call->sums + t);
    }
    if (of.made || m->kind == INT8) barrier();
    product(m, &in, n, to);
    barrier();
}

static void embed(const Call *call, int token) {
    const Model *m = call->model;
    const Matrix *table = m->embedding;
    int64_t id = call->ids[token], lane = id % LANES;
    size_t at = (size_t)(id / LANES) * LANES * table->cols;
    float *x = call->x + (size_t)token * PADDED(m->width);
    for (int k = 0; k < m->width; k++) {
        uint32_t bits = 0;
        if (table->kind == FLOAT32) x[k] = ((float *)table->data)[at + k * LANES + lane];
        else if (table->kind == BFLOAT16) {
            bits = ((uint16_t *)table->data)[at + (k / 2 * LANES + lane) * 2 + k % 2];
            bits <<= 16;
            memcpy(&x[k], &bits, 4);
        } else {
            bits = ((uint8_t *)table->data)[at + (k / 4 * LANES + lane) * 4 + k % 4];
            x[k] = ((int)bits - 128) * table->scales[id];
        }
    }
    if (!m->positions) return;
    const float *position =
        m->positions + (size_t)(call->cache->length + token % call->new) * m->width;
    for (int k = 0; k < m->width; k++) x[k] += position[k];
}

static void forward(Call *call) {
    const Model *m = call->model;
    int C = m->width, P = PADDED(C), n = call->n, rows = call->cache->batch;
    int last = call->last, new = call->new, slot = atomic_fetch_add(&call->slot, 1);
    float *work = call->work + slot * work_size(m);
    int inner_wide = m->gated ? 2 * m->inner : PADDED(m->inner);
    Output stream = {call->x, P, ADD}, qkv = {call->qkv, qkv_width(m), STORE};
    Output logits = {call->logits, m->vocab, STORE};
    Output hidden = {call->f, inner_wide, m->gated ? STORE : m->exact_gelu ? EXACT_GELU : TANH_GELU};
    Source seen = {call->seen, PADDED(m->n_head * m->head_dim), NULL, NULL};
    Source inner = {call->f, inner_wide, NULL, m->gated ? call->gated : NULL};
    for (int t; (t = task()) < n;) embed(call, t);
    barrier();
    for (int l = 0; l < m->n_layer; l++) {
        const Layer *layer = &m->layers[l];
        multiply(call, &layer->c_attn, (Source){call->x, P, &layer->ln_1, call->a}, n, qkv);
        attention(call, l, work);
        multiply(call, &layer->c_proj, seen, n, stream);
        multiply(call, &layer->c_fc, (Source){call->x, P, &layer->ln_2, call->a}, n, hidden);
        multiply(call, &layer->c_out, inner, n, stream);
    }
    if (last && last < new && task() == 0) /* those whose logits are wanted, side by side */
        for (int t = 0; t < rows * last; t++) {
            size_t from = (size_t)(t / last * new + new - last + t % last) * P;
            memmove(call->x + (size_t)t * P, call->x + from, C * sizeof(float));
        }
    barrier();
    Source normed = {call->x, P, &m->ln_f, call->a};
    if (last) multiply(call, m->head, normed, rows * last, logits);
}

/* Let the parts of the work lie one after the other in `memory`; returns the bytes they take. */
static size_t lay_out(Call *call, char *memory, int threads) {
    const Model *m = call->model;
    size_t n = call->n, C = PADDED(m->width), Q = PADDED(m->n_head * m->head_dim), used = 0;
    size_t inner = PADDED(m->inner), widest = C > Q ? C : Q; /* of what is multiplied */
    widest = widest > inner ? widest : inner;
#define PART(name, count) \
    call->name = memory ? (void *)(memory + used) : NULL, used += ((count) * 4 + 63) / 64 * 64
    PART(x, n * C), PART(a, n * C), PART(seen, n * Q), PART(qkv, n * qkv_width(m));
    PART(f, m->gated ? n * 2 * m->inner + LANES : n * inner), PART(gated, m->gated ? n * inner : 0);
    PART(small, n * widest / 4), PART(scales, n * widest / GROUP), PART(sums, n);
    PART(work, threads * work_size(m));
    PART(parts, call->split ? call->cache->batch * call->new * m->n_head * part_size(m)
                              * stretches(call->cache->length + call->new) : 0);
    return used;
}

/* Read ids [batch, new] behind the `length` positions of a cache, which has room for them;
 * write the last logits of each row [batch, last, V]. `cosines` and `sines` [new, D / 2] are of the
 * angles by which positions turn heads, NULL where they do not. -1: no memory; -2: a wrong id. */
int tuillm_forward(const Model *model, Cache *cache, int new, int last, const int64_t *ids,
                   const float *cosines, const float *sines, float *logits, int threads) {
    Call call = {.model = model, .cache = cache, .new = new, .last = last,
                 .n = new * cache->batch, .ids = ids, .cosines = cosines, .sines = sines,
                 .logits = logits};
    call.split = tiles_of(&call) == 1 && stretches(cache->length + new) > 1
                 && cache->batch * model->kv_heads < SHARED * threads;
    for (int i = 0; i < call.n; i++)
        if (ids[i] < 0 || ids[i] >= model->vocab) return -2;
    size_t bytes = lay_out(&call, NULL, threads);
    char *memory = aligned_alloc(64, bytes);
    if (!memory) return -1;
    if (model->width % GROUP || model->n_head * model->head_dim % GROUP || model->inner % GROUP)
        memset(memory, 0, bytes); /* what pads the columns */
    lay_out(&call, memory, threads);
    pthread_mutex_lock(&pool.turn);
    run_on(threads, &call);
    pthread_mutex_unlock(&pool.turn);
    free(memory);
    return 0;
}
