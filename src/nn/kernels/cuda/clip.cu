// The operators of a CLIP around its matrix products, each in one pass over device memory.
//
// Follows rows.cu. Compiled by NVRTC when a model is loaded, without any header, with these macros:
// TYPE, of the numbers in memory (bf16, f16 or float); CHUNKS, how often 256 numbers cover a row;
// CURVE, the non-linearity; and but for float DIM, a multiple of 16 that covers a
// head, and CAUSAL. Biases, norms and positions are f32. Widths and heads are multiples of 8
// numbers, so that accesses are of 16 bytes.

// Levels (rows, side, side, 3) as patches (rows · grid², 3 · patch²), each level the number that
// `numbers` (3, 256) says.
template <class T>
__device__ void patches_of(const unsigned char *levels, const float *numbers, T *out, int rows,
                        int side, int patch, int grid) {
    __shared__ float known[768];
    for (int i = threadIdx.x; i < 768; i += blockDim.x) known[i] = numbers[i];
    __syncthreads();
    const int used = grid * patch;
    const long long all = static_cast<long long>(rows) * used * used;
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < all;
         i += step) {
        const int x = i % used;
        const long long line = i / used;
        const int y = line % used;
        const long long row = line / used;
        const unsigned char *from = levels + ((row * side + y) * side + x) * 3;
        const long long at = (row * grid + y / patch) * grid + x / patch;
        T *to = out + at * 3 * patch * patch + (y % patch) * patch + x % patch;
        for (int c = 0; c < 3; c++) one(to + c * patch * patch, known[c * 256 + from[c]]);
    }
}

// One warp a token: `out` (2, rows · tokens, width) becomes the pre-norm of the class token or a
// patch (rows, tokens - 1, width) with its position, and that under the norm of the first block.
template <class T, int COUNT>
__device__ void embed_patches(const T *patches, const float *class_token, const float *position,
                      const float *scale, const float *shift, const float *first_scale,
                      const float *first_shift, T *out, int rows, int tokens, int width,
                      float epsilon) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows * tokens) return;
    const int token = row % tokens;
    const size_t start = static_cast<size_t>(row) * width;
    const size_t from = (static_cast<size_t>(row / tokens) * (tokens - 1) + token - 1) * width;
    float v[COUNT][8] = {};
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        float p[8];
        if (token == 0) load(class_token + at, v[c]);
        else load(patches + from + at, v[c]);
        load(position + static_cast<size_t>(token) * width + at, p);
        for (int i = 0; i < 8; i++) v[c][i] += p[i];
    }
    norm_row(v, scale, shift, width, epsilon, lane);
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        store(out + start + at, v[c]);
    }
    norm_row(v, first_scale, first_shift, width, epsilon, lane);
    T *normed = out + static_cast<size_t>(rows) * tokens * width + start;
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        store(normed + at, v[c]);
    }
}

// One warp a token: `out` (2, rows · tokens, width) becomes the token's row of the table with its
// position, and that under the norm of the first block.
template <class T, int COUNT>
__device__ void look_up_tokens(const unsigned *ids, const T *table, const float *position,
                               const float *scale, const float *shift, T *out, int rows,
                               int tokens, int width, float epsilon) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows * tokens) return;
    const size_t start = static_cast<size_t>(row) * width;
    const size_t from = static_cast<size_t>(ids[row]) * width;
    const size_t place = static_cast<size_t>(row % tokens) * width;
    float v[COUNT][8] = {};
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        float p[8];
        load(table + from + at, v[c]);
        load(position + place + at, p);
        for (int i = 0; i < 8; i++) v[c][i] += p[i];
        store(out + start + at, v[c]);
    }
    norm_row(v, scale, shift, width, epsilon, lane);
    T *normed = out + static_cast<size_t>(rows) * tokens * width + start;
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        store(normed + at, v[c]);
    }
}

