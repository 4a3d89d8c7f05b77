/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

static const char overview[] =
    "Hold a lock for exactly as long as you are alive.\n"
    "\n"
    "usage: holdfast COMMAND [OPTION...] KEY ...\n"
    "\n"
    "  run KEY -- COMMAND ...     run a command while holding a lock\n"
    "  hold KEY                   hold a lock until the end of input or a signal\n"
    "  try KEY                    see whether a lock is to be had; --detached: take it and leave\n"
    "  elect NAME --value V -- COMMAND ...\n"
    "                             run a command while leading; stand again when that is lost\n"
    "\n"
    "  inspect KEY                show who holds a lock\n"
    "  watch KEY                  show who holds a lock, and each change\n"
    "  ls [PREFIX]                list the locks of the server, or of the fleet\n"
    "  top                        the same, live\n"
    "\n"
    "  list [SERVICE]             list the server's services, or the methods of one\n"
    "  describe [SYMBOL]          show a service, method or message as its .proto file has it\n"
    "  call SERVICE/METHOD [JSON] call any method: JSON in, JSON out\n"
    "  completion SHELL           print a script that completes commands, for bash or zsh\n"
    "\n"
    "  release KEY --token HEX    give up a detached lease\n"
    "  renew KEY --token HEX      extend a detached lease\n"
    "  resume KEY --token HEX     hold a lease again whose connection is gone\n"
    "  bench                      put a load on the server and measure it\n"
    "  help COMMAND               everything about one command\n"
    "\n"
    "A busy lock is waited for only with --wait. The server is holdfastd, at --server URL or\n"
    "HOLDFAST_SERVER (default: tcp://127.0.0.1:7420). Durations carry a unit: 250ms, 3s, 5m, 2h.\n";

static const char exit_codes[] =
    "\n"
    "exit codes:\n"
    "  0    done; run and elect exit with their command's own code (128 + n if signal n killed "
    "it)\n"
    "  64   usage: an argument is wrong or out of bounds\n"
    "  69   the server or its Redis is away, does not answer in time, or is at a limit\n"
    "  70   anything unexpected, or the lock's Redis key holds no string and is left alone\n"
    "  75   busy: somebody else holds the lock (still, after the wait), or waiting for it would "
    "be\n"
    "       a deadlock\n"
    "  76   the lease is lost: it ended, or was taken, before it was given up\n"
    "  126  run, elect: the command cannot be run\n"
    "  127  run, elect: the command is not found\n"
    "Any of them may also be the own code of the command that run or elect starts, 69, 75 and 76\n"
    "too; what comes from holdfast comes with a line on standard error.\n";

static const char overview_examples[] =
    "\n"
    "examples:\n"
    "  holdfast run backup --ttl 30s -- pg_dump --file /backup/db.sql db\n"
    "  holdfast run deploy --wait=10m -- ./deploy.sh\n"
    "  holdfast inspect backup\n"
    "  holdfast hold deploy             (Ctrl-D releases)\n";

