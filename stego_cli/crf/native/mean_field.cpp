#include "mean_field.hpp"

#include <exception>
#include <list>
#include <mutex>

#include "panels.hpp"
#include "update_pass.hpp"

namespace stego {
namespace {

constexpr std::size_t KEPT_LATTICES = std::size_t(256) << 20;   // bytes of spatial lattices that are kept
constexpr std::size_t KEPT_WORKSPACE = std::size_t(256) << 20;  // bytes; a larger workspace is given back

// Rows of the narrowest vectors that hold all classes, in blocks of at most 8 vectors: more do not fit the registers.
Layout layout_of(const Loops& loops, int classes) {
    int lanes = 4;
    while (lanes < loops.lanes && lanes < classes) lanes *= 2;
    const int vectors = (classes + lanes - 1) / lanes, blocks = (vectors + 7) / 8;
    return {classes, lanes, (vectors + blocks - 1) / blocks, blocks};
}

// The spatial lattices used last.
class SpatialCache {
  public:
    std::shared_ptr<const SpatialLattice> get(const Loops& loops, Shape shape, const Kernel& kernel, Team& team) {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
                if (entry->shape.height == shape.height && entry->shape.width == shape.width &&
                    entry->kernel.sxy == kernel.sxy && entry->kernel.compat == kernel.compat) {
                    entries_.splice(entries_.begin(), entries_, entry);
                    return entry->lattice;
                }
            }
        }
        auto lattice = std::make_shared<const SpatialLattice>(loops, shape, kernel, team);
        std::lock_guard<std::mutex> hold(mutex_);
        entries_.push_front({shape, kernel, lattice});
        std::size_t total = 0;
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            total += entry->lattice->bytes();
            entry = total > KEPT_LATTICES ? entries_.erase(entry) : std::next(entry);
        }
        return lattice;
    }

  private:
    struct Entry {
        Shape shape;
        Kernel kernel;
        std::shared_ptr<const SpatialLattice> lattice;
    };
    std::mutex mutex_;
    std::list<Entry> entries_;
};

// Workspaces that are not in use.
class WorkspacePool {
  public:
    std::unique_ptr<Workspace> take() {
        std::lock_guard<std::mutex> hold(mutex_);
        if (free_.empty()) return std::make_unique<Workspace>();
        auto space = std::move(free_.back());
        free_.pop_back();
        return space;
    }
    void give_back(std::unique_ptr<Workspace> space) {
        if (space->bytes() > KEPT_WORKSPACE) return;
        std::lock_guard<std::mutex> hold(mutex_);
        free_.push_back(std::move(space));
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Workspace>> free_;
};

SpatialCache& spatial_cache() {
    static SpatialCache cache;
    return cache;
}

WorkspacePool& workspaces() {
    static WorkspacePool pool;
    return pool;
}

}  // namespace

void Workspace::refine(const Loops& loops, const Request& request, Team& team) {
    const Shape shape = request.shape;
    const Layout layout = layout_of(loops, request.classes);
    const std::size_t size = std::size_t(shape.pixels()) * layout.stride();
    float* unary = unary_.ensure(size);
    float* pixel_rows = pixel_rows_.ensure(size);
    IndependentWork loading{panels(shape), [&](std::int64_t from, std::int64_t to) {
        for (auto panel = from; panel < to; panel++) {
            loops.load_panel(layout, request.log_probs, unary, pixel_rows, shape, static_cast<int>(panel));
        }
    }};
    std::vector<std::shared_ptr<const SpatialLattice>> kept;
    std::vector<const SpatialLattice*> spatial;
    std::size_t bilateral = 0;
    for (const Kernel& kernel : request.kernels) {
        if (kernel.srgb == 0) {
            kept.push_back(spatial_cache().get(loops, shape, kernel, team));
            spatial.push_back(kept.back().get());
        } else {
            if (bilateral == bilateral_.size()) {
                bilateral_.push_back(std::make_unique<BilateralLattice>());
                vertex_rows_.push_back(std::make_unique<Buffer<float>>());
            }
            bilateral_[bilateral++]->build(loops, shape, request.image, kernel, loading, team);
            loading.count = 0;  // the first lattice's builder has done it
        }
    }
    std::vector<Slice> slices;
    for (std::size_t i = 0; i < bilateral; i++) {
        const std::size_t count = std::size_t(bilateral_[i]->vertices()) * layout.stride();
        slices.push_back(bilateral_[i]->slice(vertex_rows_[i]->ensure(count)));
    }
    UpdatePass pass(shape, spatial, team);
    if (loading.count > 0) team.each(loading.count, 1, loading.work);
    if (request.iterations == 0) {
        UpdatePass(shape, {}, team).run(loops, layout, {}, unary, pixel_rows, Output::LOG_PROBABILITIES, team);
    }
    for (int left = request.iterations; left > 0; left--) {
        for (std::size_t i = 0; i < bilateral; i++) {
            bilateral_[i]->filter(loops, layout, pixel_rows, vertex_rows_[i]->get(), team);
        }
        const Output output = left > 1 ? Output::PROBABILITIES : Output::LOG_PROBABILITIES;
        pass.run(loops, layout, slices, unary, pixel_rows, output, team);
    }
    if (shape.pixels() > LARGE_PHOTOGRAPH) unary_.release();  // before the result is written to fresh memory
    team.each(panels(shape), 1, [&](std::int64_t from, std::int64_t to) {
        for (auto panel = from; panel < to; panel++) {
            loops.store_panel(layout, pixel_rows, request.out, shape, static_cast<int>(panel));
        }
    });
}

std::size_t Workspace::bytes() const {
    std::size_t all = unary_.bytes() + pixel_rows_.bytes();
    for (const auto& rows : vertex_rows_) all += rows->bytes();
    for (const auto& lattice : bilateral_) all += lattice->bytes();
    return all;
}

void refine_all(const Loops& loops, const std::vector<Request>& photographs, int threads) {
    std::mutex mutex;
    std::exception_ptr failure;
    auto refine_one = [&](const Request& request, Team& team) {
        try {
            auto space = workspaces().take();
            space->refine(loops, request, team);
            workspaces().give_back(std::move(space));
        } catch (...) {
            std::lock_guard<std::mutex> hold(mutex);
            failure = std::current_exception();
        }
    };
    const auto count = static_cast<std::int64_t>(photographs.size());
    const std::int64_t alone = count - count % threads;  // photographs that one thread refines by itself
    Team team(threads);
    team.each(alone, 1, [&](std::int64_t from, std::int64_t to) {
        Team one_thread(1);
        for (auto i = from; i < to; i++) refine_one(photographs[i], one_thread);
    });
    for (auto i = alone; i < count; i++) refine_one(photographs[i], team);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace stego
