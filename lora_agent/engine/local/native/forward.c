/* Forward pass of a Llama-shaped decoder on 4-bit (NF4), bfloat16 or float32 weights, for CPUs with AVX2 and FMA.
 *
 * A call takes M rows: each is one token with its position, its own keys and values and its own adapter, so one
 * function serves prefill, decode and batches of different conversations. Weights are expanded in registers (few rows)
 * or in the first cache level (more rows) and never stored expanded. Activations are float32; keys and values are too,
 * or 8-bit integers with a float32 scale behind each head's vector.
 *
 * NF4: codes and block scales of bitsandbytes (QLoRA, arXiv 2305.14314), repacked by weights.py so that an expansion
 * is in order: byte table lookups give the four bytes of each float, two rounds of interleaving put them together.
 * With few rows the lookups are what takes time, not the arithmetic: there the table has two bytes a value, the
 * activations are rounded to 16 bits in blocks of 64, and products are summed as integers, two at a time. That loses a
 * hundredth of what bfloat16 loses, and takes a third of the instructions.
 * LoRA: y = W x + B (scaling A x), A and B bfloat16 or float32, ranks padded to a multiple of 8.
 */

#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_THREADS 64
#define LANES 8    /* floats of a register */
#define CHUNK 16   /* weight rows that a thread expands at a time */
#define PANEL 32   /* activation rows that stay in the second cache level meanwhile */
#define BLOCK 64   /* weights that share a scale */
#define FEW 8      /* rows up to which NF4 is multiplied as integers */
#define MOST 32767 /* of an integer weight or activation: two products fit into 31 bits */
#define ATTEND_ROWS 8   /* rows whose attention is worked out together */
#define ATTEND_TILE 32  /* keys, or values, that are read for all of them: 8 KB at 64 floats each */
#define MAX_SHARED 16   /* query heads on one key head, beyond which each goes alone */

enum { NF4 = 0, BF16 = 1, F32 = 2, INT8 = 3 };

typedef struct {
    int kind, n, k;         /* y (n) = W (n, k) x (k) */
    const uint8_t *codes;   /* NF4: n * k / 2 bytes, BF16: 2 n k, F32: 4 n k */
    const float *scales;    /* NF4: n * k / 64 */
    const float *bias;      /* n, or NULL */
} linear_t;

typedef struct {
    linear_t qkv, o, gate_up, down;
    const float *attention_norm, *mlp_norm;
    const float *q_norm, *k_norm; /* head_dim each, or NULL: Qwen3 normalises heads before rotation */
} layer_t;

/* The four places of a layer that adapters change; q, k, v and gate, up are read in one go. */
enum { AT_QKV, AT_O, AT_GATE_UP, AT_DOWN, PLACES };

typedef struct {
    int kind, rank;       /* BF16 or F32; rank padded to a multiple of LANES; 0: not at this place */
    float scaling[3];     /* per group */
    const uint8_t *a;     /* (groups * rank, k) */
    const uint8_t *b;     /* (n / CHUNK, rank, CHUNK) */
} update_t;

typedef struct { update_t *at; /* layers * PLACES */ } adapter_t;

typedef struct {
    int start, end;            /* rows of the call */
    const adapter_t *adapter;
} segment_t;

typedef struct { _Alignas(64) atomic_int at; } counter_t; /* a cache line: it is written while others read theirs */

typedef struct model model_t;
typedef void (*phase_t)(model_t *, int thread);

/* What a call does, by the time it takes; the order is that of PARTS in model.py. */
typedef enum { EMBED, NORM, QKV, PLACE, ATTEND, O, GATE_UP, DOWN, LORA, HEAD, PARTS } part_t;

struct model {
    int hidden, layers, heads, kv_heads, head_dim, inter, vocab, kv_kind;
    float eps;
    float table[16];
    const float *cosine, *sine, *final_norm;
    linear_t embedding, head;
    layer_t *layer;

    /* one call */
    int rows;
    const int32_t *tokens, *positions, *sequence;
    uint8_t *const *kv;
    const int64_t *capacity;
    segment_t *segments;
    int segment_count, groups, max_rank, widest;
    int at_layer, place;
    const linear_t *weight;
    const float *input;
    int input_width;
    const int32_t *output_rows, *subset;
    int output_count, subset_count;
    float *output;
    float *x, *h, *qkv, *attended, *act, *xa;
    size_t room[6];
    double seconds[PARTS];
    float *tile[MAX_THREADS], *score[MAX_THREADS];
    size_t tile_room[MAX_THREADS], score_room[MAX_THREADS];

    /* threads: one phase at a time, work handed out by `next`, the part of each thread by its own */
    int threads, max_positions_seen;
    pid_t owner;
    pthread_t worker[MAX_THREADS];
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic(phase_t) phase; /* NULL between calls: workers may sleep */
    atomic_int quit;
    counter_t next[MAX_THREADS], generation, arrived;
};

/* ---------------------------------------------------------------- arithmetic */

static inline float sum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline __m128 sum8x4(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

static inline float dot(const float *a, const float *b, int n) {
    __m256 s = _mm256_setzero_ps(), t = _mm256_setzero_ps();
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        s = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s);
        t = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), t);
    }
    for (; i < n; i += 8) s = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s);
    return sum8(_mm256_add_ps(s, t));
}

/* exp by 2^n * polynomial (Cephes expf), relative error about 1e-7 in [-87, 88]. */
static inline __m256 exp8(__m256 x) {
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.3f)), _mm256_set1_ps(88.3f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    x = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    x = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), x);
    __m256 y = _mm256_set1_ps(1.9875691500e-4f);
    y = _mm256_fmadd_ps(y, x, _mm256_set1_ps(1.3981999507e-3f));
    y = _mm256_fmadd_ps(y, x, _mm256_set1_ps(8.3334519073e-3f));
    y = _mm256_fmadd_ps(y, x, _mm256_set1_ps(4.1665795894e-2f));
    y = _mm256_fmadd_ps(y, x, _mm256_set1_ps(1.6666665459e-1f));
    y = _mm256_fmadd_ps(y, x, _mm256_set1_ps(5.0000001201e-1f));
    y = _mm256_add_ps(_mm256_fmadd_ps(y, _mm256_mul_ps(x, x), x), _mm256_set1_ps(1.0f));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(y, _mm256_castsi256_ps(power));
}

