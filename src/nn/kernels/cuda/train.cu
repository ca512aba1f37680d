// The operators of a GPT-2 around its matrix products, and their gradients.
//
// Follows rows.cu. Macros: TYPE, of the numbers in memory (bf16, f16 or float); CHUNKS, how often
// 256 numbers cover a row. Sums over rows are made in two steps, without atomics: the same input
// gives the same bits.

template <class T> __device__ inline float get(const T *from) {
    float low, high;
    apart(T(), from->bits, low, high);
    return low;
}
template <> __device__ inline float get<float>(const float *from) { return *from; }

// The largest or the sum of what all threads of a block have; `shared` has room for 32 numbers.
__device__ inline float block_most(float x, float *shared) {
    for (int of = 16; of > 0; of >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, of));
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
    __syncthreads();
    x = shared[0];
    for (int i = 1; i < (blockDim.x >> 5); i++) x = fmaxf(x, shared[i]);
    return x;
}
__device__ inline float block_sum(float x, float *shared) {
    x = warp_sum(x);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
    __syncthreads();
    x = shared[0];
    for (int i = 1; i < (blockDim.x >> 5); i++) x += shared[i];
    return x;
}

extern "C" {

// A warp a row: a layer norm.
__global__ void norm_rows(const TYPE *x, const float *scale, const float *shift, TYPE *out, int rows,
                     int width, float epsilon) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    const size_t start = static_cast<size_t>(row) * width;
    float v[CHUNKS][8] = {};
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at < width) load(x + start + at, v[c]);
    }
    norm_row(v, scale, shift, width, epsilon, lane);
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at < width) store(out + start + at, v[c]);
    }
}

__global__ void add_norm(const TYPE *x, const TYPE *y, const float *bias, const float *scale,
                         const float *shift, TYPE *out, int rows, int width, float epsilon) {
    add_and_norm<TYPE, CHUNKS>(x, y, bias, scale, shift, out, rows, width, epsilon);
}

// The gradient of a layer norm's argument, `more` added to it: with `n` the normed row and `g` its
// gradient times scale, (g - mean(g) - n · mean(g · n)) / deviation. `sums` (blocks, 2, width)
// becomes those of scale and shift over the rows of each block of four warps.
__global__ void norm_back(const TYPE *x, const TYPE *of_out, const TYPE *more, const float *scale,
                          TYPE *out, float *sums, int rows, int width, float epsilon) {
    extern __shared__ float parts[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    float of_scale[CHUNKS][8] = {}, of_shift[CHUNKS][8] = {};
    for (int row = blockIdx.x * 4 + warp; row < rows; row += gridDim.x * 4) {
        const size_t start = static_cast<size_t>(row) * width;
        float v[CHUNKS][8] = {}, g[CHUNKS][8] = {};
        float sum = 0.0f;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int at = (c * 32 + lane) * 8;
            if (at >= width) continue;
            load(x + start + at, v[c]);
            load(of_out + start + at, g[c]);
            for (int i = 0; i < 8; i++) sum += v[c][i];
        }
        const float mean = warp_sum(sum) / width;
        sum = 0.0f;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if ((c * 32 + lane) * 8 >= width) continue;
            for (int i = 0; i < 8; i++) {
                v[c][i] -= mean;
                sum += v[c][i] * v[c][i];
            }
        }
        const float factor = 1.0f / sqrtf(warp_sum(sum) / width + epsilon);
        float plain = 0.0f, along = 0.0f;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int at = (c * 32 + lane) * 8;
            if (at >= width) continue;
            float s[8];
            load(scale + at, s);
            for (int i = 0; i < 8; i++) {
                v[c][i] *= factor;
                of_scale[c][i] += g[c][i] * v[c][i];
                of_shift[c][i] += g[c][i];
                g[c][i] *= s[i];
                plain += g[c][i];
                along += g[c][i] * v[c][i];
            }
        }
        plain = warp_sum(plain) / width;
        along = warp_sum(along) / width;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int at = (c * 32 + lane) * 8;
            if (at >= width) continue;
            float m[8];
            load(more + start + at, m);
            for (int i = 0; i < 8; i++) m[i] += (g[c][i] - plain - v[c][i] * along) * factor;
            store(out + start + at, m);
        }
    }
    #pragma unroll
    for (int which = 0; which < 2; which++) {
        __syncthreads();
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int at = (c * 32 + lane) * 8;
            if (at >= width) continue;
            for (int i = 0; i < 8; i++)
                parts[warp * width + at + i] = which == 0 ? of_scale[c][i] : of_shift[c][i];
        }
        __syncthreads();
        float *to = sums + (static_cast<size_t>(blockIdx.x) * 2 + which) * width;
        for (int at = threadIdx.x; at < width; at += blockDim.x)
            to[at] = parts[at] + parts[width + at] + parts[2 * width + at] + parts[3 * width + at];
    }
}

