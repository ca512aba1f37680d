// AdamW over f32, and the sums of squares that its clipping asks for.

extern "C" {

// As torch.optim.AdamW: weight and moments in place.
__global__ void adamw(float *weight, float *first, float *second, const float *gradient,
                      long long count, float scale, float keep, float step_size, float root,
                      float to_first, float beta2, float to_second, float epsilon) {
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += step) {
        const float g = gradient[i] * scale;
        const float m = first[i] + (g - first[i]) * to_first;
        const float v = second[i] * beta2 + g * g * to_second;
        first[i] = m;
        second[i] = v;
        weight[i] = weight[i] * keep - step_size * m / (sqrtf(v) / root + epsilon);
    }
}

// The sum of squares over the numbers of each block of 256 threads.
__global__ void squares(const float *x, float *sums, long long count) {
    __shared__ double shared[256];
    double sum = 0.0;
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += step)
        sum += static_cast<double>(x[i]) * x[i];
    shared[threadIdx.x] = sum;
    for (int of = 128; of > 0; of >>= 1) {
        __syncthreads();
        if (threadIdx.x < of) shared[threadIdx.x] += shared[threadIdx.x + of];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = shared[0];
}

}