static void rms_norm(const float *x, const float *weight, float eps, int n, float *out) {
    float scale = 1.0f / sqrtf(dot(x, x, n) / n + eps);
    __m256 s = _mm256_set1_ps(scale);
    for (int i = 0; i < n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(weight + i), _mm256_mul_ps(_mm256_loadu_ps(x + i), s)));
}

/* ---------------------------------------------------------------- expansion of weights */

typedef struct {
    __m256i byte[4]; /* of the float */
    __m256i low, high; /* bytes of the value in units of 1 / MOST */
} table_t;

static inline __m256i sixteen(const uint8_t *bytes) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
}

static inline table_t load_table(const float *values) {
    table_t t;
    uint8_t bytes[16], low[16], high[16];
    for (int j = 0; j < 4; j++) {
        for (int i = 0; i < 16; i++) bytes[i] = ((const uint8_t *)(values + i))[j];
        t.byte[j] = sixteen(bytes);
    }
    for (int i = 0; i < 16; i++) {
        int value = (int)lrintf(values[i] * MOST);
        low[i] = value & 255;
        high[i] = value >> 8 & 255;
    }
    t.low = sixteen(low);
    t.high = sixteen(high);
    return t;
}

/* 32 codes, one a byte, to 4 vectors of 8 floats. */
static inline void expand32(const table_t *t, __m256i codes, __m256 *out) {
    __m256i b0 = _mm256_shuffle_epi8(t->byte[0], codes), b1 = _mm256_shuffle_epi8(t->byte[1], codes);
    __m256i b2 = _mm256_shuffle_epi8(t->byte[2], codes), b3 = _mm256_shuffle_epi8(t->byte[3], codes);
    __m256i low0 = _mm256_unpacklo_epi8(b0, b1), low1 = _mm256_unpackhi_epi8(b0, b1);
    __m256i high0 = _mm256_unpacklo_epi8(b2, b3), high1 = _mm256_unpackhi_epi8(b2, b3);
    out[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(low0, high0));
    out[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(low0, high0));
    out[2] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(low1, high1));
    out[3] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(low1, high1));
}

static inline __m256 widen8(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

static void expand_row(const table_t *t, const linear_t *w, int row, float *out) {
    int k = w->k;
    if (w->kind == BF16) {
        const uint16_t *p = (const uint16_t *)w->codes + (size_t)row * k;
        for (int i = 0; i < k; i += 8) _mm256_storeu_ps(out + i, widen8(p + i));
        return;
    }
    if (w->kind == F32) {
        memcpy(out, (const float *)w->codes + (size_t)row * k, sizeof(float) * k);
        return;
    }
    const uint8_t *codes = w->codes + (size_t)row * (k / 2);
    const float *scales = w->scales + (size_t)row * (k / BLOCK);
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int i = 0; i < k; i += BLOCK) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(codes + i / 2));
        __m256 s = _mm256_broadcast_ss(scales + i / BLOCK), v[8];
        expand32(t, _mm256_and_si256(both, nibble), v);
        expand32(t, _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble), v + 4);
        for (int j = 0; j < 8; j++) _mm256_storeu_ps(out + i + 8 * j, _mm256_mul_ps(v[j], s));
    }
}

/* Activations (k) in units of their block's scale, and the scales (k / BLOCK) with that of the weights' table in them.
 * The order within 16 is that of the pack instruction, and of the unpacked codes. */
static void quantize(const float *x, int k, int16_t *out, float *scales) {
    const __m256 positive = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    for (int i = 0; i < k; i += BLOCK) {
        __m256 most = _mm256_setzero_ps();
        for (int j = 0; j < BLOCK; j += 8) most = _mm256_max_ps(most, _mm256_and_ps(positive, _mm256_loadu_ps(x + i + j)));
        __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
        m = _mm_max_ps(m, _mm_movehl_ps(m, m));
        float greatest = _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
        __m256 units = _mm256_set1_ps(greatest > 0 ? MOST / greatest : 0);
        scales[i / BLOCK] = greatest / ((float)MOST * MOST);
        for (int j = 0; j < BLOCK; j += 16) {
            __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + j), units));
            __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + j + 8), units));
            _mm256_storeu_si256((__m256i *)(out + i + j), _mm256_packs_epi32(a, b));
        }
    }
}

/* y[m] = w[row] . x[m] for `rows` <= FEW quantized activation rows, which are k numbers and k / BLOCK scales apart. */
static inline __attribute__((always_inline)) void integer_dots(const table_t *t, const linear_t *w, int row, int rows,
                                                               const int16_t *x, const float *x_scales, float *y) {
    int k = w->k;
    const uint8_t *codes = w->codes + (size_t)row * (k / 2);
    const float *scales = w->scales + (size_t)row * (k / BLOCK);
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256 total[FEW];
    for (int m = 0; m < rows; m++) total[m] = _mm256_setzero_ps();
    for (int i = 0; i < k; i += BLOCK) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(codes + i / 2));
        __m256i first = _mm256_and_si256(both, nibble), second = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        __m256i low = _mm256_shuffle_epi8(t->low, first), high = _mm256_shuffle_epi8(t->high, first), v[4];
        v[0] = _mm256_unpacklo_epi8(low, high);
        v[1] = _mm256_unpackhi_epi8(low, high);
        low = _mm256_shuffle_epi8(t->low, second);
        high = _mm256_shuffle_epi8(t->high, second);
        v[2] = _mm256_unpacklo_epi8(low, high);
        v[3] = _mm256_unpackhi_epi8(low, high);
        __m256 scale = _mm256_broadcast_ss(scales + i / BLOCK);
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            const __m256i *a = (const __m256i *)(x + (size_t)m * k + i);
            __m256 p[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) p[j] = _mm256_cvtepi32_ps(_mm256_madd_epi16(v[j], _mm256_loadu_si256(a + j)));
            __m256 sum = _mm256_add_ps(_mm256_add_ps(p[0], p[1]), _mm256_add_ps(p[2], p[3]));
            __m256 unit = _mm256_mul_ps(scale, _mm256_broadcast_ss(x_scales + (size_t)m * (k / BLOCK) + i / BLOCK));
            total[m] = _mm256_fmadd_ps(sum, unit, total[m]);
        }
    }
    for (int m = 0; m < rows; m++) y[m] = sum8(total[m]);
}