// Sums of columns over every gridDim.y-th eight rows: `sums` (gridDim.y, width). 256 threads have
// 256 columns of eight rows at once.
__global__ void columns(const TYPE *x, float *sums, int rows, int width) {
    __shared__ float lines[8][256];
    const int lane = threadIdx.x & 31, line = threadIdx.x >> 5;
    const int at = (blockIdx.x * 32 + lane) * 8;
    float sum[8] = {};
    if (at < width)
        for (int row = blockIdx.y * 8 + line; row < rows; row += gridDim.y * 8) {
            float v[8];
            load(x + static_cast<size_t>(row) * width + at, v);
            for (int i = 0; i < 8; i++) sum[i] += v[i];
        }
    for (int i = 0; i < 8; i++) lines[line][lane * 8 + i] = sum[i];
    __syncthreads();
    const int column = blockIdx.x * 256 + threadIdx.x;
    if (column >= width) return;
    float total = 0.0f;
    for (int i = 0; i < 8; i++) total += lines[i][threadIdx.x];
    sums[static_cast<size_t>(blockIdx.y) * width + column] = total;
}

// Sums of the columns of (rows, width) in f32, a thread each.
__global__ void total(const float *x, float *out, int rows, int width) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (int row = 0; row < rows; row++) sum += x[static_cast<size_t>(row) * width + column];
    out[column] = sum;
}

__global__ void activate(const TYPE *x, const float *bias, TYPE *out, long long count, int width) {
    activate_all<TYPE, 2>(x, bias, out, count, width);
}

// The gradient of x of that of its GELU by tanh with `bias` in it.
__global__ void activate_back(const TYPE *x, const TYPE *of_out, const float *bias, TYPE *out,
                              long long count, int width) {
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x * 8;
    for (long long at = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
         at < count; at += step) {
        float v[8], g[8], b[8];
        load(x + at, v);
        load(of_out + at, g);
        load(bias + at % width, b);
        for (int i = 0; i < 8; i++) {
            const float u = v[i] + b[i];
            const float t = tanhf(0.79788456f * (u + 0.044715f * u * u * u));
            const float inner = 0.79788456f * (1.0f + 3.0f * 0.044715f * u * u);
            g[i] *= 0.5f * (1.0f + t) + 0.5f * u * (1.0f - t * t) * inner;
        }
        store(out + at, g);
    }
}

// (rows, tokens, 3, heads, each) with bias (3, heads, each) as (3, rows, heads, tokens, each).
__global__ void split_heads(const TYPE *qkv, const float *bias, TYPE *out, long long count, int rows,
                      int tokens, int heads, int each) {
    const long long i = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    const int d = i % each;
    long long rest = i / each;
    const int token = rest % tokens;
    rest /= tokens;
    const int head = rest % heads;
    rest /= heads;
    const int row = rest % rows, part = rest / rows;
    const int column = (part * heads + head) * each + d;
    float v[8], b[8];
    load(qkv + (static_cast<size_t>(row) * tokens + token) * 3 * heads * each + column, v);
    load(bias + column, b);
    for (int j = 0; j < 8; j++) v[j] += b[j];
    store(out + i, v);
}

