"""Builds the images and gives them to the cluster.

MILLRACE_LOAD_IMAGES is a command that takes archives (`docker save`) and puts them onto every node, as
`kind load image-archive` does. Without it the cluster has the images already, and HELM_OPTIONS says which
(`--set image.registry=registry.example.com/team`).
"""

import os
import shlex
import sys
import time

from cluster import ROOT
from kube import run

sys.path.insert(0, os.path.join(ROOT, "tests", "image"))
import engine  # noqa: E402 (the path comes first)

TAG = "test"
TARGETS = ("nameserver", "broker", "proxy", "cli")


def provide(directory, report, build=True):
    """Options of helm that name the images; None when there is no way to get them.

    `build`: makes and loads them too.
    """
    options = shlex.split(os.environ.get("HELM_OPTIONS", ""))
    load = shlex.split(os.environ.get("MILLRACE_LOAD_IMAGES", ""))
    if not load:
        return options
    local = ["--set", f"image.registry=localhost,image.tag={TAG}", *options]
    if not build:
        return local
    name = engine.find()
    if not name:
        return None
    builder, archives = engine.Engine(name), []
    began = time.monotonic()
    for target in TARGETS:
        image = builder.build(target, TAG)
        archives.append(os.path.join(directory, f"{target}.tar"))
        builder.call("save", "-o", archives[-1], image, seconds=120)
    report("images built and saved", f"{time.monotonic() - began:.1f} s")
    began = time.monotonic()
    run(*load, *archives, seconds=300)
    report("images loaded onto the nodes", f"{time.monotonic() - began:.1f} s")
    for archive in archives:
        os.remove(archive)
    return local