/* A row of bfloat16 or float32 weights. */
static float row_dot(const linear_t *w, int row, const float *x) {
    int k = w->k;
    if (w->kind == F32) return dot((const float *)w->codes + (size_t)row * k, x, k);
    const uint16_t *p = (const uint16_t *)w->codes + (size_t)row * k;
    __m256 total = _mm256_setzero_ps(), other = _mm256_setzero_ps();
    int i = 0;
    for (; i + 16 <= k; i += 16) {
        total = _mm256_fmadd_ps(widen8(p + i), _mm256_loadu_ps(x + i), total);
        other = _mm256_fmadd_ps(widen8(p + i + 8), _mm256_loadu_ps(x + i + 8), other);
    }
    for (; i < k; i += 8) total = _mm256_fmadd_ps(widen8(p + i), _mm256_loadu_ps(x + i), total);
    return sum8(_mm256_add_ps(total, other));
}

/* ---------------------------------------------------------------- products */

/* out[m * 4 + n] for m < count <= 3 activation rows and 4 expanded weight rows. */
static inline __attribute__((always_inline)) void micro(const float *x, int stride, int count, const float *w, int k, float *out) {
    const float *x0 = x, *x1 = x + (count > 1 ? stride : 0), *x2 = x + (count > 2 ? 2 * stride : 0);
    __m256 s[3][4];
    for (int m = 0; m < 3; m++) for (int n = 0; n < 4; n++) s[m][n] = _mm256_setzero_ps();
    for (int i = 0; i < k; i += 8) {
        __m256 a = _mm256_loadu_ps(x0 + i), b = _mm256_loadu_ps(x1 + i), c = _mm256_loadu_ps(x2 + i);
#pragma GCC unroll 4
        for (int n = 0; n < 4; n++) {
            __m256 v = _mm256_loadu_ps(w + (size_t)n * k + i);
            s[0][n] = _mm256_fmadd_ps(a, v, s[0][n]);
            if (count > 1) s[1][n] = _mm256_fmadd_ps(b, v, s[1][n]);
            if (count > 2) s[2][n] = _mm256_fmadd_ps(c, v, s[2][n]);
        }
    }
    _mm_storeu_ps(out, sum8x4(s[0][0], s[0][1], s[0][2], s[0][3]));
    if (count > 1) _mm_storeu_ps(out + 4, sum8x4(s[1][0], s[1][1], s[1][2], s[1][3]));
    if (count > 2) _mm_storeu_ps(out + 8, sum8x4(s[2][0], s[2][1], s[2][2], s[2][3]));
}

static void micro_of(const float *x, int stride, int count, const float *w, int k, float *out) {
    if (count == 3) micro(x, stride, 3, w, k, out);
    else if (count == 2) micro(x, stride, 2, w, k, out);
    else micro(x, stride, 1, w, k, out);
}

/* What a product reads. `space`, CHUNK * k floats, belongs to it: the quantized rows, or else expanded weights. */
typedef struct { const float *x; int stride, rows; float *space; const float *scales; } input_t;

static input_t input_of(const linear_t *w, const float *x, int stride, int rows, float *space) {
    input_t in = {x, stride, rows, space, NULL};
    if (w->kind == NF4 && rows <= FEW) {
        float *scales = space + (size_t)rows * w->k / 2;
        for (int m = 0; m < rows; m++)
            quantize(x + (size_t)m * stride, w->k, (int16_t *)space + (size_t)m * w->k, scales + (size_t)m * (w->k / BLOCK));
        in.scales = scales;
    }
    return in;
}

/* y[n * rows + m] for `count` <= CHUNK weight rows from `first`; `ids` renames rows (vocabulary subsets) or is NULL. */
static void product(const table_t *t, const linear_t *w, const int32_t *ids, int first, int count, const input_t *in, float *y) {
    const float *x = in->x;
    float *space = in->space;
    int stride = in->stride, rows = in->rows;
    if (in->scales) {
        const int16_t *q = (const int16_t *)space;
        for (int n = 0; n < count; n++) {
            int row = ids ? ids[first + n] : first + n;
            float *to = y + (size_t)n * rows;
            switch (rows) { /* a function each: its sums stay in registers */
#define DOTS(rows) case rows: integer_dots(t, w, row, rows, q, in->scales, to); break;
                DOTS(1) DOTS(2) DOTS(3) DOTS(4) DOTS(5) DOTS(6) DOTS(7) DOTS(8)
#undef DOTS
            }
        }
    } else if (rows == 1) {
        for (int n = 0; n < count; n++) y[n] = row_dot(w, ids ? ids[first + n] : first + n, x);
    } else {
        int k = w->k;
        for (int n = 0; n < count; n++) expand_row(t, w, ids ? ids[first + n] : first + n, space + (size_t)n * k);
        for (int n = count; n & 3; n++) memset(space + (size_t)n * k, 0, sizeof(float) * k);
        for (int panel = 0; panel < rows; panel += PANEL) {
            int last = panel + PANEL < rows ? panel + PANEL : rows;
            for (int n = 0; n < count; n += 4)
                for (int m = panel; m < last; m += 3) {
                    float out[12];
                    const float *from = x + (size_t)m * stride, *weights = space + (size_t)n * k;
                    int some = last - m < 3 ? last - m : 3;
                    micro_of(from, stride, some, weights, k, out);
                    for (int i = 0; i < some; i++)
                        for (int j = 0; j < 4 && n + j < count; j++) y[(size_t)(n + j) * rows + m + i] = out[4 * i + j];
                }
        }
    }
    if (w->bias)
        for (int n = 0; n < count; n++)
            for (int m = 0; m < rows; m++) y[(size_t)n * rows + m] += w->bias[ids ? ids[first + n] : first + n];
}

static int group_of(const model_t *s, int n) {
    if (s->place == AT_QKV) {
        int q = s->heads * s->head_dim;
        return n < q ? 0 : n < q + s->kv_heads * s->head_dim ? 1 : 2;
    }
    return s->place == AT_GATE_UP && n >= s->inter;
}

static const update_t *update_of(const model_t *s, const segment_t *g) {
    return g->adapter ? &g->adapter->at[s->at_layer * PLACES + s->place] : NULL;
}