// Three times (rows, heads, tokens, each) as (rows, tokens, 3, heads, each).
__global__ void join_heads(const TYPE *q, const TYPE *k, const TYPE *v, TYPE *out, long long count,
                     int tokens, int heads, int each) {
    const long long i = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    const int d = i % each;
    long long rest = i / each;
    const int head = rest % heads;
    rest /= heads;
    const int part = rest % 3;
    rest /= 3;
    const int token = rest % tokens;
    const long long row = rest / tokens;
    const TYPE *from = part == 0 ? q : part == 1 ? k : v;
    float x[8];
    load(from + ((row * heads + head) * tokens + token) * each + d, x);
    store(out + i, x);
}

// (a, b, c, each) as (a, c, b, each).
__global__ void swap_middle(const TYPE *x, TYPE *out, long long count, int b, int c, int each) {
    const long long i = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    const int d = i % each;
    long long rest = i / each;
    const int in_b = rest % b;
    rest /= b;
    const int in_c = rest % c;
    const long long a = rest / c;
    float v[8];
    load(x + ((a * b + in_b) * c + in_c) * each + d, v);
    store(out + i, v);
}

// A warp a row of scores (…, queries, keys): causal softmax of them times `scale`.
__global__ void weights(const TYPE *scores, TYPE *out, int rows, int queries, int keys,
                        float scale) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    const int seen = keys - queries + row % queries + 1;
    const TYPE *from = scores + static_cast<size_t>(row) * keys;
    TYPE *to = out + static_cast<size_t>(row) * keys;
    float most = -1e38f;
    for (int at = lane; at < seen; at += 32) most = fmaxf(most, get(from + at) * scale);
    for (int of = 16; of > 0; of >>= 1) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, of));
    float sum = 0.0f;
    for (int at = lane; at < seen; at += 32) sum += expf(get(from + at) * scale - most);
    const float factor = 1.0f / warp_sum(sum);
    for (int at = lane; at < keys; at += 32)
        one(to + at, at < seen ? expf(get(from + at) * scale - most) * factor : 0.0f);
}

// The gradient of scores of that of their softmax `p`: p · (g - sum(p · g)) · scale.
__global__ void weights_back(const TYPE *p, const TYPE *of_out, TYPE *out, int rows, int queries,
                             int keys, float scale) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    const int seen = keys - queries + row % queries + 1;
    const size_t start = static_cast<size_t>(row) * keys;
    float sum = 0.0f;
    for (int at = lane; at < seen; at += 32) sum += get(p + start + at) * get(of_out + start + at);
    sum = warp_sum(sum);
    for (int at = lane; at < keys; at += 32) {
        const float x = get(p + start + at) * (get(of_out + start + at) - sum) * scale;
        one(out + start + at, at < seen ? x : 0.0f);
    }
}

// A block a row of logits (rows, pitch), of which the first `vocabulary` count: the cross entropy
// of the target, and the gradient of the logits of `share` of it.
__global__ void entropy(const TYPE *logits, const unsigned *targets, float *losses, TYPE *out,
                        int vocabulary, int pitch, float share) {
    __shared__ float shared[32];
    const TYPE *from = logits + static_cast<size_t>(blockIdx.x) * pitch;
    TYPE *to = out + static_cast<size_t>(blockIdx.x) * pitch;
    const int target = targets[blockIdx.x];
    float most = -1e38f, sum = 0.0f;
    for (int at = threadIdx.x * 8; at < pitch; at += blockDim.x * 8) {
        float v[8];
        load(from + at, v);
        float now = most;
        for (int i = 0; i < 8; i++) now = at + i < vocabulary ? fmaxf(now, v[i]) : now;
        if (now > most) sum *= expf(most - now);
        most = now;
        for (int i = 0; i < 8; i++) sum += at + i < vocabulary ? expf(v[i] - most) : 0.0f;
    }
    const float all = block_most(most, shared);
    sum = block_sum(sum > 0.0f || sum != sum ? sum * expf(most - all) : 0.0f, shared);
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) + all - get(from + target);
    const float factor = share / sum;
    for (int at = threadIdx.x * 8; at < pitch; at += blockDim.x * 8) {
        float v[8];
        load(from + at, v);
        for (int i = 0; i < 8; i++) {
            v[i] = at + i < vocabulary ? expf(v[i] - all) * factor : 0.0f;
            if (at + i == target) v[i] -= share;
        }
        store(to + at, v);
    }
}

}
