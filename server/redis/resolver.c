/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/resolver.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"

#define CANCEL_ROUNDS_MAX 16

struct resolver {
    struct loop *loop;
    resolver_done_fn *on_done;
    void *user;
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request; /* NULL once it has answered */
    bool is_answered;
    struct task task; /* INPUT: pass the answer on */
    struct resolver_addresses addresses;
};

static bool add_address(struct resolver_addresses *addresses, const struct sockaddr *address)
{
    char *ip = addresses->ip[addresses->count];
    const void *bytes = NULL;
    if (address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    if (bytes == NULL || inet_ntop(address->sa_family, bytes, ip, INET6_ADDRSTRLEN) == NULL) {
        return false;
    }
    addresses->count++;
    return true;
}

/* libevent's callback; it may come before evdns_getaddrinfo returns. */
static void on_answer(int error, struct evutil_addrinfo *list, void *user)
{
    struct resolver *resolver = user;
    struct resolver_addresses *addresses = &resolver->addresses;
    resolver->is_answered = true;
    resolver->request = NULL;
    addresses->problem = error != 0 ? evutil_gai_strerror(error) : "the name has no address";
    for (struct evutil_addrinfo *info = list; info != NULL; info = info->ai_next) {
        if (addresses->count < RESOLVER_ADDRESSES_MAX) {
            (void)add_address(addresses, info->ai_addr);
        }
    }
    if (list != NULL) {
        evutil_freeaddrinfo(list);
    }
    loop_post(resolver->loop, LOOP_INPUT, &resolver->task);
}

static void resolver_free(struct resolver *resolver)
{
    if (resolver->dns != NULL) {
        /* Requests that libevent itself gave up still end in a callback that uses the base. */
        event_base_loop(loop_event_base(resolver->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
        evdns_base_free(resolver->dns, 0);
    }
    memory_free(resolver);
}

static void run_done(struct task *task)
{
    struct resolver *resolver = CONTAINER_OF(task, struct resolver, task);
    resolver->on_done(resolver->user, &resolver->addresses, loop_now_us(resolver->loop));
    resolver_free(resolver);
}

/* A name server that does not answer is told of by the attempt that fails for it. */
static void on_library_log(int is_warning, const char *message)
{
    (void)is_warning;
    LOG_DEBUG("resolver", LOG_MESSAGE(message));
}

bool resolver_is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

struct resolver *resolver_start(struct loop *loop, const char *host, resolver_done_fn *on_done,
                                void *user)
{
    struct resolver *resolver = memory_alloc(sizeof(*resolver));
    resolver->loop = loop;
    resolver->on_done = on_done;
    resolver->user = user;
    task_init(&resolver->task, run_done);
    evdns_set_log_fn(on_library_log);
    resolver->dns = evdns_base_new(loop_event_base(loop), 0);
    if (resolver->dns == NULL) {
        resolver->addresses.problem = "no resolver could be started";
        resolver->is_answered = true;
        loop_post(loop, LOOP_INPUT, &resolver->task);
        return resolver;
    }
    /* Read anew each time, so that a change of either file counts at the next attempt. A missing
     * resolv.conf leaves /etc/hosts. */
    (void)evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(resolver->dns, host, NULL, &hints, on_answer, resolver);
    if (!resolver->is_answered) {
        resolver->request = request;
    }
    return resolver;
}

void resolver_cancel(struct resolver *resolver)
{
    if (!resolver->is_answered) {
        evdns_getaddrinfo_cancel(resolver->request);
    }
    /* libevent answers a cancelled request from its loop, and may be stopped for good after us. */
    for (int i = 0; i < CANCEL_ROUNDS_MAX && !resolver->is_answered; i++) {
        event_base_loop(loop_event_base(resolver->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    loop_unpost(resolver->loop, &resolver->task);
    if (resolver->is_answered) {
        resolver_free(resolver);
    }
}