/* y += B xa for CHUNK weight rows from `first`. */
static void add_updates(const model_t *s, int first, int count, float *y) {
    for (int g = 0; g < s->segment_count; g++) {
        const segment_t *seg = &s->segments[g];
        const update_t *u = update_of(s, seg);
        if (!u || !u->rank) continue;
        size_t block = (size_t)(first / CHUNK) * u->rank * CHUNK;
        const uint16_t *half = (const uint16_t *)u->b + block;
        const float *full = (const float *)u->b + block;
        for (int m = seg->start; m < seg->end; m++) {
            const float *x = s->xa + (size_t)m * s->widest + group_of(s, first) * u->rank;
            __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
            float sum[CHUNK];
            for (int r = 0; r < u->rank; r++) {
                __m256 v = _mm256_broadcast_ss(x + r);
                if (u->kind == BF16) {
                    low = _mm256_fmadd_ps(v, widen8(half + r * CHUNK), low);
                    high = _mm256_fmadd_ps(v, widen8(half + r * CHUNK + LANES), high);
                } else {
                    low = _mm256_fmadd_ps(v, _mm256_loadu_ps(full + r * CHUNK), low);
                    high = _mm256_fmadd_ps(v, _mm256_loadu_ps(full + r * CHUNK + LANES), high);
                }
            }
            _mm256_storeu_ps(sum, low);
            _mm256_storeu_ps(sum + LANES, high);
            for (int n = 0; n < count; n++) y[(size_t)n * s->rows + m] += sum[n];
        }
    }
}

/* ---------------------------------------------------------------- threads */

static void relax(int *spins) {
    if (++*spins < 4000) _mm_pause();
    else sched_yield();
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_phase(model_t *s, part_t part, phase_t phase) {
    double started = now(); /* 20 ns, of 20 us and more that a phase takes */
    for (int i = 0; i < s->threads; i++) atomic_store_explicit(&s->next[i].at, 0, memory_order_relaxed);
    if (s->threads == 1) {
        phase(s, 0);
    } else {
        atomic_store_explicit(&s->arrived.at, 0, memory_order_relaxed);
        s->phase = phase;
        atomic_fetch_add_explicit(&s->generation.at, 1, memory_order_release);
        phase(s, 0);
        int spins = 0;
        while (atomic_load_explicit(&s->arrived.at, memory_order_acquire) < s->threads - 1) relax(&spins);
    }
    s->seconds[part] += now() - started;
}

typedef struct { model_t *model; int index; } worker_t;

static void *work(void *argument) {
    worker_t me = *(worker_t *)argument;
    free(argument);
    model_t *s = me.model;
    int seen = 0;
    for (;;) {
        int spins = 0;
        while (atomic_load_explicit(&s->generation.at, memory_order_acquire) == seen) {
            if (++spins < 4000) { _mm_pause(); continue; }
            if (s->phase) { sched_yield(); continue; } /* in the middle of a call */
            pthread_mutex_lock(&s->mutex);
            while (atomic_load(&s->generation.at) == seen && !s->phase && !atomic_load(&s->quit)) pthread_cond_wait(&s->wake, &s->mutex);
            pthread_mutex_unlock(&s->mutex);
            if (atomic_load(&s->quit)) return NULL;
        }
        seen++;
        atomic_load(&s->phase)(s, me.index);
        atomic_fetch_add_explicit(&s->arrived.at, 1, memory_order_release);
    }
}

/* The next of pieces of work that differ in size. */
static int take(model_t *s, int step) { return atomic_fetch_add_explicit(&s->next[0].at, step, memory_order_relaxed); }

/* The next `step` of n rows of weights, -1 when all are taken: first of the thread's own part, a long run through
 * memory of which no other core knows, then of those who are behind. */
static int take_run(model_t *s, int thread, int n, int step) {
    int pieces = (n + step - 1) / step;
    for (int i = 0; i < s->threads; i++) {
        int whose = (thread + i) % s->threads, from = pieces * whose / s->threads, to = pieces * (whose + 1) / s->threads;
        atomic_int *next = &s->next[whose].at;
        if (from + atomic_load_explicit(next, memory_order_relaxed) >= to) continue;
        int piece = from + atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
        if (piece < to) return piece * step;
    }
    return -1;
}

static void nothing(model_t *s, int thread) { (void)s; (void)thread; }

/* ---------------------------------------------------------------- phases of a layer */

static void norm_rows(model_t *s, const float *weight) {
    for (int m; (m = take(s, 1)) < s->rows;)
        rms_norm(s->x + (size_t)m * s->hidden, weight, s->eps, s->hidden, s->h + (size_t)m * s->hidden);
}

static void phase_attention_norm(model_t *s, int thread) { (void)thread; norm_rows(s, s->layer[s->at_layer].attention_norm); }
static void phase_mlp_norm(model_t *s, int thread) { (void)thread; norm_rows(s, s->layer[s->at_layer].mlp_norm); }
static void phase_final_norm(model_t *s, int thread) { (void)thread; norm_rows(s, s->final_norm); }

static void phase_embed(model_t *s, int thread) {
    (void)thread;
    table_t t = load_table(s->table);
    for (int m; (m = take(s, 1)) < s->rows;) expand_row(&t, &s->embedding, s->tokens[m], s->x + (size_t)m * s->hidden);
}

static int groups_at(int place) { return place == AT_QKV ? 3 : place == AT_GATE_UP ? 2 : 1; }

static float *tile(model_t *s, int thread, size_t floats) {
    if (s->tile_room[thread] < floats) {
        free(s->tile[thread]);
        s->tile[thread] = aligned_alloc(64, (floats * sizeof(float) + 63) & ~(size_t)63);
        s->tile_room[thread] = floats;
    }
    return s->tile[thread];
}

/* xa[m] = scaling A x[m] for the rows that have an adapter. */
static void phase_down_project(model_t *s, int thread) {
    int k = s->input_width, most = groups_at(s->place) * s->max_rank;
    float *space = tile(s, thread, (size_t)LANES * k);
    for (int r; (r = take_run(s, thread, most, LANES)) >= 0;)
        for (int g = 0; g < s->segment_count; g++) {
            const segment_t *seg = &s->segments[g];
            const update_t *u = update_of(s, seg);
            if (!u || !u->rank || r >= groups_at(s->place) * u->rank) continue;
            linear_t a = {u->kind, groups_at(s->place) * u->rank, k, u->a, NULL, NULL};
            float y[LANES], *to = s->xa + (size_t)seg->start * s->widest + r, scaling = u->scaling[r / u->rank];
            input_t one = {s->input + (size_t)seg->start * k, k, 1, space, NULL};
            if (seg->end - seg->start == 1) {
                product(NULL, &a, NULL, r, LANES, &one, y);
                for (int i = 0; i < LANES; i++) to[i] = scaling * y[i];
                continue;
            }
            for (int i = 0; i < LANES; i++) expand_row(NULL, &a, r + i, space + (size_t)i * k);
            for (int m = seg->start; m < seg->end; m += 3, to += 3 * s->widest) {
                int some = seg->end - m < 3 ? seg->end - m : 3;
                for (int i = 0; i < LANES; i += 4) {
                    float out[12];
                    micro_of(s->input + (size_t)m * k, k, some, space + (size_t)i * k, k, out);
                    for (int j = 0; j < 4 * some; j++) to[(size_t)(j / 4) * s->widest + i + j % 4] = scaling * out[j];
                }
            }
        }
}

/* W x + B A x of all rows to out (rows, w->n), written or added. */
static void multiply_into(model_t *s, int thread, float *out, int add) {
    const linear_t *w = s->weight;
    table_t t = load_table(s->table);
    float *space = tile(s, thread, (size_t)CHUNK * w->k + (size_t)CHUNK * s->rows), *y = space + (size_t)CHUNK * w->k;
    input_t in = input_of(w, s->input, s->input_width, s->rows, space);
    for (int first; (first = take_run(s, thread, w->n, CHUNK)) >= 0;) {
        int count = w->n - first < CHUNK ? w->n - first : CHUNK;
        product(&t, w, NULL, first, count, &in, y);
        add_updates(s, first, count, y);
        for (int m = 0; m < s->rows; m++) {
            float *to = out + (size_t)m * w->n + first;
            for (int n = 0; n < count; n++) to[n] = (add ? to[n] : 0.0f) + y[(size_t)n * s->rows + m];
        }
    }
}

static void phase_qkv(model_t *s, int thread) { multiply_into(s, thread, s->qkv, 0); }

/* o and down: their output, as wide as the residual stream, is added to it. */
static void phase_add(model_t *s, int thread) { multiply_into(s, thread, s->x, 1); }

static void phase_gate_up(model_t *s, int thread) {
    const linear_t *w = s->weight;
    table_t t = load_table(s->table);
    size_t part = (size_t)CHUNK * s->rows;
    float *space = tile(s, thread, (size_t)CHUNK * w->k + 2 * part), *gate = space + (size_t)CHUNK * w->k, *up = gate + part;
    const __m256 one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    input_t in = input_of(w, s->input, s->input_width, s->rows, space);
    for (int first; (first = take_run(s, thread, s->inter, CHUNK)) >= 0;) {
        int count = s->inter - first < CHUNK ? s->inter - first : CHUNK;
        product(&t, w, NULL, first, count, &in, gate);
        add_updates(s, first, count, gate);
        product(&t, w, NULL, s->inter + first, count, &in, up);
        add_updates(s, s->inter + first, count, up);
        size_t all = (size_t)count * s->rows, i = 0;
        for (; i + 8 <= all; i += 8) { /* silu(gate) * up */
            __m256 g = _mm256_loadu_ps(gate + i);
            __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_sub_ps(zero, g))));
            _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
        }
        for (; i < all; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
        for (int m = 0; m < s->rows; m++)
            for (int n = 0; n < count; n++) s->act[(size_t)m * s->inter + first + n] = gate[(size_t)n * s->rows + m];
    }
}

