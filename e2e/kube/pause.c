/* Holds the namespaces of a pod: waits, reaps what is orphaned to it, and ends when it is told to. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal) { (void)signal; while (waitpid(-1, NULL, WNOHANG) > 0) {} }
static void end(int signal) { (void)signal; _exit(EXIT_SUCCESS); }

int main(void) {
    signal(SIGCHLD, reap);
    signal(SIGINT, end);
    signal(SIGTERM, end);
    for (;;) pause();
}