// Tensor cores: (16 × 16) · (16 × 8), f32 sums.
__device__ inline void multiply(bf16, float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void multiply(f16, float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <bool TRANSPOSED>
__device__ inline void matrices(unsigned (&r)[4], const void *shared) {
    const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}

// Sixteen bytes to shared memory, on the way while others are computed with; zeros where not
// `there`.
__device__ inline void fetch(void *shared, const void *from, bool there) {
    const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
}
__device__ inline void fetched() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// 64 tokens of one head; zeros past the last token and past the numbers of a head.
template <class T, int SIZE>
__device__ inline void fetch_tokens(T (*to)[SIZE + 8], const T *from, int first, int tokens,
                                    int step, int each) {
    for (int i = threadIdx.x; i < 64 * (SIZE / 8); i += blockDim.x) {
        const int token = i / (SIZE / 8), at = i % (SIZE / 8) * 8;
        const bool there = first + token < tokens && at < each;
        const T *source = there ? from + static_cast<size_t>(first + token) * step + at : from;
        fetch(&to[token][at], source, there);
    }
}

__device__ inline float power_of_two(float x) {
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
}

// Attention of Dao et al. (2022): scores never leave the registers. A block of four warps has 64
// queries of one head, a warp 16; keys come 64 at a time, the next ones while these are computed
// with. `qkv` (rows, tokens, 3, heads, each) still lacks `bias` (3, heads,
// each): that of queries is added here, that of keys changes no softmax, and that of values is
// added to their mean. `out` is (rows, tokens, heads, each).
template <class T, int SIZE, bool ORDERED>
__device__ void attend_heads(const T *qkv, const float *bias, T *out, int tokens, int heads,
                             int each, float scale) {
    // Two tiles of keys and values where there is room: the queries come through the second.
    constexpr int BUFFERS = SIZE <= 80 ? 2 : 1;
    __shared__ __align__(16) T tiles[2 * BUFFERS][64][SIZE + 8];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int width = heads * each, step = 3 * width;
    const int first = blockIdx.x * 64;
    const T *base = qkv + static_cast<size_t>(blockIdx.z) * tokens * step + blockIdx.y * each;
    bias += blockIdx.y * each;

    T(*queries)[SIZE + 8] = tiles[2 * BUFFERS - 2];
    fetch_tokens<T, SIZE>(queries, base, first, tokens, step, each);
    if (BUFFERS == 2) {
        fetch_tokens<T, SIZE>(tiles[0], base + width, 0, tokens, step, each);
        fetch_tokens<T, SIZE>(tiles[1], base + 2 * width, 0, tokens, step, each);
    }
    fetched();
    __syncthreads();
    unsigned q[SIZE / 16][4];
    #pragma unroll
    for (int k = 0; k < SIZE / 16; k++) {
        matrices<false>(q[k], &queries[warp * 16 + (lane & 15)][k * 16 + (lane >> 4) * 8]);
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const int at = k * 16 + (i >> 1) * 8 + (lane & 3) * 2;
            if (at >= each) continue;
            float low, high;
            apart(T(), q[k][i], low, high);
            q[k][i] = pair(T(), low + bias[at], high + bias[at + 1]);
        }
    }
    __syncthreads();

    const int own = first + warp * 16;
    const bool busy = own < tokens;
    float o[SIZE / 8][4] = {};
    float most[2] = {-1e30f, -1e30f}, sum[2] = {};
    const int end = ORDERED ? min(tokens, first + 64) : tokens;
    for (int start = 0, turn = 0; start < end; start += 64, turn++) {
        T(*keys)[SIZE + 8] = tiles[BUFFERS == 2 ? (turn & 1) * 2 : 0];
        T(*values)[SIZE + 8] = tiles[BUFFERS == 2 ? (turn & 1) * 2 + 1 : 1];
        if (BUFFERS == 1) {
            __syncthreads();
            fetch_tokens<T, SIZE>(keys, base + width, start, tokens, step, each);
            fetch_tokens<T, SIZE>(values, base + 2 * width, start, tokens, step, each);
        }
        if (BUFFERS == 1 || turn > 0) {
            fetched();
            __syncthreads();
        }
        if (BUFFERS == 2 && start + 64 < end) {
            const int next = ((turn + 1) & 1) * 2, from = start + 64;
            fetch_tokens<T, SIZE>(tiles[next], base + width, from, tokens, step, each);
            fetch_tokens<T, SIZE>(tiles[next + 1], base + 2 * width, from, tokens, step, each);
        }
        if (!busy || (ORDERED && start > own + 15)) continue;

        float s[8][4] = {};
        #pragma unroll
        for (int n = 0; n < 4; n++) {
            if (start + n * 16 >= end) break;
            #pragma unroll
            for (int k = 0; k < SIZE / 16; k++) {
                unsigned b[4];
                matrices<false>(b, &keys[n * 16 + (lane & 7) + ((lane >> 4) << 3)]
                                        [k * 16 + ((lane >> 3) & 1) * 8]);
                multiply(T(), s[2 * n], q[k], b[0], b[1]);
                multiply(T(), s[2 * n + 1], q[k], b[2], b[3]);
            }
        }
        const bool whole = start + 64 <= tokens && !(ORDERED && start + 63 > own);
        const int query = own + (lane >> 2);
        if (!whole)
            #pragma unroll
            for (int n = 0; n < 8; n++)
                #pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int key = start + n * 8 + (lane & 3) * 2 + (i & 1);
                    const bool seen =
                        key < tokens && (!ORDERED || key <= query + (i >> 1) * 8);
                    if (!seen) s[n][i] = -1e30f;
                }
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            float now = most[half];
            #pragma unroll
            for (int n = 0; n < 8; n++)
                now = fmaxf(now, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
            now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
            now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
            const float shrink = power_of_two((most[half] - now) * scale);
            most[half] = now;
            float all = sum[half] * shrink;
            #pragma unroll
            for (int n = 0; n < 8; n++)
                #pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    s[n][i] = power_of_two((s[n][i] - now) * scale);
                    all += s[n][i];
                }
            sum[half] = all;
            #pragma unroll
            for (int n = 0; n < SIZE / 8; n++) {
                o[n][2 * half] *= shrink;
                o[n][2 * half + 1] *= shrink;
            }
        }
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            if (start + k * 16 >= end) break;
            unsigned p[4];
            p[0] = pair(T(), s[2 * k][0], s[2 * k][1]);
            p[1] = pair(T(), s[2 * k][2], s[2 * k][3]);
            p[2] = pair(T(), s[2 * k + 1][0], s[2 * k + 1][1]);
            p[3] = pair(T(), s[2 * k + 1][2], s[2 * k + 1][3]);
            #pragma unroll
            for (int n = 0; n < SIZE / 16; n++) {
                unsigned b[4];
                matrices<true>(b, &values[k * 16 + (lane & 15)][n * 16 + (lane >> 4) * 8]);
                multiply(T(), o[2 * n], p, b[0], b[1]);
                multiply(T(), o[2 * n + 1], p, b[2], b[3]);
            }
        }
    }

    if (!busy) return;
    bias += 2 * width;
    #pragma unroll
    for (int half = 0; half < 2; half++) {
        float all = sum[half];
        all += __shfl_xor_sync(0xffffffffu, all, 1);
        all += __shfl_xor_sync(0xffffffffu, all, 2);
        const int at = own + (lane >> 2) + half * 8;
        if (at >= tokens) continue;
        const size_t row = static_cast<size_t>(blockIdx.z) * tokens + at;
        T *to = out + row * width + blockIdx.y * each;
        const float factor = 1.0f / all;
        #pragma unroll
        for (int n = 0; n < SIZE / 8; n++) {
            const int d = n * 8 + (lane & 3) * 2;
            if (d >= each) break;
            *reinterpret_cast<unsigned *>(to + d) =
                pair(T(), o[n][2 * half] * factor + bias[d],
                     o[n][2 * half + 1] * factor + bias[d + 1]);
        }
    }
}