static void rotate(const model_t *s, float *v, int position) {
    int half = s->head_dim / 2;
    const float *c = s->cosine + (size_t)position * half, *n = s->sine + (size_t)position * half;
    for (int i = 0; i < half; i += 8) {
        __m256 a = _mm256_loadu_ps(v + i), b = _mm256_loadu_ps(v + half + i);
        __m256 cs = _mm256_loadu_ps(c + i), sn = _mm256_loadu_ps(n + i);
        _mm256_storeu_ps(v + i, _mm256_fmsub_ps(a, cs, _mm256_mul_ps(b, sn)));
        _mm256_storeu_ps(v + half + i, _mm256_fmadd_ps(b, cs, _mm256_mul_ps(a, sn)));
    }
}

/* Bytes of one head's key or value. */
static size_t kv_width(const model_t *s) { return s->kv_kind == INT8 ? (size_t)s->head_dim + sizeof(float) : (size_t)s->head_dim * sizeof(float); }

/* The first key, or value, of row m's sequence. */
static uint8_t *keys_of(const model_t *s, int m, int head, int values) {
    int q = s->sequence[m];
    size_t at = ((size_t)s->at_layer * 2 + values) * s->kv_heads + head;
    return s->kv[q] + at * s->capacity[q] * kv_width(s);
}

static void store(const model_t *s, uint8_t *to, const float *v) {
    int d = s->head_dim;
    if (s->kv_kind == F32) { memcpy(to, v, sizeof(float) * d); return; }
    float most = 0;
    for (int i = 0; i < d; i++) most = fabsf(v[i]) > most ? fabsf(v[i]) : most;
    float scale = most / 127, units = most > 0 ? 127 / most : 0;
    for (int i = 0; i < d; i++) ((int8_t *)to)[i] = (int8_t)lrintf(v[i] * units);
    memcpy(to + d, &scale, sizeof(float));
}

/* `count` keys, or values, from position t on, as floats; `space`: count * head_dim of them, used if need be. */
static const float *load_kv(const model_t *s, const uint8_t *from, int t, int count, float *space) {
    int d = s->head_dim;
    if (s->kv_kind == F32) return (const float *)from + (size_t)t * d;
    for (int i = 0; i < count; i++) {
        const uint8_t *v = from + (size_t)(t + i) * kv_width(s);
        __m256 scale = _mm256_broadcast_ss((const float *)(v + d));
        for (int j = 0; j < d; j += 8)
            _mm256_storeu_ps(space + (size_t)i * d + j,
                             _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(v + j))))));
    }
    return space;
}

