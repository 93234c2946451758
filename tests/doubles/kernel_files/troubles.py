"""One kernel that is trouble for its process or the machine: the batch says how, see TROUBLES."""

import contextlib
import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import numpy as np

from kernels import HOST, Step


def nothing():
    """Be an honest kernel."""


def segfault():
    ctypes.string_at(0)


def abort():
    os.abort()


def leave():
    print("a last word")
    sys.stdout.flush()
    os._exit(3)


def sys_exit():
    sys.exit("enough")


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def use_up_time():
    os.kill(os.getpid(), signal.SIGXCPU)


def nameless_signal():
    os.kill(os.getpid(), signal.SIGRTMIN + 2)


def kill_group():
    os.killpg(0, signal.SIGKILL)


def loop():
    while True:
        pass


def deadlock():
    print("about to wait for myself", flush=True)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


HELD = []


def reserve():
    """Ask for twice what is free, without using it."""
    HELD.extend(np.empty(2**28, np.uint8) for _ in range(2 * HOST.free_bytes() // 2**28))


def hog():
    """Take and use all that can be had."""
    while True:
        HELD.append(np.ones(2**25))


def chatter():
    with contextlib.suppress(OSError):  # close_stdout was here before
        for _ in range(1000):
            print("noise " * 100)


def chatter_and_die():
    chatter()
    print("the end")
    sys.stdout.flush()
    os.abort()


def close_stdin():
    with contextlib.suppress(OSError):  # once is enough
        os.close(0)


def read_stdin():
    input()


def close_stdout():
    with contextlib.suppress(OSError):
        os.close(1)
        os.close(2)


def close_all():
    os.closerange(3, 256)


def close_all_and_stay():
    close_all()
    threading.Event().wait()


def babble():
    """Write on the harness's own connection."""
    for descriptor in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                socket.socket(fileno=os.dup(descriptor)).sendall(b"hello\n")
        except OSError:
            continue


def idle_child():
    subprocess.Popen(["sleep", "1000"])


def orphans():
    """Two processes in sessions of their own, their parents gone; one of them busy."""
    subprocess.run(["sh", "-c", "setsid sh -c 'sleep 1000 & while :; do :; done' &"], check=True)


def orphans_and_die():
    orphans()
    os.abort()


def fork_and_die():
    """A copy of the worker lives on and holds all that the worker held."""
    if os.fork() == 0:
        threading.Event().wait()
    os.abort()


TROUBLES = [
    nothing,
    segfault,
    abort,
    leave,
    sys_exit,
    be_killed,
    nameless_signal,
    use_up_time,
    kill_group,
    loop,
    deadlock,
    reserve,
    hog,
    chatter,
    chatter_and_die,
    close_stdin,
    read_stdin,
    close_stdout,
    close_all,
    close_all_and_stay,
    babble,
    idle_child,
    orphans,
    orphans_and_die,
    fork_and_die,
]
"""The first is that of batch 1."""

EACH_LAUNCH = (chatter,)


def prepare(layer, batch, device=0):
    trouble = TROUBLES[batch - 1]
    launches = []

    def launch(A_in):
        if not launches or trouble in EACH_LAUNCH:
            trouble()
        launches.append(1)
        return np.maximum(A_in @ layer.W + layer.b, 0)

    return Step(launch)
