#include "field.hpp"

#include <exception>
#include <list>
#include <mutex>

#include "pass.hpp"
#include "points.hpp"

namespace stego {
namespace {

constexpr std::size_t KEPT_LATTICES = std::size_t(256) << 20;   // bytes of spatial lattices that are kept
constexpr std::size_t KEPT_WORKSPACE = std::size_t(256) << 20;  // bytes up to which a workspace is kept

// Rows of the narrowest vectors that hold all classes, in blocks of at most 8 vectors, which is what registers hold.
Layout layout_of(const Kernels& kernels, int classes) {
    int lanes = 4;
    while (lanes < kernels.lanes && lanes < classes) lanes *= 2;
    const int vectors = (classes + lanes - 1) / lanes, blocks = (vectors + 7) / 8;
    return {classes, lanes, (vectors + blocks - 1) / blocks, blocks};
}

// The spatial lattices of the sizes seen last.
class SpatialCache {
  public:
    std::shared_ptr<const SpatialLattice> get(const Kernels& kernels, Shape shape, const Kernel& kernel, Team& team) {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
                if (entry->shape.height == shape.height && entry->shape.width == shape.width &&
                    entry->kernel.space == kernel.space && entry->kernel.compatibility == kernel.compatibility) {
                    entries_.splice(entries_.begin(), entries_, entry);
                    return entry->lattice;
                }
            }
        }
        auto lattice = std::make_shared<const SpatialLattice>(kernels, shape, kernel, team);
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

// Workspaces at rest.
class WorkspacePool {
  public:
    std::unique_ptr<Workspace> take() {
        std::lock_guard<std::mutex> hold(mutex_);
        if (free_.empty()) return std::make_unique<Workspace>();
        auto space = std::move(free_.back());
        free_.pop_back();
        return space;
    }
    void give(std::unique_ptr<Workspace> space) {
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

void Workspace::refine(const Kernels& kernels, const Request& request, Team& team) {
    const Shape shape = request.shape;
    const Layout layout = layout_of(kernels, request.classes);
    const std::size_t size = std::size_t(shape.pixels()) * layout.stride();
    float* unary = unary_.ready(size);
    float* pixels = pixels_.ready(size);
    Meanwhile rows{panels(shape), [&](std::int64_t from, std::int64_t to) {
        for (auto panel = from; panel < to; panel++) {
            kernels.begin(layout, request.log_probs, unary, pixels, shape, static_cast<int>(panel));
        }
    }};
    std::vector<std::shared_ptr<const SpatialLattice>> kept;
    std::vector<const SpatialLattice*> spatial;
    std::size_t bilateral = 0;
    for (const Kernel& kernel : request.kernels) {
        if (kernel.colour == 0) {
            kept.push_back(spatial_cache().get(kernels, shape, kernel, team));
            spatial.push_back(kept.back().get());
        } else {
            if (bilateral == bilateral_.size()) {
                bilateral_.push_back(std::make_unique<BilateralLattice>());
                values_.push_back(std::make_unique<Buffer<float>>());
            }
            bilateral_[bilateral++]->build(kernels, shape, request.image, kernel, rows, team);
            rows.count = 0;
        }
    }
    std::vector<Slice> slices;
    for (std::size_t i = 0; i < bilateral; i++) {
        const std::size_t count = std::size_t(bilateral_[i]->vertices()) * layout.stride();
        slices.push_back(bilateral_[i]->slice(values_[i]->ready(count)));
    }
    Pass pass(shape, spatial, team);
    if (rows.count > 0) team.each(rows.count, 1, rows.work);
    if (request.iterations == 0) {
        Pass(shape, {}, team).run(kernels, layout, {}, unary, pixels, Into::LOG_PROBABILITIES, team);
    }
    for (int left = request.iterations; left > 0; left--) {
        for (std::size_t i = 0; i < bilateral; i++) {
            bilateral_[i]->filter(kernels, layout, pixels, values_[i]->get(), team);
        }
        const Into into = left > 1 ? Into::PROBABILITIES : Into::LOG_PROBABILITIES;
        pass.run(kernels, layout, slices, unary, pixels, into, team);
    }
    if (shape.pixels() > LARGE_PHOTOGRAPH) unary_.release();  // the result takes its place in memory
    team.each(panels(shape), 1, [&](std::int64_t from, std::int64_t to) {
        for (auto panel = from; panel < to; panel++) {
            kernels.finish(layout, pixels, request.out, shape, static_cast<int>(panel));
        }
    });
}

std::size_t Workspace::bytes() const {
    std::size_t all = unary_.bytes() + pixels_.bytes();
    for (const auto& values : values_) all += values->bytes();
    for (const auto& lattice : bilateral_) all += lattice->bytes();
    return all;
}

void refine_all(const Kernels& kernels, const std::vector<Request>& photographs, int threads) {
    std::mutex mutex;
    std::exception_ptr failure;
    auto refine_one = [&](const Request& request, Team& team) {
        try {
            auto space = workspaces().take();
            space->refine(kernels, request, team);
            workspaces().give(std::move(space));
        } catch (...) {
            std::lock_guard<std::mutex> hold(mutex);
            failure = std::current_exception();
        }
    };
    const auto count = static_cast<std::int64_t>(photographs.size());
    const std::int64_t alone = count - count % threads;  // as many as keep every thread busy with one of its own
    Team team(threads);
    team.each(alone, 1, [&](std::int64_t from, std::int64_t to) {
        Team nobody(1);
        for (auto i = from; i < to; i++) refine_one(photographs[i], nobody);
    });
    for (auto i = alone; i < count; i++) refine_one(photographs[i], team);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace stego
