// Counts the instructions that a program executes between two SIGUSR1 to itself, by single steps:
// real ones of this very processor, also where virtual machines have no counters for them. An
// instruction with a repeat prefix counts as often as it repeats. `steps PROGRAM ARGUMENT...`
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int status;

// Lets it go on until it is stopped, with the signal that stopped it last unless that is ours.
static int step(int how, pid_t child) {
    int stopped_by = WSTOPSIG(status);
    long given = stopped_by == SIGTRAP || stopped_by == SIGUSR1 ? 0 : stopped_by;
    return ptrace(how, child, 0, given) == 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(arguments[1], arguments + 1);
        return 127;
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 1;
    do {
        if (!step(PTRACE_CONT, child)) return 1;
    } while (WSTOPSIG(status) != SIGUSR1);
    unsigned long steps = 0;
    do {
        if (!step(PTRACE_SINGLESTEP, child)) return 1;
        steps++;
    } while (WSTOPSIG(status) != SIGUSR1);
    printf("%lu\n", steps);
    while (step(PTRACE_CONT, child)) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
