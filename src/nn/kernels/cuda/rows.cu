// Numbers and rows, for all kernels of this folder: numbers are of a type T (bf16, f16 or float) in
// memory and f32 in registers; a warp holds a row, eight numbers a thread and turn.

struct bf16 { unsigned short bits; };
struct f16 { unsigned short bits; };

// Two numbers as one register, the first in the lower half.
__device__ inline unsigned pair(bf16, float low, float high) {
    unsigned out;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}
__device__ inline unsigned pair(f16, float low, float high) {
    unsigned out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}
__device__ inline void apart(bf16, unsigned both, float &low, float &high) {
    low = __uint_as_float(both << 16);
    high = __uint_as_float(both & 0xffff0000u);
}
__device__ inline void apart(f16, unsigned both, float &low, float &high) {
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}"
        : "=f"(low), "=f"(high) : "r"(both));
}

// Eight numbers that lie one after the other.
template <class T> __device__ inline void load(const T *from, float (&x)[8]) {
    const uint4 v = *reinterpret_cast<const uint4 *>(from);
    apart(T(), v.x, x[0], x[1]);
    apart(T(), v.y, x[2], x[3]);
    apart(T(), v.z, x[4], x[5]);
    apart(T(), v.w, x[6], x[7]);
}
template <> __device__ inline void load<float>(const float *from, float (&x)[8]) {
    const float4 a = reinterpret_cast<const float4 *>(from)[0];
    const float4 b = reinterpret_cast<const float4 *>(from)[1];
    x[0] = a.x; x[1] = a.y; x[2] = a.z; x[3] = a.w;
    x[4] = b.x; x[5] = b.y; x[6] = b.z; x[7] = b.w;
}

// Stores eight numbers, and rounds them to what was stored.
template <class T> __device__ inline void store(T *to, float (&x)[8]) {
    uint4 v;
    v.x = pair(T(), x[0], x[1]);
    v.y = pair(T(), x[2], x[3]);
    v.z = pair(T(), x[4], x[5]);
    v.w = pair(T(), x[6], x[7]);
    *reinterpret_cast<uint4 *>(to) = v;
    apart(T(), v.x, x[0], x[1]);
    apart(T(), v.y, x[2], x[3]);
    apart(T(), v.z, x[4], x[5]);
    apart(T(), v.w, x[6], x[7]);
}
template <> __device__ inline void store<float>(float *to, float (&x)[8]) {
    reinterpret_cast<float4 *>(to)[0] = make_float4(x[0], x[1], x[2], x[3]);
    reinterpret_cast<float4 *>(to)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

template <class T> __device__ inline void one(T *to, float x) {
    to->bits = static_cast<unsigned short>(pair(T(), x, 0.0f));
}
template <> __device__ inline void one<float>(float *to, float x) { *to = x; }

__device__ inline float warp_sum(float x) {
    for (int of = 16; of > 0; of >>= 1) x += __shfl_xor_sync(0xffffffffu, x, of);
    return x;
}

// A layer norm of the row that a warp holds, in two passes over its registers.
template <int COUNT>
__device__ inline void norm_row(float (&v)[COUNT][8], const float *scale, const float *shift,
                                int width, float epsilon, int lane) {
    float sum = 0.0f;
    for (int c = 0; c < COUNT; c++)
        for (int i = 0; i < 8; i++) sum += v[c][i];
    const float mean = warp_sum(sum) / width;
    sum = 0.0f;
    for (int c = 0; c < COUNT; c++) {
        if ((c * 32 + lane) * 8 >= width) break;
        for (int i = 0; i < 8; i++) sum += (v[c][i] - mean) * (v[c][i] - mean);
    }
    const float factor = 1.0f / sqrtf(warp_sum(sum) / width + epsilon);
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        float s[8], b[8];
        load(scale + at, s);
        load(shift + at, b);
        for (int i = 0; i < 8; i++) v[c][i] = (v[c][i] - mean) * factor * s[i] + b[i];
    }
}

// One warp a row: `out` (2, rows, width) becomes x + y + bias, and that under the layer norm.
template <class T, int COUNT>
__device__ void add_and_norm(const T *x, const T *y, const float *bias, const float *scale,
                         const float *shift, T *out, int rows, int width, float epsilon) {
    const int lane = threadIdx.x & 31;
    const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    const size_t start = static_cast<size_t>(row) * width;
    float v[COUNT][8] = {};
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        float other[8], b[8];
        load(x + start + at, v[c]);
        load(y + start + at, other);
        load(bias + at, b);
        for (int i = 0; i < 8; i++) v[c][i] += other[i] + b[i];
        store(out + start + at, v[c]);
    }
    norm_row(v, scale, shift, width, epsilon, lane);
    T *normed = out + static_cast<size_t>(rows) * width + start;
    for (int c = 0; c < COUNT; c++) {
        const int at = (c * 32 + lane) * 8;
        if (at >= width) break;
        store(normed + at, v[c]);
    }
}

// x + bias under a non-linearity: 0 quick-GELU, 1 GELU, 2 GELU by tanh.
template <class T, int KIND>
__device__ void activate_all(const T *x, const float *bias, T *out, long long count, int width) {
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x * 8;
    for (long long at = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
         at < count; at += step) {
        float v[8], b[8];
        load(x + at, v);
        load(bias + at % width, b);
        for (int i = 0; i < 8; i++) {
            const float t = v[i] + b[i];
            if (KIND == 0) v[i] = t / (1.0f + expf(-1.702f * t));
            if (KIND == 1) v[i] = 0.5f * t * (1.0f + erff(t * 0.70710678f));
            if (KIND == 2)
                v[i] = 0.5f * t * (1.0f + tanhf(0.79788456f * (t + 0.044715f * t * t * t)));
        }
        store(out + at, v);
    }
}
