// Threads that divide the loops of one call between them.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace stego {

class Team {
  public:
    using Work = std::function<void(std::int64_t from, std::int64_t to)>;

    explicit Team(int size) {
        for (int i = 1; i < size; i++) threads_.emplace_back([this] { wait_for_work(); });
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team() {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    int size() const { return static_cast<int>(threads_.size()) + 1; }

    // Calls work(from, to) for all of 0..count, `grain` items at a time, on whichever thread is free. Rethrows an
    // exception of `work` when all threads have finished.
    void each(std::int64_t count, std::int64_t grain, const Work& work) {
        if (threads_.empty() || count <= grain) {
            if (count > 0) work(0, count);
            return;
        }
        work_ = &work;
        count_ = count;
        grain_ = grain;
        next_ = 0;
        busy_ = static_cast<int>(threads_.size());
        {
            std::lock_guard<std::mutex> hold(mutex_);
            round_++;
        }
        wake_.notify_all();
        run_chunks();
        await(done_, [this] { return busy_ == 0; });
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

  private:
    void run_chunks() {
        for (;;) {
            const std::int64_t from = next_.fetch_add(grain_);
            if (from >= count_) return;
            try {
                (*work_)(from, from + grain_ < count_ ? from + grain_ : count_);
            } catch (...) {
                std::lock_guard<std::mutex> hold(mutex_);
                failure_ = std::current_exception();
            }
        }
    }

    void wait_for_work() {
        for (std::uint64_t seen = 0;;) {
            await(wake_, [&] { return stopping_ || round_ != seen; });
            if (stopping_) return;
            seen = round_;  // the next round begins only when this thread has finished
            run_chunks();
            if (--busy_ == 0) {
                std::lock_guard<std::mutex> hold(mutex_);
                done_.notify_one();
            }
        }
    }

    // Spins before it sleeps: a photograph has about sixty rounds, and waking a sleeping core takes 0.1 ms.
    template <class Condition> void await(std::condition_variable& signal, Condition fulfilled) {
        for (int i = 0; i < SPINS; i++) {
            if (fulfilled()) return;
            pause();
        }
        std::unique_lock<std::mutex> hold(mutex_);
        signal.wait(hold, fulfilled);
    }

    static void pause() {
#if defined(STEGO_X86) && (defined(__GNUC__) || defined(__clang__))
        __builtin_ia32_pause();
#else
        std::this_thread::yield();
#endif
    }

    static constexpr int SPINS = 4000;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::exception_ptr failure_;
    const Work* work_ = nullptr;
    std::int64_t count_ = 0, grain_ = 1;
    std::atomic<std::int64_t> next_{0};
    std::atomic<std::uint64_t> round_{0};
    std::atomic<int> busy_{0};
    std::atomic<bool> stopping_{false};
};

}  // namespace stego
