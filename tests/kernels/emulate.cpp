// The kernels of a GPU on a processor, in f32, beside plain sums in f64. A block's threads are
// threads; blocks come one after the other. What only a GPU has (16-bit numbers, tensor cores) is
// left out.
//
// Built by tests/kernels.rs with WHAT (the kernels' text) and the sizes below.

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using std::min;

struct Place { int x = 1, y = 1, z = 1; };
thread_local Place threadIdx;
Place blockIdx, gridDim, blockDim;
struct uint4 { unsigned x, y, z, w; };
struct float4 { float x, y, z, w; };
static float4 make_float4(float a, float b, float c, float d) { return {a, b, c, d}; }
static float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

std::unique_ptr<std::barrier<>> block;
std::vector<std::unique_ptr<std::barrier<>>> warps;
float handed[32][32];
static void __syncthreads() { block->arrive_and_wait(); }
static float __shfl_xor_sync(unsigned, float x, int mask) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    handed[warp][lane] = x;
    warps[warp]->arrive_and_wait();
    const float other = handed[warp][lane ^ mask];
    warps[warp]->arrive_and_wait();
    return other;
}

#define __device__
#define __global__
#define __launch_bounds__(threads)
#define __align__(bytes)
#define __shared__ static
#define __cvta_generic_to_shared(address) 0
#define volatile
#define asm(...)
static float parts[4 * 4096];
#include WHAT
#undef asm
#undef volatile

static void launch(int x, int y, int threads, const std::function<void()> &kernel) {
    gridDim = {x, y, 1};
    blockDim = {threads, 1, 1};
    for (int i = 0; i < x * y; i++) {
        blockIdx = {i % x, i / x, 0};
        block = std::make_unique<std::barrier<>>(threads);
        warps.clear();
        for (int w = 0; w < threads / 32; w++)
            warps.push_back(std::make_unique<std::barrier<>>(32));
        std::vector<std::thread> all;
        for (int t = 0; t < threads; t++)
            all.emplace_back([&kernel, t] {
                threadIdx = {t, 0, 0};
                kernel();
                // who ends early holds nobody
                block->arrive_and_drop();
                warps[t >> 5]->arrive_and_drop();
            });
        for (auto &thread : all) thread.join();
    }
}
static int blocks(long long work) { return static_cast<int>((work + 255) / 256); }

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

static Floats drawn(size_t count, float spread = 1.0f) {
    static std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, spread);
    Floats out(count);
    for (auto &x : out) x = normal(random);
    return out;
}
static Floats unwritten(size_t count) { return Floats(count, NAN); }