/* Rotate queries and keys; keys and values go to their places. */
static void phase_place(model_t *s, int thread) {
    (void)thread;
    const layer_t *layer = &s->layer[s->at_layer];
    int d = s->head_dim, width = (s->heads + 2 * s->kv_heads) * d;
    for (int m; (m = take(s, 1)) < s->rows;) {
        float *row = s->qkv + (size_t)m * width;
        int position = s->positions[m];
        for (int h = 0; h < s->heads + s->kv_heads; h++) {
            const float *norm = h < s->heads ? layer->q_norm : layer->k_norm;
            if (norm) rms_norm(row + h * d, norm, s->eps, d, row + h * d);
            rotate(s, row + h * d, position);
        }
        for (int h = 0; h < s->kv_heads; h++) {
            store(s, keys_of(s, m, h, 0) + position * kv_width(s), row + (s->heads + h) * d);
            store(s, keys_of(s, m, h, 1) + position * kv_width(s), row + (s->heads + s->kv_heads + h) * d);
        }
    }
}

/* score[i][t] = q[i] . keys[t] / sqrt(d) of `n` queries, at most 3, for `count` keys. Rows of `q` are d apart, those of
 * `score` `stride`. Three queries at once: a key that has been loaded is used three times. */
static inline __attribute__((always_inline)) void scores(int n, int d, const float *q, const float *keys, int count, float *score, int stride) {
    float scale = 1.0f / sqrtf((float)d);
    int t = 0;
    for (; t + 4 <= count; t += 4) {
        const float *k = keys + (size_t)t * d;
        __m256 a[3][4];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 4; j++) a[i][j] = _mm256_setzero_ps();
        for (int x = 0; x < d; x += 8)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                __m256 key = _mm256_loadu_ps(k + (size_t)j * d + x);
#pragma GCC unroll 3
                for (int i = 0; i < n; i++) a[i][j] = _mm256_fmadd_ps(_mm256_loadu_ps(q + (size_t)i * d + x), key, a[i][j]);
            }
        for (int i = 0; i < n; i++)
            _mm_storeu_ps(score + (size_t)i * stride + t, _mm_mul_ps(sum8x4(a[i][0], a[i][1], a[i][2], a[i][3]), _mm_set1_ps(scale)));
    }
    for (; t < count; t++)
        for (int i = 0; i < n; i++) score[(size_t)i * stride + t] = dot(q + (size_t)i * d, keys + (size_t)t * d, d) * scale;
}

/* exp(score - greatest) in place, for `count` scores; returns 1 / their sum. Up to 7 floats beyond are written. */
static float exponentials(float *score, int count) {
    float most = -INFINITY;
    for (int t = 0; t < count; t++) most = score[t] > most ? score[t] : most;
    for (int t = count; t & 7; t++) score[t] = -INFINITY;
    __m256 total = _mm256_setzero_ps(), top = _mm256_set1_ps(most);
    for (int i = 0; i < count; i += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(score + i), top));
        if (i + 8 > count) { /* what stands beyond the last key counts nothing */
            float tail[8];
            _mm256_storeu_ps(tail, e);
            for (int j = count - i; j < 8; j++) tail[j] = 0;
            e = _mm256_loadu_ps(tail);
        }
        _mm256_storeu_ps(score + i, e);
        total = _mm256_add_ps(total, e);
    }
    return 1.0f / sum8(total);
}

/* out[i] += sum over t of share[i][t] * values[t], for `count` values; rows as in `scores`. */
static inline __attribute__((always_inline)) void gather(int n, int d, const float *share, int stride, const float *values, int count, float *out) {
    int x = 0;
    for (; x + 32 <= d; x += 32) {
        __m256 sum[3][4];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 4; j++) sum[i][j] = _mm256_loadu_ps(out + (size_t)i * d + x + 8 * j);
        for (int t = 0; t < count; t++) {
            const float *v = values + (size_t)t * d + x;
            __m256 p[3];
            for (int i = 0; i < n; i++) p[i] = _mm256_broadcast_ss(share + (size_t)i * stride + t);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                __m256 value = _mm256_loadu_ps(v + 8 * j);
#pragma GCC unroll 3
                for (int i = 0; i < n; i++) sum[i][j] = _mm256_fmadd_ps(p[i], value, sum[i][j]);
            }
        }
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 4; j++) _mm256_storeu_ps(out + (size_t)i * d + x + 8 * j, sum[i][j]);
    }
    for (; x < d; x += 8)
        for (int i = 0; i < n; i++) {
            __m256 sum = _mm256_loadu_ps(out + (size_t)i * d + x);
            for (int t = 0; t < count; t++)
                sum = _mm256_fmadd_ps(_mm256_broadcast_ss(share + (size_t)i * stride + t), _mm256_loadu_ps(values + (size_t)t * d + x), sum);
            _mm256_storeu_ps(out + (size_t)i * d + x, sum);
        }
}

static void scores_of(int n, int d, const float *q, const float *keys, int count, float *score, int stride) {
    if (n == 3) scores(3, d, q, keys, count, score, stride);
    else if (n == 2) scores(2, d, q, keys, count, score, stride);
    else scores(1, d, q, keys, count, score, stride);
}

static void gather_of(int n, int d, const float *share, int stride, const float *values, int count, float *out) {
    if (n == 3) gather(3, d, share, stride, values, count, out);
    else if (n == 2) gather(2, d, share, stride, values, count, out);
    else gather(1, d, share, stride, values, count, out);
}

/* Rows `from` to `to` of one sequence, `heads` query heads from `head` on that share keys and values: these are read
 * tile by tile, each tile for all queries, so that a tile comes from memory once. */
static void attend(const model_t *s, int from, int to, int head, int heads, float *score) {
    int d = s->head_dim, width = (s->heads + 2 * s->kv_heads) * d, shared = s->heads / s->kv_heads;
    int stride = (s->max_positions_seen + 7) & ~7, longest = s->positions[to - 1] + 1;
    float whole[ATTEND_ROWS * MAX_SHARED], *space = score + (size_t)stride * (to - from) * heads;
    for (int pass = 0; pass < 2; pass++) {
        const uint8_t *all = keys_of(s, from, head / shared, pass);
        for (int t = 0; t < longest; t += ATTEND_TILE) {
            const float *tile = load_kv(s, all, t, longest - t < ATTEND_TILE ? longest - t : ATTEND_TILE, space);
            for (int m = from; m < to; m++) {
                int left = s->positions[m] + 1 - t, count = left < ATTEND_TILE ? left : ATTEND_TILE;
                for (int h = head; count > 0 && h < head + heads; h += 3) {
                    float *own = score + (size_t)((m - from) * heads + h - head) * stride + t;
                    int n = head + heads - h < 3 ? head + heads - h : 3;
                    if (pass == 0) scores_of(n, d, s->qkv + (size_t)m * width + h * d, tile, count, own, stride);
                    else gather_of(n, d, own, stride, tile, count, s->attended + ((size_t)m * s->heads + h) * d);
                }
            }
        }
        for (int m = from; m < to; m++)
            for (int h = head; h < head + heads; h++) {
                int query = (m - from) * heads + h - head;
                float *out = s->attended + ((size_t)m * s->heads + h) * d;
                if (pass == 0) {
                    whole[query] = exponentials(score + (size_t)query * stride, s->positions[m] + 1);
                    memset(out, 0, sizeof(float) * d);
                } else {
                    for (int i = 0; i < d; i++) out[i] *= whole[query];
                }
            }
    }
}

