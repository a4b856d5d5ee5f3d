// A wall clock of its own for a process: preloaded, it adds to CLOCK_REALTIME what a file says, from one read to the next.
//
//     LD_PRELOAD=.../skewed_clock.so LOCKSTEP_CLOCK_OFFSET=FILE command
//
// FILE holds one signed 64-bit number of nanoseconds, mapped, so that whoever writes it steps the clock of all processes
// that have it. The monotonic clocks stay as they are, as they do where an operator or NTP steps a machine's clock.
//
// Deadlines that a process gives the kernel as wall clock times are moved back by the same amount: on a machine whose
// clock is wrong the kernel's is wrong too. Without that a wait would last as much longer as the clock is ahead, and not
// wait at all where it is behind. Linux has no namespace for the wall clock, and libfaketime (0.9.10) moves the
// monotonic deadlines of clock_nanosleep too, on which time.sleep of CPython then fails.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// Which clock a condition variable counts on is known to it alone. A monotonic time is this machine's uptime, which is
// never as long as the time since 1970.
constexpr std::int64_t kSurelyWallClock = kSecond;

const volatile std::int64_t* offset_ns = nullptr;

template <typename Function>
Function next(const char* name, const char* version = nullptr) {
  // The condition variables have two versions in x86's glibc; the older one is not what anybody was linked with.
  void* found = version != nullptr ? dlvsym(RTLD_NEXT, name, version) : nullptr;
  if (found == nullptr) found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function>(found);
}

__attribute__((constructor)) void map_offset() {
  const char* path = std::getenv("LOCKSTEP_CLOCK_OFFSET");
  if (path == nullptr) return;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  void* mapped = file < 0 ? MAP_FAILED : mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (file >= 0) close(file);
  if (mapped == MAP_FAILED) {
    std::fprintf(stderr, "skewed_clock: %s can't be mapped: errno %d\n", path, errno);
    std::abort();
  }
  offset_ns = static_cast<const volatile std::int64_t*>(mapped);
}

std::int64_t offset() { return offset_ns != nullptr ? *offset_ns : 0; }

bool of_wall_clock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

timespec moved(const timespec& time, std::int64_t by_ns) {
  const std::int64_t ns = static_cast<std::int64_t>(time.tv_sec) * kSecond + time.tv_nsec + by_ns;
  if (ns < 0) return {0, 0};
  return {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
}

// What the kernel has to get for a deadline that was reckoned on the skewed clock.
timespec true_deadline(const timespec& deadline) { return moved(deadline, -offset()); }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  static const auto real = next<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, now);
  if (result == 0 && of_wall_clock(clock)) *now = moved(*now, offset());
  return result;
}

int gettimeofday(timeval* now, void*) noexcept {
  timespec precise{};
  clock_gettime(CLOCK_REALTIME, &precise);
  *now = {precise.tv_sec, precise.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* now) noexcept {
  timespec precise{};
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now != nullptr) *now = precise.tv_sec;
  return precise.tv_sec;
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* request, timespec* remain) {
  static const auto real = next<int (*)(clockid_t, int, const timespec*, timespec*)>("clock_nanosleep");
  if (!of_wall_clock(clock) || (flags & TIMER_ABSTIME) == 0) return real(clock, flags, request, remain);
  const timespec deadline = true_deadline(*request);
  return real(clock, flags, &deadline, remain);
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* deadline) {
  using Real = int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*);
  static const auto real = next<Real>("pthread_cond_timedwait", "GLIBC_2.3.2");
  if (deadline->tv_sec < kSurelyWallClock) return real(condition, mutex, deadline);
  const timespec moved_deadline = true_deadline(*deadline);
  return real(condition, mutex, &moved_deadline);
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* deadline) noexcept {
  static const auto real = next<int (*)(pthread_mutex_t*, const timespec*)>("pthread_mutex_timedlock");
  const timespec moved_deadline = true_deadline(*deadline);
  return real(mutex, &moved_deadline);
}

int sem_timedwait(sem_t* semaphore, const timespec* deadline) {
  static const auto real = next<int (*)(sem_t*, const timespec*)>("sem_timedwait");
  const timespec moved_deadline = true_deadline(*deadline);
  return real(semaphore, &moved_deadline);
}

// Abseil, in gRPC, waits on futexes without the C library.
long syscall(long number, ...) noexcept {
  static const auto real = next<long (*)(long, ...)>("syscall");
  long given[6];
  va_list rest;
  va_start(rest, number);
  for (long& argument : given) argument = va_arg(rest, long);
  va_end(rest);
  timespec deadline{};
  const auto* wanted = reinterpret_cast<const timespec*>(given[3]);
  if (number == SYS_futex && (given[1] & FUTEX_CLOCK_REALTIME) != 0 && wanted != nullptr) {
    deadline = true_deadline(*wanted);
    given[3] = reinterpret_cast<long>(&deadline);
  }
  return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

}  // extern "C"