static int wrong = 0;
static void holds(const char *what, const Floats &got, const Doubles &want) {
    double off = 0.0, norm = 1e-30;
    for (size_t i = 0; i < got.size(); i++) {
        off += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    const double share = std::sqrt(off / norm);
    const bool near = share < 1e-5 && got.size() == want.size();
    wrong += !near;
    std::printf("%s %s: off by %.1e of the norm\n", near ? "ok   " : "WRONG", what, share);
}

struct Row { double mean, factor; };
static const float EPSILON = 1e-5f;
template <class X> static Row moments(const X *x) {
    double mean = 0.0, squares = 0.0;
    for (int i = 0; i < WIDTH; i++) mean += x[i];
    mean /= WIDTH;
    for (int i = 0; i < WIDTH; i++) squares += (x[i] - mean) * (x[i] - mean);
    return {mean, 1.0 / std::sqrt(squares / WIDTH + EPSILON)};
}
template <class X, class Scale, class Shift>
static Doubles normed(const std::vector<X> &x, const std::vector<Scale> &scale,
                      const std::vector<Shift> &shift) {
    Doubles out(x.size());
    for (size_t at = 0; at < x.size(); at += WIDTH) {
        const Row of = moments(&x[at]);
        for (int i = 0; i < WIDTH; i++)
            out[at + i] = (x[at + i] - of.mean) * of.factor * scale[i] + shift[i];
    }
    return out;
}
static Doubles joined(Doubles a, const Doubles &b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
static const double STEP = 1e-5;
// The gradient of `of` by all of `row`, by central differences.
static Doubles differences(Doubles row, const std::function<double(const Doubles &)> &of) {
    Doubles out(row.size());
    for (size_t i = 0; i < row.size(); i++) {
        const double at = row[i];
        row[i] = at + STEP;
        const double above = of(row);
        row[i] = at - STEP;
        out[i] = (above - of(row)) / (2.0 * STEP);
        row[i] = at;
    }
    return out;
}
template <class X> static double along(const Doubles &a, const X *b) {
    double sum = 0.0;
    for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
    return sum;
}
static double gelu(double x) {
    return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}
static const long long COUNT = static_cast<long long>(ROWS) * WIDTH;

static void of_both() {
    const Floats x = drawn(COUNT), y = drawn(COUNT), bias = drawn(WIDTH), scale = drawn(WIDTH),
                 shift = drawn(WIDTH);
    Floats both = unwritten(2 * COUNT), curved = unwritten(COUNT);
    launch((ROWS + 3) / 4, 1, 128, [&] {
        add_norm(x.data(), y.data(), bias.data(), scale.data(), shift.data(), both.data(), ROWS,
                 WIDTH, EPSILON);
    });
    launch(3, 1, 256, [&] { activate(x.data(), bias.data(), curved.data(), COUNT, WIDTH); });
    Doubles sum(COUNT), curve(COUNT);
    for (long long i = 0; i < COUNT; i++) {
        sum[i] = static_cast<double>(x[i]) + y[i] + bias[i % WIDTH];
        curve[i] = gelu(static_cast<double>(x[i]) + bias[i % WIDTH]);
    }
    holds("x + y + bias and its norm", both, joined(sum, normed(sum, scale, shift)));
    holds("GELU by tanh of x + bias", curved, curve);
}

#ifdef TRAIN

static void norms() {
    const int over = 2;
    const Floats x = drawn(COUNT), g = drawn(COUNT), more = drawn(COUNT), scale = drawn(WIDTH),
                 shift = drawn(WIDTH);
    Floats out = unwritten(COUNT), of_x = unwritten(COUNT), sums = unwritten(over * 2 * WIDTH),
           of_both = unwritten(2 * WIDTH), lines = unwritten(3 * WIDTH), all = unwritten(WIDTH);
    launch((ROWS + 3) / 4, 1, 128, [&] {
        norm_rows(x.data(), scale.data(), shift.data(), out.data(), ROWS, WIDTH, EPSILON);
    });
    holds("norm", out, normed(x, scale, shift));
    launch(over, 1, 128, [&] {
        norm_back(x.data(), g.data(), more.data(), scale.data(), of_x.data(), sums.data(), ROWS,
                  WIDTH, EPSILON);
    });
    launch(blocks(2 * WIDTH), 1, 256,
           [&] { total(sums.data(), of_both.data(), over, 2 * WIDTH); });
    launch((WIDTH + 255) / 256, 3, 256, [&] { columns(g.data(), lines.data(), ROWS, WIDTH); });
    launch(blocks(WIDTH), 1, 256, [&] { total(lines.data(), all.data(), 3, WIDTH); });
    Doubles want, of_columns(WIDTH, 0.0);
    for (long long at = 0; at < COUNT; at += WIDTH) {
        const Doubles row(&x[at], &x[at] + WIDTH);
        const Doubles of_row = differences(
            row, [&](const Doubles &row) { return along(normed(row, scale, shift), &g[at]); });
        for (int i = 0; i < WIDTH; i++) {
            want.push_back(more[at + i] + of_row[i]);
            of_columns[i] += g[at + i];
        }
    }
    const Doubles of_scale = differences(Doubles(scale.begin(), scale.end()), [&](const Doubles &s) {
        return along(normed(x, s, shift), g.data());
    });
    const Doubles of_shift = differences(Doubles(shift.begin(), shift.end()), [&](const Doubles &s) {
        return along(normed(x, scale, s), g.data());
    });
    holds("gradient of a norm's argument, by differences", of_x, want);
    holds("gradients of scale and shift, by differences", of_both, joined(of_scale, of_shift));
    holds("sums of columns", all, of_columns);
}

static void curves() {
    const Floats x = drawn(COUNT), g = drawn(COUNT), bias = drawn(WIDTH);
    Floats of_x = unwritten(COUNT);
    launch(3, 1, 256,
           [&] { activate_back(x.data(), g.data(), bias.data(), of_x.data(), COUNT, WIDTH); });
    Doubles want(COUNT);
    for (long long i = 0; i < COUNT; i++) {
        const double at = static_cast<double>(x[i]) + bias[i % WIDTH];
        want[i] = g[i] * (gelu(at + STEP) - gelu(at - STEP)) / (2.0 * STEP);
    }
    holds("gradient of GELU, by differences", of_x, want);
}

static void heads() {
    const int rows = 2, each = WIDTH / HEADS;
    const long long third = static_cast<long long>(rows) * TOKENS * WIDTH, all = 3 * third;
    const Floats qkv = drawn(all), bias = drawn(3 * WIDTH);
    Floats apart = unwritten(all), again = unwritten(all), merged = unwritten(third),
           parted = unwritten(third);
    launch(blocks(all / 8), 1, 256, [&] {
        split_heads(qkv.data(), bias.data(), apart.data(), all, rows, TOKENS, HEADS, each);
    });
    launch(blocks(all / 8), 1, 256, [&] {
        join_heads(apart.data(), apart.data() + third, apart.data() + 2 * third, again.data(), all,
                   TOKENS, HEADS, each);
    });
    launch(blocks(third / 8), 1, 256,
           [&] { swap_middle(apart.data(), merged.data(), third, HEADS, TOKENS, each); });
    launch(blocks(third / 8), 1, 256,
           [&] { swap_middle(merged.data(), parted.data(), third, TOKENS, HEADS, each); });
    Doubles want(all), same(all), of_tokens(third);
    for (long long i = 0; i < all; i++) {
        const int column = i % (3 * WIDTH), part = column / WIDTH, head = column % WIDTH / each;
        const long long token = i / (3 * WIDTH) % TOKENS, row = i / (3 * WIDTH) / TOKENS;
        same[i] = static_cast<double>(qkv[i]) + bias[column];
        want[(((part * rows + row) * HEADS + head) * TOKENS + token) * each + column % each] =
            same[i];
        if (part == 0) of_tokens[(row * TOKENS + token) * WIDTH + column] = same[i];
    }
    holds("heads apart, with their bias", apart, want);
    holds("heads joined again", again, same);
    holds("the heads of a token", merged, of_tokens);
    holds("and apart again", parted, Doubles(want.begin(), want.begin() + third));
}

static void attention() {
    const int rows = 3 * TOKENS;
    const float scale = 0.3f;
    const size_t count = static_cast<size_t>(rows) * TOKENS;
    const Floats scores = drawn(count), g = drawn(count);
    Floats made = unwritten(count), of_scores = unwritten(count);
    launch((rows + 3) / 4, 1, 128,
           [&] { weights(scores.data(), made.data(), rows, TOKENS, TOKENS, scale); });
    launch((rows + 3) / 4, 1, 128, [&] {
        weights_back(made.data(), g.data(), of_scores.data(), rows, TOKENS, TOKENS, scale);
    });
    Doubles want, gradient;
    for (int row = 0; row < rows; row++) {
        const size_t at = static_cast<size_t>(row) * TOKENS;
        const auto causal = [&](Doubles of) {
            double sum = 0.0;
            for (int key = 0; key < TOKENS; key++) {
                of[key] = key <= row % TOKENS ? std::exp(of[key] * scale) : 0.0;
                sum += of[key];
            }
            for (auto &weight : of) weight /= sum;
            return of;
        };
        const Doubles of(&scores[at], &scores[at] + TOKENS);
        want = joined(want, causal(of));
        gradient = joined(gradient, differences(of, [&](const Doubles &of) {
                              return along(causal(of), &g[at]);
                          }));
    }
    holds("causal softmax", made, want);
    holds("gradient of its scores, by differences", of_scores, gradient);
}

static void losses() {
    const int pitch = (VOCABULARY + 63) / 64 * 64;
    const float share = 0.25f;
    const std::vector<unsigned> targets = {0, VOCABULARY - 1, VOCABULARY / 2};
    const int rows = static_cast<int>(targets.size());
    const Floats logits = drawn(static_cast<size_t>(rows) * pitch, 5.0f);
    Floats lost = unwritten(rows), of_logits = unwritten(logits.size());
    launch(rows, 1, 256, [&] {
        entropy(logits.data(), targets.data(), lost.data(), of_logits.data(), VOCABULARY, pitch,
                share);
    });
    Doubles want(rows), gradient(logits.size(), 0.0);
    for (int row = 0; row < rows; row++) {
        const size_t at = static_cast<size_t>(row) * pitch;
        double sum = 0.0;
        for (int id = 0; id < VOCABULARY; id++) sum += std::exp(static_cast<double>(logits[at + id]));
        // one term of the sum moves: to sum anew for each logit would take the vocabulary squared
        const auto loss = [&](int id, double by) {
            const double logit = logits[at + id], target = logits[at + targets[row]];
            const double moved = sum - std::exp(logit) + std::exp(logit + by);
            return std::log(moved) - target - (id == static_cast<int>(targets[row]) ? by : 0.0);
        };
        want[row] = loss(0, 0.0);
        for (int id = 0; id < VOCABULARY; id++)
            gradient[at + id] = share * (loss(id, STEP) - loss(id, -STEP)) / (2.0 * STEP);
    }
    holds("cross entropy", lost, want);
    holds("gradient of its logits, by differences", of_logits, gradient);
}

int main() {
    of_both();
    norms();
    curves();
    heads();
    attention();
    losses();
    return wrong;
}

#else

static void towers() {
    const int rows = 2;
    const long long count = static_cast<long long>(rows) * TOKENS * WIDTH;
    const Floats patch = drawn(static_cast<size_t>(rows) * (TOKENS - 1) * WIDTH),
                 first = drawn(WIDTH), position = drawn(TOKENS * WIDTH), scale = drawn(WIDTH),
                 shift = drawn(WIDTH), next_scale = drawn(WIDTH), next_shift = drawn(WIDTH),
                 table = drawn(11 * WIDTH);
    Floats seen = unwritten(2 * count), read = unwritten(2 * count);
    std::vector<unsigned> ids(rows * TOKENS);
    for (size_t i = 0; i < ids.size(); i++) ids[i] = i * 7 % 11;
    const int grid = (rows * TOKENS + 3) / 4;
    launch(grid, 1, 128, [&] {
        embed(patch.data(), first.data(), position.data(), scale.data(), shift.data(),
              next_scale.data(), next_shift.data(), seen.data(), rows, TOKENS, WIDTH, EPSILON);
    });
    launch(grid, 1, 128, [&] {
        look_up(ids.data(), table.data(), position.data(), scale.data(), shift.data(), read.data(),
                rows, TOKENS, WIDTH, EPSILON);
    });
    Doubles begun(count), words(count);
    for (long long i = 0; i < count; i++) {
        const long long row = i / WIDTH / TOKENS, token = i / WIDTH % TOKENS, column = i % WIDTH;
        const double place = position[token * WIDTH + column];
        begun[i] = place + (token == 0 ? first[column]
                                       : patch[(row * (TOKENS - 1) + token - 1) * WIDTH + column]);
        words[i] = place + table[ids[i / WIDTH] * WIDTH + column];
    }
    begun = normed(begun, scale, shift);
    holds("images begun", seen, joined(begun, normed(begun, next_scale, next_shift)));
    holds("texts begun", read, joined(words, normed(words, scale, shift)));
}

static void levels() {
    const int rows = 2, side = 19, patch = 6, grid = side / patch;
    const Floats numbers = drawn(3 * 256);
    std::vector<unsigned char> of(rows * side * side * 3);
    for (size_t i = 0; i < of.size(); i++) of[i] = i * 2654435761u >> 24;
    Floats made = unwritten(rows * grid * grid * 3 * patch * patch);
    launch(2, 1, 256,
           [&] { patches(of.data(), numbers.data(), made.data(), rows, side, patch, grid); });
    Doubles want;
    for (int i = 0; i < rows * grid * grid; i++)
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < patch; y++)
                for (int x = 0; x < patch; x++) {
                    const int line = i / grid % grid * patch + y, column = i % grid * patch + x;
                    const int at = ((i / grid / grid * side + line) * side + column) * 3 + c;
                    want.push_back(numbers[c * 256 + of[at]]);
                }
    holds("levels as patches", made, want);
}

int main() {
    of_both();
    towers();
    levels();
    return wrong;
}

#endif
