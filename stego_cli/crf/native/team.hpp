// Threads that work on one photograph together, for as long as that takes.
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
        for (int i = 1; i < size; i++) threads_.emplace_back([this] { stand_by(); });
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team() {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            leave_ = true;
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    int size() const { return static_cast<int>(threads_.size()) + 1; }

    // Calls work(from, to) until 0..count is covered, `grain` at a time, on whichever thread is free. What it throws is
    // thrown on, once all threads have ended their part.
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
        take();
        await(done_, [this] { return busy_ == 0; });
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

  private:
    void take() {
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

    void stand_by() {
        for (std::uint64_t seen = 0;;) {
            await(wake_, [&] { return leave_ || round_ != seen; });
            if (leave_) return;
            seen = round_;  // there is no other before this thread is done
            take();
            if (--busy_ == 0) {
                std::lock_guard<std::mutex> hold(mutex_);
                done_.notify_one();
            }
        }
    }

    // A photograph has some sixty rounds, and a processor that has gone to sleep takes a tenth of a millisecond to wake.
    template <class Ready> void await(std::condition_variable& call, Ready ready) {
        for (int i = 0; i < SPINS; i++) {
            if (ready()) return;
            rest();
        }
        std::unique_lock<std::mutex> hold(mutex_);
        call.wait(hold, ready);
    }

    static void rest() {
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
    std::atomic<bool> leave_{false};
};

}  // namespace stego