/* Work is handed out as blocks of rows of one sequence and groups of heads; where that makes few pieces of work, each head alone. */
static void phase_attend(model_t *s, int thread) {
    int shared = s->heads / s->kv_heads, blocks = (s->rows + ATTEND_ROWS - 1) / ATTEND_ROWS;
    int heads = blocks * s->kv_heads >= s->threads && shared <= MAX_SHARED ? shared : 1;
    size_t room = (size_t)((s->max_positions_seen + 7) & ~7) * ATTEND_ROWS * heads + (size_t)ATTEND_TILE * s->head_dim;
    if (s->score_room[thread] < room) {
        free(s->score[thread]);
        s->score[thread] = malloc(room * sizeof(float));
        s->score_room[thread] = room;
    }
    int groups = s->heads / heads, end = s->rows, before = 0;
    for (int i; (i = take(s, 1)) >= 0;) { /* from the last block to the first: the longest come first */
        int from, to = end;
        for (;; before += groups, end = to = from) {
            if (to == 0) return;
            from = to - 1;
            while (from > 0 && to - from < ATTEND_ROWS && s->sequence[from - 1] == s->sequence[to - 1]) from--;
            if (i < before + groups) break;
        }
        int group = i - before;
        attend(s, from, to, group * heads, heads, s->score[thread]);
    }
}

static void phase_head(model_t *s, int thread) {
    const linear_t *w = &s->head;
    int n = s->subset ? s->subset_count : w->n;
    table_t t = load_table(s->table);
    float *space = tile(s, thread, (size_t)CHUNK * w->k + (size_t)CHUNK * s->output_count), *y = space + (size_t)CHUNK * w->k;
    input_t in = input_of(w, s->xa, s->hidden, s->output_count, space);
    for (int first; (first = take_run(s, thread, n, CHUNK)) >= 0;) {
        int count = n - first < CHUNK ? n - first : CHUNK;
        product(&t, w, s->subset, first, count, &in, y);
        for (int m = 0; m < s->output_count; m++)
            for (int i = 0; i < count; i++) s->output[(size_t)m * n + first + i] = y[(size_t)i * s->output_count + m];
    }
}

/* ---------------------------------------------------------------- one call */

static int grow(model_t *s, float **buffer, int slot, size_t floats) {
    if (s->room[slot] >= floats) return 0;
    free(*buffer);
    *buffer = aligned_alloc(64, (floats * sizeof(float) + 63) & ~(size_t)63);
    s->room[slot] = *buffer ? floats : 0;
    return *buffer == NULL;
}

static void multiply(model_t *s, part_t part, int place, const linear_t *w, const float *input, phase_t phase) {
    s->place = place;
    s->weight = w;
    s->input = input;
    s->input_width = w->k;
    if (s->max_rank) run_phase(s, LORA, phase_down_project);
    run_phase(s, part, phase);
}