extern "C" {

__global__ void patches(const unsigned char *levels, const float *numbers, TYPE *out, int rows,
                        int side, int patch, int grid) {
    patches_of<TYPE>(levels, numbers, out, rows, side, patch, grid);
}

__global__ void embed(const TYPE *patches, const float *class_token, const float *position,
                      const float *scale, const float *shift, const float *first_scale,
                      const float *first_shift, TYPE *out, int rows, int tokens, int width,
                      float epsilon) {
    embed_patches<TYPE, CHUNKS>(patches, class_token, position, scale, shift, first_scale,
                                first_shift, out, rows, tokens, width, epsilon);
}

__global__ void look_up(const unsigned *ids, const TYPE *table, const float *position,
                        const float *scale, const float *shift, TYPE *out, int rows, int tokens,
                        int width, float epsilon) {
    look_up_tokens<TYPE, CHUNKS>(ids, table, position, scale, shift, out, rows, tokens, width,
                                 epsilon);
}

__global__ void add_norm(const TYPE *x, const TYPE *y, const float *bias, const float *scale,
                         const float *shift, TYPE *out, int rows, int width, float epsilon) {
    add_and_norm<TYPE, CHUNKS>(x, y, bias, scale, shift, out, rows, width, epsilon);
}

__global__ void activate(const TYPE *x, const float *bias, TYPE *out, long long count, int width) {
    activate_all<TYPE, CURVE>(x, bias, out, count, width);
}

#ifdef DIM
__global__ void __launch_bounds__(128) attend(const TYPE *qkv, const float *bias, TYPE *out,
                                              int tokens, int heads, int each, float scale) {
    attend_heads<TYPE, DIM, CAUSAL>(qkv, bias, out, tokens, heads, each, scale);
}
#endif

}