/* The paragraphs between the options and the examples tell what cannot be guessed. */
static const struct {
    const char *usage;
    const char *details;
    const char *examples;
} pages[COMMAND_COUNT] = {
    [COMMAND_RUN] =
        {
            "usage: holdfast run [OPTION...] KEY -- COMMAND [ARGUMENT...]\n"
            "\n"
            "Takes the lock, runs COMMAND, releases the lock when it ends, and exits with its "
            "code.\n"
            "A busy lock is not waited for, unless --wait says so; on a terminal a line then shows "
            "the\n"
            "position in the queue and who holds the lock.\n",
            "\n"
            "COMMAND finds HOLDFAST_KEY and HOLDFAST_FENCE in its environment, and "
            "HOLDFAST_SERVER\n"
            "if --server was given. Hand the fence to what you protect, and refuse lower ones "
            "there.\n"
            "With several keys (--key) they are those of the first, and HOLDFAST_KEY_1, "
            "HOLDFAST_FENCE_1\n"
            "and so on tell all.\n"
            "\n"
            "COMMAND runs in a process group of its own and has the terminal while it runs. "
            "SIGTERM,\n"
            "SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT and SIGTSTP are passed "
            "on\n"
            "to that group.\n"
            "\n"
            "COMMAND never outlives its lease:\n"
            "  - while no renewal is confirmed, its group gets SIGTERM when a quarter of the ttl "
            "is\n"
            "    left (5s at most), and SIGKILL just before the lease ends;\n"
            "  - when the lease is lost at once (the connection drops, somebody deletes the key) "
            "it\n"
            "    gets SIGTERM, and SIGKILL after --kill-after;\n"
            "  - with --grace a dropped connection is made again and the lease resumed; only when "
            "that "
            "does\n"
            "    not succeed in time is it lost;\n"
            "  - with --max-hold its group gets SIGTERM and SIGKILL before that time is over;\n"
            "  - when holdfast itself is killed the group is killed with it; when holdfast is "
            "stopped\n"
            "    (Ctrl-Z, kill -STOP) the group is killed before the lease would end.\n"
            "Whatever COMMAND makes of it, the exit code is then 76. Out of reach are processes "
            "that\n"
            "leave the group (setsid, jobs of an interactive shell) or become another user "
            "(sudo).\n",
            "  holdfast run backup -- pg_dump --file /backup/db.sql db\n"
            "  holdfast run deploy --wait -- ./deploy.sh\n"
            "  holdfast run report --shared --limit 4 --wait=1m -- ./report.sh\n"
            "  holdfast run --key stock --key orders --wait=30s -- ./reconcile.sh\n"
            "  holdfast run nightly --ttl 30s --label \"$(hostname) cron\" -- ./nightly.sh\n"
            "  holdfast run migrate -- sh -c './migrate --fence \"$HOLDFAST_FENCE\"'\n",
        },
    [COMMAND_HOLD] =
        {
            "usage: holdfast hold [OPTION...] KEY\n"
            "\n"
            "Takes the lock, prints one line, and holds it until the end of input (Ctrl-D), SIGINT "
            "or\n"
            "SIGTERM; then releases it and exits with 0. If the lease is lost, says so and exits\n"
            "with 76.\n",
            "\n"
            "A script's background job has /dev/null as input, which ends at once: give it a "
            "pipe.\n"
            "With --json every event is a line: queued, granted, at_risk, lost, released, or "
            "busy.\n"
            "\n"
            "With --grace the lease survives a connection that drops: it is resumed here when the "
            "server\n"
            "is back in time, or by `resume` with the token that --json then shows.\n",
            "  holdfast hold deploy\n"
            "  sleep 600 | holdfast hold maintenance --label \"ten minutes of peace\"\n"
            "  holdfast hold --wait=5m --json leader\n",
        },
    [COMMAND_TRY] =
        {
            "usage: holdfast try [OPTION...] KEY\n"
            "\n"
            "Takes the lock and gives it back at once: exits with 0 if it was to be had and with "
            "75\n"
            "if not. A lease ends with the connection that holds it, so nothing is held "
            "afterwards.\n"
            "\n"
            "With --detached the lease stays when holdfast exits: it prints its token and fence, "
            "and\n"
            "lives until `release`, or until its ttl ends without `renew`.\n",
            "\n"
            "--token, or HOLDFAST_TOKEN which `ps` does not show, brings a token of your own (32\n"
            "random hex digits): then asking again after a lost answer is the same request. Such "
            "a\n"
            "token is not printed.\n",
            "  holdfast try deploy && echo free\n"
            "  holdfast try deploy --detached --ttl 10m\n"
            "  HOLDFAST_TOKEN=$(openssl rand -hex 16) holdfast try deploy --detached --json\n",
        },
    [COMMAND_RESUME] =
        {
            "usage: holdfast resume [OPTION...] KEY --token HEX\n"
            "\n"
            "Holds a lease again whose connection is gone, within the --grace it was taken with, "
            "at "
            "this\n"
            "server or another: same fence, and from now on as `hold`. Exits with 76 if it has "
            "ended.\n",
            "\n"
            "Whoever still holds it loses it. The token is in what `hold --json --grace ...` "
            "prints;\n"
            "HOLDFAST_TOKEN keeps it out of `ps`.\n",
            "  HOLDFAST_TOKEN=$token holdfast resume deploy --grace 1m\n",
        },
    [COMMAND_WATCH] =
        {
            "usage: holdfast watch [OPTION...] KEY\n"
            "\n"
            "Shows who holds the lock, and again whenever that changes, until a signal ends it. "
            "Changes\n"
            "that follow each other within milliseconds may be shown as one.\n",
            "\n"
            "With --json every line has \"state\": held, free, or closed (nobody has it, but the "
            "lock\n"
            "delay of a lost lease is not over).\n",
            "  holdfast watch deploy\n"
            "  holdfast watch leader --json | jq --unbuffered -r .holder.value\n",
        },
    [COMMAND_LS] =
        {
            "usage: holdfast ls [OPTION...] [PREFIX]\n"
            "\n"
            "Lists the locks that the server's clients hold or wait for, one line per holder, in "
            "the\n"
            "order of their names; with PREFIX only those whose names begin so.\n",
            "\n"
            "With --fleet the list comes from Redis, in no order, and has one holder of each "
            "lock,\n"
            "whichever server's it is; WAITING then counts servers. Locks that come or go "
            "meanwhile "
            "may\n"
            "be missed.\n",
            "  holdfast ls\n"
            "  holdfast ls batch/ --fleet --json | jq -r 'select(.waiting > 0).key'\n",
        },
    [COMMAND_TOP] =
        {
            "usage: holdfast top [OPTION...]\n"
            "\n"
            "The locks that the server's clients hold or wait for, those with the longest queues "
            "first,\n"
            "anew each second. q or Ctrl-C ends it.\n",
            "",
            "  holdfast top\n"
            "  holdfast top --once\n",
        },
    [COMMAND_ELECT] =
        {
            "usage: holdfast elect [OPTION...] NAME --value TEXT -- COMMAND [ARGUMENT...]\n"
            "\n"
            "Waits until it leads, runs COMMAND while it does, and stands again when leadership is "
            "lost.\n"
            "Exits with COMMAND's code when COMMAND ends by itself. Says who leads, here and "
            "elsewhere.\n",
            "\n"
            "Leading is holding the lock NAME; --value is shown to whoever watches it, so give "
            "the\n"
            "address at which the leader is reached. COMMAND is run as `run` does: it never "
            "outlives its\n"
            "lease, and finds HOLDFAST_FENCE in its environment. SIGTERM or Ctrl-C while it runs "
            "ends the\n"
            "candidacy with it.\n",
            "  holdfast elect scheduler --value \"$(hostname):8080\" -- ./scheduler\n"
            "  holdfast watch scheduler --json | jq --unbuffered -r .holder.value\n",
        },
    [COMMAND_LIST] =
        {
            "usage: holdfast list [OPTION...] [SERVICE]\n"
            "\n"
            "Lists the services that the server says it has, or with SERVICE its methods. A "
            "service "
            "of\n"
            "holdfast.v1 is also found without its package.\n",
            "\n"
            "With --grpc the server may be any gRPC server that has reflection.\n",
            "  holdfast list\n"
            "  holdfast list Locks\n"
            "  holdfast list --grpc --server tcp://127.0.0.1:50051\n",
        },
    [COMMAND_DESCRIBE] =
        {
            "usage: holdfast describe [OPTION...] [SYMBOL]\n"
            "\n"
            "Shows a service, method, message, field, enum or enum value as the server's .proto "
            "file "
            "has\n"
            "it, with its comments; without SYMBOL, all services. What is in holdfast.v1 is also "
            "found\n"
            "without its package.\n",
            "\n"
            "With --grpc the server may be any gRPC server that has reflection.\n",
            "  holdfast describe Locks\n"
            "  holdfast describe Locks/Acquire\n"
            "  holdfast describe holdfast.v1.AcquireRequest\n",
        },
    [COMMAND_CALL] =
        {
            "usage: holdfast call [OPTION...] SERVICE/METHOD [JSON]\n"
            "\n"
            "Calls any method of the server. JSON, or --data, is what is sent: an object, @FILE, "
            "or -\n"
            "for standard input; nothing stands for {}. Each message of the answer is a line of "
            "JSON.\n"
            "The package may be left out where that is clear.\n",
            "\n"
            "A method that takes a stream takes several objects, one behind another. With - each "
            "is "
            "sent\n"
            "when it is complete, and the end of input (Ctrl-D) half-closes the stream: `call "
            "Locks/Hold -`\n"
            "holds a lock until then. JSON and @FILE are sent at once and half-closed. Ctrl-C "
            "takes "
            "the\n"
            "call back.\n"
            "\n"
            "The rules are proto3's: 64-bit integers are text, bytes base64, enums names; fields "
            "are "
            "read\n"
            "as ttlMs or ttl_ms and written as ttlMs; what is not set is left out. --timeout is "
            "for\n"
            "connecting only; --deadline is for the call.\n"
            "\n"
            "With --grpc the server may be any gRPC server that has reflection, which then tells "
            "the\n"
            "types of its messages.\n"
            "\n"
            "The exit code follows the status: OK 0, INVALID_ARGUMENT 64, UNAVAILABLE, "
            "DEADLINE_EXCEEDED\n"
            "and RESOURCE_EXHAUSTED 69, ABORTED 75, any other 70. Busy is an answer, not a "
            "status.\n",
            "  holdfast call Locks/Inspect '{\"key\": \"deploy\"}'\n"
            "  holdfast call Health/Check\n"
            "  echo '{\"ask\": {\"key\": \"deploy\"}}' | cat - /dev/tty | holdfast call "
            "Locks/Hold -\n"
            "  holdfast call --deadline 5s -H 'trace: 7' Locks/Acquire @ask.json\n"
            "  holdfast call --grpc --server tls://shop.example:443 shop.v1.Till/Echo '{}'\n",
        },
    [COMMAND_COMPLETION] =
        {
            "usage: holdfast completion bash|zsh\n"
            "\n"
            "Prints a script that makes the shell complete commands, options and methods.\n",
            "",
            "  source <(holdfast completion bash)\n"
            "  holdfast completion bash > /etc/bash_completion.d/holdfast\n"
            "  holdfast completion zsh > ~/.zfunc/_holdfast\n",
        },
    [COMMAND_BENCH] =
        {
            "usage: holdfast bench [OPTION...]\n"
            "\n"
            "Puts a load on the server, over many connections, until its time is up, --count is "
            "reached\n"
            "or Ctrl-C; then gives up its locks and tells how many operations there were and how "
            "long\n"
            "they took. The locks are called bench-..., unlike those of any other run.\n",
            "\n"
            "  --mix pairs  each takes and releases a lock of its own, again and again\n"
            "  --mix hot    all wait for one lock, and release it as soon as they have it\n"
            "  --mix hold   each takes a lock of its own and keeps it; --duration counts from when "
            "all\n"
            "               are held\n"
            "\n"
            "With --rate operations start by the clock, and a duration counts from the moment at "
            "which its\n"
            "operation ought to have started: what waits for a slow answer is slow, too. Without "
            "it the\n"
            "next one starts when one is done, so the rate is what is measured, and durations "
            "leave out\n"
            "what a stall kept from being asked.\n"
            "\n"
            "Measured is what a program on libholdfast sees, from one thread: Hold streams, not "
            "bare calls.\n"
            "Run it beside the server only where the program will run there, too. The first "
            "refusal ends\n"
            "it, with the exit code for that; a lost lease makes it 76. --json tells "
            "microseconds.\n",
            "  holdfast bench\n"
            "  holdfast bench --connections 200 --duration 30s --json\n"
            "  holdfast bench --connections 50 --rate 5000\n"
            "  holdfast bench --mix hot --connections 100\n"
            "  holdfast bench --mix hold --connections 100 --depth 500 --ttl 30s\n",
        },
    [COMMAND_RELEASE] =
        {
            "usage: holdfast release [OPTION...] KEY --token HEX\n"
            "\n"
            "Gives up a lease by its token, as `try --detached` printed it. Exits with 76 if the "
            "lock\n"
            "is not held with this token (any more).\n",
            "\n"
            "Whoever has the token can release the lease; HOLDFAST_TOKEN keeps it out of `ps`.\n",
            "  HOLDFAST_TOKEN=$token holdfast release deploy\n",
        },
    [COMMAND_RENEW] =
        {
            "usage: holdfast renew [OPTION...] KEY --token HEX\n"
            "\n"
            "Extends a detached lease: from now on it lives for --ttl. Exits with 76 if the lock "
            "is\n"
            "not held with this token (any more).\n",
            "\n"
            "Leases of `run` and `hold` are renewed by the server and need no renew.\n",
            "  HOLDFAST_TOKEN=$token holdfast renew deploy --ttl 10m\n",
        },
    [COMMAND_INSPECT] =
        {
            "usage: holdfast inspect [OPTION...] KEY\n"
            "\n"
            "Shows whether the lock is held, by whom, since when, and for how long unless it is\n"
            "renewed. Exits with 0 in either case. Changes nothing and never shows a token.\n",
            "\n"
            "With --json \"state\" is held, free, or closed (nobody has it, but the lock delay of "
            "a\n"
            "lost lease is not over).\n",
            "  holdfast inspect deploy\n"
            "  holdfast inspect deploy --json | jq -r .state\n",
        },
};

void help_write(enum command command, FILE *out)
{
    if (pages[command].usage == NULL) {
        fputs(overview, out);
        fputs(exit_codes, out);
        fputs(overview_examples, out);
        return;
    }
    fputs(pages[command].usage, out);
    fputs("\noptions:\n", out);
    arguments_write_options(command, out);
    fputs("[NAME]: a variable that counts where the option is not given.\n", out);
    fputs(pages[command].details, out);
    fputs(exit_codes, out);
    fputs("\nexamples:\n", out);
    fputs(pages[command].examples, out);
}