static void wake_workers(model_t *s) {
    if (s->owner != getpid()) { s->threads = 1; s->owner = getpid(); } /* a fork has no worker threads */
    if (s->threads == 1) return;
    pthread_mutex_lock(&s->mutex);
    s->phase = nothing;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

static void rest_workers(model_t *s) {
    if (s->threads > 1) s->phase = NULL;
}

static void tap(model_t *s, int index, const int32_t *layers, int count, const float *from, float *out) {
    for (int i = 0; i < count; i++)
        if (layers[i] == index) memcpy(out + (size_t)i * s->rows * s->hidden, from, sizeof(float) * s->rows * s->hidden);
}

/* Reads `rows` tokens. kv[i], capacity[i]: (layers, 2, kv_heads, capacity, kv_width) of sequence i; row m belongs to
 * sequence[m], stands at positions[m] and attends to all positions before. adapters: per row, NULL for the base.
 * taps: (tap_count, rows, hidden), the residual stream before layer tap_layers[i], or normalised after the last.
 * What lora_agent_head needs of the rows named is kept for it. Returns 0, or 1 for lack of memory. */
EXPORT int lora_agent_forward(model_t *s, int rows, const int32_t *tokens, const int32_t *positions, const int32_t *sequence,
                              uint8_t *const *kv, const int64_t *capacity, const adapter_t *const *adapters,
                              int tap_count, const int32_t *tap_layers, float *taps,
                              int output_count, const int32_t *output_rows) {
    s->rows = rows;
    s->tokens = tokens;
    s->positions = positions;
    s->sequence = sequence;
    s->kv = kv;
    s->capacity = capacity;
    s->segments = malloc(sizeof(segment_t) * rows);
    if (!s->segments) return 1;
    s->segment_count = s->max_rank = s->max_positions_seen = 0;
    for (int m = 0; m < rows; m++) {
        if (positions[m] + 1 > s->max_positions_seen) s->max_positions_seen = positions[m] + 1;
        if (m && adapters[m] == adapters[m - 1]) { s->segments[s->segment_count - 1].end = m + 1; continue; }
        s->segments[s->segment_count++] = (segment_t){m, m + 1, adapters[m]};
        if (adapters[m])
            for (int i = 0; i < s->layers * PLACES; i++)
                if (adapters[m]->at[i].rank > s->max_rank) s->max_rank = adapters[m]->at[i].rank;
    }
    s->widest = 3 * s->max_rank;
    size_t n = rows, q = (size_t)s->heads * s->head_dim, xa = n * s->widest, normed = (size_t)output_count * s->hidden;
    if (grow(s, &s->x, 0, n * s->hidden) || grow(s, &s->h, 1, n * s->hidden) || grow(s, &s->attended, 2, n * q) ||
        grow(s, &s->qkv, 3, n * (q + 2 * (size_t)s->kv_heads * s->head_dim)) || grow(s, &s->act, 4, n * s->inter) ||
        grow(s, &s->xa, 5, (xa > normed ? xa : normed) + 8)) {
        free(s->segments);
        return 1;
    }
    wake_workers(s);
    run_phase(s, EMBED, phase_embed);
    for (int i = 0; i < s->layers; i++) {
        const layer_t *layer = &s->layer[i];
        s->at_layer = i;
        tap(s, i, tap_layers, tap_count, s->x, taps);
        run_phase(s, NORM, phase_attention_norm);
        multiply(s, QKV, AT_QKV, &layer->qkv, s->h, phase_qkv);
        run_phase(s, PLACE, phase_place);
        run_phase(s, ATTEND, phase_attend);
        multiply(s, O, AT_O, &layer->o, s->attended, phase_add);
        run_phase(s, NORM, phase_mlp_norm);
        multiply(s, GATE_UP, AT_GATE_UP, &layer->gate_up, s->h, phase_gate_up);
        multiply(s, DOWN, AT_DOWN, &layer->down, s->act, phase_add);
    }
    if (output_count || tap_count) run_phase(s, NORM, phase_final_norm);
    tap(s, s->layers, tap_layers, tap_count, s->h, taps);
    for (int i = 0; i < output_count; i++)
        memcpy(s->xa + (size_t)i * s->hidden, s->h + (size_t)output_rows[i] * s->hidden, sizeof(float) * s->hidden);
    s->output_count = output_count;
    rest_workers(s);
    free(s->segments);
    return 0;
}

/* Logits of the rows that the forward pass just before this call kept: (output_count, vocab), or of the tokens in
 * `subset` alone (output_count, subset_count). */
EXPORT void lora_agent_head(model_t *s, int subset_count, const int32_t *subset, float *output) {
    s->subset = subset_count ? subset : NULL;
    s->subset_count = subset_count;
    s->output = output;
    wake_workers(s);
    run_phase(s, HEAD, phase_head);
    rest_workers(s);
}

/* Seconds that each part took in all calls so far: PARTS numbers. */
EXPORT void lora_agent_seconds(const model_t *s, double *out) { memcpy(out, s->seconds, sizeof(s->seconds)); }

/* ---------------------------------------------------------------- making and freeing */

/* sizes: hidden, layers, heads, kv_heads, head_dim, inter, vocab, kind of embedding and head, F32 or INT8 keys. table: the 16 values of
 * NF4. cosine, sine: (positions, head_dim / 2). */
EXPORT model_t *lora_agent_new(const int32_t *sizes, float eps, const float *table, const float *cosine, const float *sine,
                               const uint8_t *embedding, const uint8_t *head, const float *final_norm, int threads) {
    model_t *s = aligned_alloc(64, sizeof(model_t));
    if (!s) return NULL;
    memset(s, 0, sizeof(model_t));
    s->hidden = sizes[0]; s->layers = sizes[1]; s->heads = sizes[2]; s->kv_heads = sizes[3];
    s->head_dim = sizes[4]; s->inter = sizes[5]; s->vocab = sizes[6]; s->kv_kind = sizes[8];
    s->eps = eps;
    memcpy(s->table, table, sizeof(s->table));
    s->cosine = cosine; s->sine = sine; s->final_norm = final_norm;
    s->embedding = (linear_t){sizes[7], s->vocab, s->hidden, embedding, NULL, NULL};
    s->head = (linear_t){sizes[7], s->vocab, s->hidden, head, NULL, NULL};
    s->layer = calloc(s->layers, sizeof(layer_t));
    s->threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    s->owner = getpid();
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    for (int i = 1; i < s->threads; i++) {
        worker_t *w = malloc(sizeof(worker_t));
        if (!w) { s->threads = i; break; }
        *w = (worker_t){s, i};
        if (pthread_create(&s->worker[i], NULL, work, w)) { free(w); s->threads = i; break; }
    }
    return s;
}

/* place: AT_*; codes, scales, bias as in linear_t. */
EXPORT void lora_agent_set_linear(model_t *s, int layer, int place, int kind, int n, int k, const uint8_t *codes,
                                  const float *scales, const float *bias) {
    layer_t *l = &s->layer[layer];
    linear_t *at[PLACES] = {&l->qkv, &l->o, &l->gate_up, &l->down};
    *at[place] = (linear_t){kind, n, k, codes, scales, bias};
}

EXPORT void lora_agent_set_norms(model_t *s, int layer, const float *attention, const float *mlp, const float *q, const float *k) {
    layer_t *l = &s->layer[layer];
    l->attention_norm = attention; l->mlp_norm = mlp; l->q_norm = q; l->k_norm = k;
}

EXPORT adapter_t *lora_agent_adapter_new(const model_t *s) {
    adapter_t *a = malloc(sizeof(adapter_t));
    if (a && !(a->at = calloc((size_t)s->layers * PLACES, sizeof(update_t)))) { free(a); a = NULL; }
    return a;
}

/* kind: BF16 or F32; scaling: three numbers; down, up: as a and b of update_t. */
EXPORT void lora_agent_adapter_set(adapter_t *a, int layer, int place, int kind, int rank, const float *scaling,
                                   const uint8_t *down, const uint8_t *up) {
    a->at[layer * PLACES + place] = (update_t){kind, rank, {scaling[0], scaling[1], scaling[2]}, down, up};
}

EXPORT void lora_agent_adapter_free(adapter_t *a) { if (a) { free(a->at); free(a); } }

EXPORT void lora_agent_free(model_t *s) {
    if (!s) return;
    if (s->threads > 1 && s->owner == getpid()) {
        pthread_mutex_lock(&s->mutex);
        atomic_store(&s->quit, 1);
        pthread_cond_broadcast(&s->wake);
        pthread_mutex_unlock(&s->mutex);
        for (int i = 1; i < s->threads; i++) pthread_join(s->worker[i], NULL);
    }
    for (int i = 0; i < MAX_THREADS; i++) { free(s->tile[i]); free(s->score[i]); }
    free(s->x); free(s->h); free(s->attended); free(s->qkv); free(s->act); free(s->xa);
    free(s->layer);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->wake);
    free(s);
}
