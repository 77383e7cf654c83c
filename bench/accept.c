// Who accepts: one acceptor that hands over, or the workers themselves. Without JavaScript, so that what is measured is
// the kernel's part; docs/many-cores.md says what came of it.
//
//   cc -O2 -Wall -o /tmp/accept bench/accept.c && /tmp/accept [workers] [clients] [connections of each]
//
// acceptor   one process accepts and puts connections into the workers' queues (SOCK_SEQPACKET, SCM_RIGHTS), by turns
// exclusive  the workers accept: one listener, EPOLLEXCLUSIVE, one connection a wake-up
// re-added   the same, and the entry goes to the end of the line after each connection
// stuck      as re-added; the first worker does something else for 200 ms between a wake-up and its accept, once
// watched    as stuck; a watchdog asks each 10 ms who waits (TCP_INFO), and accepts what waited at two looks

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum mode { ACCEPTOR, EXCLUSIVE, READDED, STUCK, WATCHED, MODES };
static const char *const names[] = {"acceptor", "exclusive", "re-added", "stuck", "watched"};

enum { MAX_WORKERS = 64, SLOTS = 1 << 20 };
static struct shared {
    uint64_t served[MAX_WORKERS + 1]; // the last is the watchdog's
    uint32_t taken;                   // latencies so far
    uint32_t latency[SLOTS];          // microseconds
    int go;
} *shared;

static void check(int ok, const char *what) {
    if (!ok) perror(what), exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double cpu(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void serve(int connection, int who) {
    char request[64];
    struct pollfd p = {connection, POLLIN, 0};
    poll(&p, 1, 1000);
    if (read(connection, request, sizeof request) > 0) (void)!write(connection, "answer", 6);
    close(connection);
    __atomic_add_fetch(&shared->served[who], 1, __ATOMIC_RELAXED);
}

static void worker_of_acceptor(int queue, int who) {
    for (;;) {
        char byte, control[CMSG_SPACE(sizeof(int))];
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(queue, &m, MSG_CMSG_CLOEXEC) <= 0) exit(0);
        int connection;
        memcpy(&connection, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof connection);
        serve(connection, who);
    }
}

static void acceptor(int listener, const int *queues, int workers) {
    for (int turn = 0;;) {
        int connection = accept4(listener, 0, 0, SOCK_CLOEXEC);
        if (connection < 0) {
            struct pollfd p = {listener, POLLIN, 0};
            poll(&p, 1, -1);
            continue;
        }
        char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_len = CMSG_LEN(sizeof(int)), c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(c), &connection, sizeof connection);
        sendmsg(queues[turn++ % workers], &m, MSG_NOSIGNAL);
        close(connection);
    }
}

static void worker_that_accepts(int listener, int who, enum mode mode) {
    int epoll = epoll_create1(0), was_stuck = mode < STUCK || who != 0;
    struct epoll_event event = {EPOLLIN | EPOLLEXCLUSIVE, {0}};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
    for (;;) {
        struct epoll_event ready;
        if (epoll_wait(epoll, &ready, 1, -1) <= 0) continue;
        if (!was_stuck && shared->taken > 200) was_stuck = 1, usleep(200000);
        int connection = accept4(listener, 0, 0, SOCK_CLOEXEC);
        if (mode != EXCLUSIVE) {
            epoll_ctl(epoll, EPOLL_CTL_DEL, listener, 0);
            epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
        }
        if (connection >= 0) serve(connection, who);
    }
}

static void watchdog(int listener) {
    uint32_t before = 0;
    for (;; usleep(10000)) {
        struct tcp_info info;
        socklen_t length = sizeof info;
        getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length);
        if (before > 0 && info.tcpi_unacked > 0) {
            int connection = accept4(listener, 0, 0, SOCK_CLOEXEC);
            if (connection >= 0) serve(connection, MAX_WORKERS);
        }
        before = info.tcpi_unacked;
    }
}

static void client(struct sockaddr_in address, int connections) {
    while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE)) usleep(100);
    for (int i = 0; i < connections; i++) {
        double begin = now();
        int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char answer[16];
        check(connect(socket_, (void *)&address, sizeof address) == 0, "connect");
        (void)!write(socket_, "request", 7);
        check(read(socket_, answer, sizeof answer) == 6, "an answer");
        close(socket_);
        shared->latency[__atomic_fetch_add(&shared->taken, 1, __ATOMIC_RELAXED) % SLOTS] = now() - begin;
    }
    exit(0);
}

static int by_size(const void *a, const void *b) {
    return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void measure(enum mode mode, int workers, int clients, int each) {
    memset(shared, 0, sizeof *shared);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), pids[MAX_WORKERS + 2], count = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    check(bind(listener, (void *)&address, length) == 0 && listen(listener, 511) == 0, "listen");
    getsockname(listener, (void *)&address, &length);
    int queues[MAX_WORKERS], clients_pids[256];
    for (int i = 0; i < workers; i++) {
        int ends[2];
        check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
        queues[i] = ends[0];
        if ((pids[count++] = fork()) == 0)
            mode == ACCEPTOR ? worker_of_acceptor(ends[1], i) : worker_that_accepts(listener, i, mode);
        close(ends[1]);
    }
    if (mode == ACCEPTOR && (pids[count++] = fork()) == 0) acceptor(listener, queues, workers);
    if (mode == WATCHED && (pids[count++] = fork()) == 0) watchdog(listener);
    for (int i = 0; i < clients; i++)
        if ((clients_pids[i] = fork()) == 0) client(address, each);
    double begin = now();
    __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < clients; i++) waitpid(clients_pids[i], 0, 0);
    double wall = now() - begin, used = cpu(RUSAGE_CHILDREN);
    for (int i = 0; i < count; i++) kill(pids[i], SIGKILL), waitpid(pids[i], 0, 0);
    used = cpu(RUSAGE_CHILDREN) - used;
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < workers; i++) {
        if (shared->served[i] < least) least = shared->served[i];
        if (shared->served[i] > most) most = shared->served[i];
    }
    uint32_t all = shared->taken < SLOTS ? shared->taken : SLOTS;
    qsort(shared->latency, all, sizeof(uint32_t), by_size);
    printf("%-10s %7.0f/s  server CPU %5.1f us/connection  p50 %6u us  p99 %6u us  longest %6u us  a worker served %lu to %lu",
           names[mode], all / wall * 1e6, used / all, shared->latency[all / 2], shared->latency[all * 99L / 100],
           shared->latency[all - 1], least, most);
    printf(mode == WATCHED ? ", the watchdog %lu\n" : "\n", shared->served[MAX_WORKERS]);
    for (int i = 0; i < workers; i++) close(queues[i]);
    close(listener);
}

int main(int count, char **words) {
    int workers = count > 1 ? atoi(words[1]) : 4, clients = count > 2 ? atoi(words[2]) : 32;
    int each = count > 3 ? atoi(words[3]) : 500;
    check(workers > 0 && workers <= MAX_WORKERS && clients > 0 && clients <= 256, "numbers");
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED, "mmap");
    setvbuf(stdout, 0, _IOLBF, 0);
    for (enum mode mode = 0; mode < MODES; mode++) measure(mode, workers, clients, each);
}
