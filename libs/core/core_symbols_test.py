#!/usr/bin/env python3
"""The core is a state machine: its library must not reach for threads, files, sockets, clocks, randomness or the
environment. Usage: core_symbols_test.py NM LIBRARY"""
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"^(pthread_|thrd_|mtx_|cnd_|sem_|futex|fopen|fdopen|freopen|open$|open64|openat|creat|read$|pread|write$|pwrite|"
    r"fsync|fdatasync|mmap|unlink|rename|socket|connect|accept|bind$|"
    r"listen|send$|sendto|sendmsg|recv|epoll|poll$|select$|"
    r"clock_|time$|gettimeofday|localtime|gmtime|usleep|nanosleep|sleep$|getenv|secure_getenv|setenv|environ|"
    r"rand$|rand_r|random$|srand|drand48|getrandom|getentropy|arc4random|RAND_|system$|fork|exec|getpid)"
    r"|St6thread|St13random_device|St6chrono.*now|St5mutex|St18condition_variable|St12__basic_file|St13basic_f|"
    r"St14basic_ifstream|St14basic_ofstream|St10filesystem|4absl.*5Mutex|4absl.*3Now|4grpc|6google8protobuf")


def main():
    nm, library = sys.argv[1:3]
    out = subprocess.run([nm, "-u", library], check=True, capture_output=True, text=True).stdout
    symbols = {line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip().startswith(("U ", "w "))}
    bad = sorted(symbol for symbol in symbols if FORBIDDEN.search(symbol))
    if len(symbols) < 20:
        sys.exit(f"{library}: only {len(symbols)} undefined symbols seen; is this the core's library?")
    if not FORBIDDEN.search("pthread_create") or not FORBIDDEN.search("clock_gettime"):
        sys.exit("the list of forbidden symbols matches nothing")
    if bad:
        sys.exit(f"{library}: the core must not use " + ", ".join(bad))


main()
